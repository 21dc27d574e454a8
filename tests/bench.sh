#!/bin/sh
# Speed of the emulator, as host CPU seconds (user + system) between lines on the guest's console:
# boot of the stock cloud kernel from its first line to init, the guest kit's programs at level 1 and
# its VM exits at level 2. Compare ratios of one run, never seconds of two.
#
# From the environment: GIGOGNE (./gigogne), GUEST_KIT (build/guest, made when missing), PERCENT (20:
# the share of each program's full length), OTHER: another emulator's command, run in turns with
# ours; it is called with the kernel's command line as its one argument and must print the console.
set -u
here=$(cd "$(dirname "$0")" && pwd)
emulator=${GIGOGNE:-./gigogne}
kit=${GUEST_KIT:-build/guest}
percent=${PERCENT:-20}
common="mitigations=off nokaslr console=ttyS0,115200 ggpercent=$percent"

sh "$here/guest/build.sh" "$kit" > /dev/null || exit 1

ours() # LABEL COMMAND-LINE MARK...
{
	label=$1 line=$2
	shift 2
	echo "== $label: gigogne"
	"$kit/host-markers" -q -t 900 "$@" -- "$emulator" -m 1024 -nographic -no-reboot \
		-kernel "$kit/vmlinuz-cloud" -initrd "$kit/initramfs.cpio.gz" -append "$line" < /dev/null
	[ -z "${OTHER:-}" ] || {
		echo "== $label: $OTHER"
		"$kit/host-markers" -q -t 3600 "$@" -- $OTHER "$line" < /dev/null
	}
}

ours boot "$common gg=off" "Linux version" "init level=1"
ours programs "$common quiet gg=bench" "bench "
ours exits "$common quiet gg=exits" "bench "
