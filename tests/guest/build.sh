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

update=no
if [ "${1:-}" = -u ]; then
	update=yes
	shift
fi
here=$(cd "$(dirname "$0")" && pwd)
. "$here/kit.sh"
[ $# -eq 1 ] || fail "usage: build.sh [-u] OUTDIR"
mkdir -p "$1/cache" 2>/dev/null || fail "cannot write to $1"
out=$(cd "$1" && pwd)
cache=$out/cache
work=$out/work
cc=${CC:-gcc}
flags="-std=c11 -D_GNU_SOURCE -O2 -g0 -Wall -Wextra"

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

sources="build.sh kit.sh init mkcpio.c markers.c vmm/*.[chS] bench/*.[ch]"
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
tree=$work/kernel
(cd "$tree/$modules" && find kernel -name '*.ko') >"$work/modules.list"
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
