#!/bin/sh
# Boots stock Debian kernels and checks what they say: check.sh [quick|long|moods|all]
#
# quick (the default) is the part of `make check`: shell, power off, panic, triple fault, both
# kernels, four processors, KVM's parameters, a level-2 kernel, and two equal runs. long is what
# `make check-long` adds: level-3 and level-4 kernels, more processors, equal runs of nested and of
# multiprocessor guests, the deepest nest, and moods: KVM with each of its parameters off, on
# processors without this or that, and guests that are not 64-bit. One line PASS or FAIL for each, then
# "N passed, N failed".
#
# From the environment: GIGOGNE (./gigogne), GUEST_KIT (build/guest; made there by build.sh when it is
# not ready), CC, TIME_FACTOR (1; for slow hosts and instrumented builds all time limits are
# multiplied by it). Everything temporary is in one folder that is removed at the end.

set -u
export LC_ALL=C
part=${1:-quick}
here=$(cd "$(dirname "$0")" && pwd)
emulator=${GIGOGNE:-./gigogne}
kit=${GUEST_KIT:-build/guest}
factor=${TIME_FACTOR:-1}
. "$here/expect.sh"

# At the 9600 baud of a bare ttyS0 the guest would wait for the line.
serial=console=ttyS0,115200

# The serial output, the hash lines on standard error and the exit status of one run, into files
# named $tmp/RUN.*.
record()
{
	run=$1
	shift
	timeout "$limit" "$emulator" -nographic "$@" < /dev/null > "$tmp/$run.serial" 2> "$tmp/$run.hashes"
	echo $? > "$tmp/$run.status"
}

# twice NAME SECONDS HASH-EVERY EMULATOR-ARGUMENTS...: the second time beside a busy process, with
# another environment and at another time.
twice()
{
	name=$1 limit=$(($2 * factor)) every=$3
	shift 3
	begun=$(date +%s)
	record first --hash-every "$every" "$@"
	(while :; do :; done) &
	busy=$!
	UNRELATED=$(date) record second --hash-every "$every" "$@"
	kill $busy
	wait $busy 2> /dev/null
	busy=
	if [ "$(cat "$tmp/first.status")" != 0 ]; then
		fail "$name" "exit status $(cat "$tmp/first.status")" "$tmp/first.serial"
	elif [ "$(grep -c '^hash ' "$tmp/first.hashes")" -lt 2 ]; then
		fail "$name" "fewer than two hashes" "$tmp/first.hashes"
	elif ! diff "$tmp/first.serial" "$tmp/second.serial" > "$tmp/diff"; then
		fail "$name" "the serial outputs differ" "$tmp/diff"
	elif ! diff "$tmp/first.hashes" "$tmp/second.hashes" > "$tmp/diff"; then
		fail "$name" "the hashes differ" "$tmp/diff"
	else
		pass "$name"
	fi
}

cloud() { echo "-kernel $kit/vmlinuz-cloud -initrd $kit/initramfs.cpio.gz"; }
mini() { echo "-kernel $kit/vmlinuz-cloud -initrd $kit/mini.cpio.gz"; }
full() { echo "-kernel $kit/vmlinuz-full -initrd $kit/mini.cpio.gz"; }

nested_levels()
{
	expect "nest $1 levels deep" 120 0 "nest: $1 levels, the answer is right" -- \
		-demo "nest,depth=$1"
}

# Restarts until its time is over; one boot takes less than a second of it.
restart()
{
	expect 'cloud kernel: restarts' 180 69 'Linux version' -- -m 512 -max-time 2 $(mini) \
		-append "$serial gg=run:reboot+-f"
	name='cloud kernel: runs again after a restart'
	if [ "$(grep -c '^\[.*Linux version' "$tmp/log")" -ge 2 ]; then
		pass "$name"
	else
		fail "$name" 'it did not start twice' "$tmp/log"
	fi
}

# What a level prints when its clock ran well and its kernel complained of nothing.
clean() { echo "gigogne-guest: level $1 clean"; }

quick()
{
	expect "cloud kernel: shell on the serial line, power off" 120 0 \
		-s '/ # ' 'echo sum=$((6*7)); exit' 'sum=42' 'level 1 power off' -- \
		-m 512 $(mini) -append "$serial"
	expect 'cloud kernel: panic' 120 67 'Kernel panic - not syncing' -- \
		-m 512 -no-reboot $(mini) -append "$serial quiet gg=panic panic=-1"
	expect 'cloud kernel: triple fault' 120 66 'gg=run:reboot+-f' -- \
		-m 512 -no-reboot $(mini) -append "$serial quiet gg=run:reboot+-f reboot=t"
	restart
	expect 'full kernel: boots to init' 240 0 'init level=1' 'level 1 power off' -- \
		-m 512 $(full) -append "$serial quiet gg=off"
	expect 'cloud kernel: four processors' 240 0 'cpus=4' 'level 1 power off' -- \
		-m 512 -smp 4 $(mini) -append "$serial quiet gg=off"
	expect 'an hour of sleep passes at once' 120 0 'command status 0' -- \
		-m 512 $(mini) -append "$serial quiet gg=run:sleep+3600"
	set --
	for parameter in ept eptad unrestricted_guest vpid flexpriority vnmi preemption_timer \
		enable_shadow_vmcs nested; do
		set -- "$@" "kvm_intel $parameter=Y"
	done
	expect 'modprobe kvm_intel finds all it wants' 120 0 "$@" -- \
		-m 512 $(cloud) -append "$serial quiet gg=kvm"
	expect 'level 2 boots to its init, nothing complains' 300 0 \
		'init level=2' "$(clean 2)" "$(clean 1)" -- \
		-m 1024 $(cloud) -append "$serial quiet gg=nest:1"
	twice 'the same command line gives the same run' 120 100000000 \
		-m 512 $(mini) -append "$serial gg=off"
	nested_levels 6
}

