#!/bin/sh
# Makes the real guests of the tests from Debian packages: build.sh [-u] OUTDIR
#
# OUTDIR gets vmlinuz-cloud, vmlinuz-full, mini.cpio.gz (busybox and /init) and
# initramfs.cpio.gz (also modules of the cloud kernel, our VMM, the benchmarks and a kernel for
# the next level), and host-markers, the program that times guests. Packages stay in OUTDIR/cache
# and are used from there without a network; -u asks apt for the newest ones again. Nothing is
# installed. The host needs apt-get, dpkg-deb, tar, gzip and an x86-64 C compiler with a static
# libc ($CC, default gcc).

set -eu
export LC_ALL=C
umask 022

fail() {
	echo "build.sh: $*" >&2
	exit 1
}

update=no
if [ "${1:-}" = -u ]; then
	update=yes
	shift
fi
[ $# -eq 1 ] || fail "usage: build.sh [-u] OUTDIR"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/cache" 2>/dev/null || fail "cannot write to $1"
out=$(cd "$1" && pwd)
cache=$out/cache
work=$out/work
cc=${CC:-gcc}
flags="-std=c11 -D_GNU_SOURCE -O2 -g0 -Wall -Wextra"

# The versioned kernel package a meta-package stands for.
kernel_package() {
	apt-cache depends "$1" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

# cached PATTERN: the newest file of that name pattern in the cache.
cached() {
	ls -t "$cache"/$1 2>/dev/null | head -n 1
}

# download PATTERN PACKAGE: prints the file, fetched only when it must be. PATTERN is the cache's
# name for it; PACKAGE may be a meta-package of a kernel.
download() {
	if [ $update = no ] && [ -n "$(cached "$1")" ]; then
		cached "$1"
		return
	fi
	package=$2
	case $package in
	linux-image-*) package=$(kernel_package "$2") ;;
	esac
	[ -n "$package" ] || fail "apt knows no package $2 (try apt-get update)"
	if [ $update = yes ] || [ -z "$(cached "${package}_*.deb")" ]; then
		(cd "$cache" && apt-get -qq download "$package" >"$work/apt.log" 2>&1) ||
			[ -n "$(cached "$1")" ] ||
			fail "apt-get download $package failed: $(grep '^E:' "$work/apt.log" | head -n 1)"
	fi
	cached "$1"
}

# unpack DEB MEMBER...: into the directory the caller stands in.
unpack() {
	deb=$1
	shift
	dpkg-deb --fsys-tarfile "$deb" | tar -xf - "$@" 2>"$work/tar.log" ||
		fail "$(basename "$deb") lacks $*"
}

compile() {
	program=$1
	shift
	$cc $flags "$@" -o "$program" 2>"$work/cc.log" ||
		fail "cannot compile $(basename "$program"): $(grep -m 1 -E 'error|cannot' "$work/cc.log")"
}

# add_module NAME: the module and all it depends on, into the root with a modules.dep line.
add_module() {
	name=$(echo "$1" | tr - _)
	[ ! -e "$work/done.$name" ] || return 0
	: >"$work/done.$name"
	path=$(sed -n "s|^\(kernel/.*/$(echo "$name" | sed 's/_/[-_]/g')\.ko\)\$|\1|p" \
		"$work/modules.list")
	[ -n "$path" ] || fail "the kernel package has no module $1"
	direct=$(tr '\0' '\n' <"$work/kernel/$modules/$path" | sed -n 's/^depends=//p' |
		tr ', -' '\n\n_')
	mkdir -p "$root/$modules/$(dirname "$path")"
	cp "$work/kernel/$modules/$path" "$root/$modules/$path"
	echo "$path" >"$work/path.$name"
	echo "$direct" >"$work/direct.$name"
	for dependency in $direct; do
		add_module "$dependency"
	done
}

# every_dependency NAME: the paths of all it needs, nearest first, as modprobe wants them.
every_dependency() {
	pending=$(cat "$work/direct.$1")
	listed=
	while [ -n "$pending" ]; do
		next=
		for dependency in $pending; do
			listed="$(echo " $listed " | sed "s/ $dependency / /") $dependency"
			next="$next $(cat "$work/direct.$dependency")"
		done
		pending=$(echo $next)
	done
	for dependency in $listed; do
		cat "$work/path.$dependency"
	done
}

write_modules_dep() {
	for record in "$work"/path.*; do
		echo "$(cat "$record"):" $(every_dependency "${record##*/path.}")
	done >"$root/$modules/modules.dep"
}

# manifest ROOT: every directory, file and link below it, sorted, and the console.
manifest() {
	(cd "$1" && find . -mindepth 1 | sort | sed 's|^\.||') | while read -r path; do
		if [ -L "$1$path" ]; then
			echo "slink $(readlink "$1$path") $path"
		elif [ -d "$1$path" ]; then
			echo "dir 755 $path"
		elif [ -x "$1$path" ]; then
			echo "file 755 $path"
		else
			echo "file 644 $path"
		fi
	done
	echo "nod 600 5 1 /dev/console"
	echo "nod 666 1 3 /dev/null"
}

# archive ROOT NAME: ROOT with its own manifest inside, into OUTDIR/NAME.
archive() {
	: >"$1/etc/manifest"
	manifest "$1" >"$work/manifest"
	cp "$work/manifest" "$1/etc/manifest"
	"$work/mkcpio" "$1" <"$work/manifest" >"$work/archive" || fail "cannot write $2"
	gzip -n -9 <"$work/archive" >"$out/$2.new"
	mv "$out/$2.new" "$out/$2"
}

new_root() {
	root=$1
	for directory in bin boot dev etc lib/modules proc sys tmp; do
		mkdir -p "$root/$directory"
	done
	cp "$here/init" "$root/init"
	chmod 755 "$root/init"
	cp "$work/busybox/bin/busybox" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
}

rm -rf "$work"
mkdir -p "$work/kernel" "$work/full" "$work/busybox"
trap 'rm -rf "$work"' EXIT

for tool in apt-get dpkg-deb tar gzip "$cc"; do
	command -v "$tool" >/dev/null || fail "$tool is missing"
done
cloud_deb=$(download 'linux-image-[0-9]*-cloud-amd64_*.deb' linux-image-cloud-amd64)
full_deb=$(download 'linux-image-[0-9]*[0-9]-amd64_*.deb' linux-image-amd64)
busybox_deb=$(download 'busybox-static_*.deb' busybox-static)
[ -s "$cloud_deb" ] && [ -s "$full_deb" ] && [ -s "$busybox_deb" ] || exit 1

sources="build.sh init mkcpio.c markers.c vmm/*.[chS] bench/*.[ch]"
now=$(cd "$here" && echo "$cloud_deb $full_deb $busybox_deb" | sed 's|[^ ]*/||g' && cksum $sources)
products="vmlinuz-cloud vmlinuz-full mini.cpio.gz initramfs.cpio.gz host-markers"
if [ "$now" = "$(cat "$out/stamp" 2>/dev/null)" ] && (cd "$out" && ls $products >/dev/null 2>&1); then
	echo "build.sh: $out is up to date"
	exit 0
fi
rm -f "$out/stamp"

(cd "$work/busybox" && unpack "$busybox_deb" ./bin/busybox)
(cd "$work/kernel" && unpack "$cloud_deb" ./boot ./lib/modules)
(cd "$work/full" && unpack "$full_deb" ./boot)
cp "$work"/kernel/boot/vmlinuz-* "$out/vmlinuz-cloud"
cp "$work"/full/boot/vmlinuz-* "$out/vmlinuz-full"
version=$(basename "$work"/kernel/lib/modules/*)
modules=lib/modules/$version
(cd "$work/kernel/$modules" && find kernel -name '*.ko') >"$work/modules.list"
[ -s "$work/modules.list" ] || fail "the modules of $version are not plain .ko files"

compile "$work/mkcpio" "$here/mkcpio.c"
compile "$out/host-markers" "$here/markers.c"

new_root "$work/mini"
archive "$work/mini" mini.cpio.gz

new_root "$work/root"
cp "$out/vmlinuz-cloud" "$root/boot/vmlinuz"
compile "$root/bin/mkcpio" -static -s "$here/mkcpio.c"
compile "$root/bin/vmm" -static -s -pthread "$here"/vmm/*.[cS]
compile "$root/bin/bench" -static -s "$here"/bench/bench*.c -lm
compile "$root/bin/exits" -static -s "$here/bench/exits.c"
for module in kvm_intel virtio_pci virtio_blk virtio_console virtio_rng virtio_net; do
	add_module $module
done
write_modules_dep
archive "$work/root" initramfs.cpio.gz

echo "$now" >"$out/stamp"
echo "build.sh: $out has the guests of $version and $(basename "$work"/full/boot/vmlinuz-* | cut -d- -f2-)"
