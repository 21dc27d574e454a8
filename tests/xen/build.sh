#!/bin/sh
# Makes Xen and its domains from Debian packages: build.sh [-u] OUTDIR [CACHE]
#
# OUTDIR gets xen (the hypervisor, unpacked), vmlinuz (the full kernel, for dom0), dom0.cpio.gz
# (Xen's tools with the libraries they need, QEMU as device model, and the kernel and initramfs of
# the domains) and host-markers, the program that times guests. Packages stay in CACHE
# (OUTDIR/cache) and are used from there without a network; -u asks apt for the newest ones again.
# Nothing is installed. The host needs apt-get, dpkg-deb, tar, gzip, readelf and an x86-64 C
# compiler ($CC, default gcc).

set -eu
export LC_ALL=C
umask 022

update=no
if [ "${1:-}" = -u ]; then
	update=yes
	shift
fi
here=$(cd "$(dirname "$0")" && pwd)
guest=$here/../guest
. "$guest/kit.sh"
[ $# -eq 1 ] || [ $# -eq 2 ] || fail "usage: build.sh [-u] OUTDIR [CACHE]"
mkdir -p "$1" "${2:-$1/cache}" 2>/dev/null || fail "cannot write to $1"
out=$(cd "$1" && pwd)
cache=$(cd "${2:-$1/cache}" && pwd)
work=$out/work
cc=${CC:-gcc}
flags="-std=c11 -D_GNU_SOURCE -O2 -g0 -Wall -Wextra"

# What is taken from packages. A library that is missing is named when the closure is made.
packages="xen-hypervisor-4.17-amd64 xen-utils-4.17 xenstore-utils qemu-system-xen qemu-system-data
	seabios busybox-static libbz2-1.0 libc6 libdw1 libelf1 libffi8 libfdt1 libgcc-s1
	libglib2.0-0 libgstreamer-plugins-base1.0-0 libgstreamer1.0-0 libjpeg62-turbo liblz4-1
	liblzma5 libopus0 liborc-0.4-0 libpcre2-8-0 libpixman-1-0 libsasl2-2 libspice-server1
	libssl3 libstdc++6 libudev1 libunwind8 libusb-1.0-0 libuuid1 libxencall1
	libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenhypfs1
	libxenmisc4.17 libxenstore4 libxentoolcore1 libxentoollog1 libyajl2 libzstd1 zlib1g"
xen=usr/lib/xen-4.17
files="$xen/bin/xl $xen/bin/xenstored $xen/bin/xenconsoled $xen/bin/xenconsole $xen/bin/xen-init-dom0
	$xen/boot/hvmloader usr/bin/xenstore-ls usr/libexec/xen-qemu-system-i386
	usr/share/seabios/bios-256k.bin usr/share/qemu/linuxboot.bin usr/share/qemu/linuxboot_dma.bin
	usr/share/qemu/kvmvapic.bin usr/share/qemu/keymaps/en-us"
libraries=usr/lib/x86_64-linux-gnu

# needed FILE: the libraries an ELF file names; nothing for others.
needed() {
	readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}

# add_libraries FILE: what it needs and what that needs, into the root.
add_libraries() {
	for library in $(needed "$1"); do
		[ ! -e "$root/$libraries/$library" ] || continue
		found=$(find "$tree/usr/lib" "$tree/lib" -name "$library" 2>/dev/null | head -n 1)
		[ -n "$found" ] || fail "no package has $library, which $(basename "$1") needs"
		cp -L "$found" "$root/$libraries/$library"
		add_libraries "$root/$libraries/$library"
	done
}

# new_root ROOT INIT
new_root() {
	root=$1
	for directory in bin dev etc proc sbin sys tmp; do
		mkdir -p "$root/$directory"
	done
	cp "$here/$2" "$root/init"
	chmod 755 "$root/init"
	cp "$tree/bin/busybox" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
}

rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
for tool in apt-get dpkg-deb tar gzip readelf "$cc"; do
	command -v "$tool" >/dev/null || fail "$tool is missing"
done
full_deb=$(download 'linux-image-[0-9]*[0-9]-amd64_*.deb' linux-image-amd64)
cloud_deb=$(download 'linux-image-[0-9]*-cloud-amd64_*.deb' linux-image-cloud-amd64)
debs=
for package in $packages; do
	deb=$(download "${package}_*.deb" "$package")
	[ -s "$deb" ] || exit 1
	debs="$debs $deb"
done

now=$(echo "$full_deb $cloud_deb $debs" | sed 's|[^ ]*/||g' && cd "$here" &&
	cksum build.sh dom0-init guest-init *.cfg "$guest/kit.sh" "$guest/mkcpio.c" "$guest/markers.c")
if [ "$now" = "$(cat "$out/stamp" 2>/dev/null)" ] &&
	(cd "$out" && ls xen vmlinuz dom0.cpio.gz host-markers >/dev/null 2>&1); then
	echo "build.sh: $out is up to date"
	exit 0
fi
rm -f "$out/stamp"

compile "$work/mkcpio" "$guest/mkcpio.c"
compile "$out/host-markers" "$guest/markers.c"
mkdir "$work/cloud" "$work/tree"
(cd "$work/cloud" && unpack "$cloud_deb" ./boot)
tree=$work/tree
(cd "$tree" && unpack "$full_deb" --wildcards ./boot './lib/modules/*/kernel/drivers/xen/*' &&
	for deb in $debs; do unpack "$deb"; done)
gzip -dc "$tree"/boot/xen-*-amd64.gz >"$out/xen"
cp "$tree"/boot/vmlinuz-* "$out/vmlinuz"

new_root "$work/guest" guest-init
printf '#!/bin/sh\nexec busybox poweroff -f\n' >"$root/sbin/poweroff"
chmod 755 "$root/sbin/poweroff"
archive "$work/guest" guest.cpio.gz

new_root "$work/dom0" dom0-init
mkdir -p "$root/guest" "$root/etc/xen" "$root/$libraries" "$root/lib64" "$root/run/lock/xl" \
	"$root/run/xen" "$root/run/xenstored" "$root/var/lib/xen" "$root/var/lib/xenstored" \
	"$root/var/log/xen" "$root/usr/lib/xen-4.17/bin"
ln -s ../run "$root/var/run"
ln -s ../run/lock "$root/var/lock"
cp "$work"/cloud/boot/vmlinuz-* "$root/guest/vmlinuz"
mv "$out/guest.cpio.gz" "$root/guest/initramfs.cpio.gz"
cp "$here"/*.cfg "$root/etc/xen"
: >"$root/etc/xen/xl.conf"
cp "$(find "$tree/lib64" "$tree/lib" "$tree/usr" -name ld-linux-x86-64.so.2 | head -n 1)" \
	"$root/lib64/ld-linux-x86-64.so.2"
for file in $files; do
	mkdir -p "$root/$(dirname "$file")"
	cp "$tree/$file" "$root/$file" || fail "no package has $file"
	add_libraries "$root/$file"
done
version=$(basename "$tree"/lib/modules/*)
modules=lib/modules/$version
(cd "$tree/$modules" && find kernel -name '*.ko') >"$work/modules.list"
for module in xen_privcmd xen_evtchn xen_gntdev xen_gntalloc xenfs; do
	add_module $module
done
write_modules_dep
archive "$work/dom0" dom0.cpio.gz

echo "$now" >"$out/stamp"
echo "build.sh: $out has Xen and dom0's kernel $version"