# mood CPU WHAT MARK COMMAND-LINE-WORDS: level 2 boots, and level 1 prints the mark.
mood()
{
	expect "level 2 boots: $2" 400 0 "$3" 'init level=2' "$(clean 2)" "$(clean 1)" -- \
		-m 768 -cpu "$1" $(cloud) -append "$serial quiet gg=nest:1 $4"
}

moods()
{
	for word in nested=0 ept=0 eptad=0 unrestricted_guest=0 vpid=0 flexpriority=0 vnmi=0 \
		preemption_timer=0 enable_apicv=0 enable_shadow_vmcs=0 pml=0 enable_ipiv=0 fasteoi=0 \
		emulate_invalid_guest_state=0; do
		mood max "$word" "kvm_intel ${word%=*}=N" "ggkvm=$word"
	done
	mood max ple_gap=0 'kvm_intel ple_gap=0' ggkvm=ple_gap=0
	mood max nested_early_check=1 'kvm_intel nested_early_check=Y' ggkvm=nested_early_check=1
	while read -r feature parameter; do
		mood "max,vmx-$feature=off" "a processor without vmx-$feature" \
			"kvm_intel $parameter=N" "ggkvm=$parameter=1"
	done <<- LIST
		ept ept
		vpid vpid
		unrestricted-guest unrestricted_guest
		flexpriority flexpriority
		shadow-vmcs enable_shadow_vmcs
		vnmi vnmi
		preemption-timer preemption_timer
	LIST
	for word in nested=1 ept=0 ept=0+vpid=0 unrestricted_guest=0; do
		tiny "$word" real unreal switch flat32 pae
	done
	# without emulation KVM cannot run a segment of 4 GiB in real mode
	tiny unrestricted_guest=0+emulate_invalid_guest_state=0 real switch flat32 pae
}

# tiny KVM-PARAMETERS GUEST...: guests of vmm/tiny.S compute what they should.
tiny()
{
	words=$1
	shift
	guests=$(echo "$*" | tr ' ' ,)
	for guest; do
		set -- "$@" "tiny guest $guest is right"
		shift
	done
	expect "16-bit and 32-bit guests with $words: $guests" 120 0 "$@" -- \
		-m 512 $(cloud) -append "$serial quiet gg=tiny:$guests ggkvm=$words"
}

long()
{
	expect 'level 3 boots to its init, nothing complains' 900 0 \
		'init level=3' "$(clean 3)" "$(clean 2)" "$(clean 1)" -- \
		-m 1536 $(cloud) -append "$serial quiet gg=nest:2"
	expect 'level 4 boots to its init, nothing complains' 1800 0 \
		'init level=4' "$(clean 4)" "$(clean 3)" "$(clean 2)" "$(clean 1)" -- \
		-m 2560 $(cloud) -append "$serial quiet gg=nest:3"
	expect 'full kernel: four processors' 600 0 'cpus=4' 'level 1 power off' -- \
		-m 512 -smp 4 $(full) -append "$serial quiet gg=off"
	expect 'cloud kernel: sixteen processors' 900 0 'cpus=16' 'level 1 power off' -- \
		-m 1024 -smp 16 $(mini) -append "$serial quiet gg=off"
	expect 'level 2 with four processors on four' 900 0 \
		'init level=2' 'cpus=4 gg=nest:0' "$(clean 2)" "$(clean 1)" -- \
		-m 1024 -smp 4 $(cloud) -append "$serial quiet gg=nest:1 ggcpus=4"
	expect 'level 2 with four processors on eight' 1200 0 \
		'init level=2' 'cpus=4 gg=nest:0' "$(clean 2)" "$(clean 1)" -- \
		-m 1024 -smp 8 $(cloud) -append "$serial quiet gg=nest:1 ggcpus=4"
	twice 'the same run with four processors' 600 100000000 \
		-m 512 -smp 4 $(mini) -append "$serial gg=off"
	twice 'the same run with a level 2' 600 100000000 \
		-m 1024 $(cloud) -append "$serial gg=nest:1"
	expect 'every benchmark runs' 1800 0 'bench intmix end' 'bench forkexec end' -- \
		-m 512 $(cloud) -append "$serial quiet gg=bench ggpercent=5"
	nested_levels 8
	moods
}

case $part in
quick | long | moods | all) ;;
*)
	echo 'usage: check.sh [quick|long|moods|all]' >&2
	exit 2
	;;
esac
if ! sh "$here/build.sh" "$kit" > "$tmp/log" 2>&1; then
	cat "$tmp/log"
	echo "FAIL the guests cannot be built in $kit"
	echo '0 passed, 1 failed'
	exit 1
fi
case $part in
all) quick && long ;;
*) $part ;;
esac
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
