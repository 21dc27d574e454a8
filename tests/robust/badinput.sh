#!/bin/sh
# Bad input, and the ends a run can have: each refusal is one clear line on standard error that
# names the thing, with the right exit status, and leaves nothing behind. Prints a line for each
# failure and "N passed, N failed" at the end.
#
# From the environment: GIGOGNE (./gigogne), BUILD (with nest.elf), CC, TIME_FACTOR (1).

# A signal that was ignored when this shell began stays ignored in everything it starts: Ctrl-C cannot
# be tried then (a job in the background of a script).
if [ "$(sh -c 'kill -INT $$; echo ignored')" = ignored ]; then
	echo 'SIGINT is ignored here: skipped'
	exit 0
fi

set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
emulator=${GIGOGNE:-./gigogne}
emulator=$(cd "$(dirname "$emulator")" && pwd)/$(basename "$emulator")
nest=$(cd "${BUILD:-build/rel}" && pwd)/nest.elf
seconds=$((20 * ${TIME_FACTOR:-1}))
passed=0 failed=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$tmp/files" "$tmp/tmp" "$tmp/log"
export TMPDIR="$tmp/tmp"
cd "$tmp/files" || exit 1
. "$here/images.sh"
make_guests
make_broken_files
cp "$nest" nest.elf || exit 1
for size in 4 60 1000 20000; do
	head -c $size nest.elf > nest$size
done

pass() { passed=$((passed + 1)); }

fail()
{
	failed=$((failed + 1))
	echo "FAIL $1: $2"
	tail -qn 4 "$tmp/log/out" "$tmp/log/err" | sed 's/^/    | /'
}

left_behind()
{
	ls -A "$tmp/tmp" "$tmp/files" > "$tmp/log/now"
	[ -e "$tmp/log/files" ] || cp "$tmp/log/now" "$tmp/log/files"
	! diff "$tmp/log/files" "$tmp/log/now"
}
left_behind

start()
{
	timeout -k 5 $seconds "$@" < /dev/null > "$tmp/log/out" 2> "$tmp/log/err"
	status=$?
}

# refuse STATUS NAMED ARGUMENTS...: NAMED is a word the line must have.
refuse()
{
	wanted=$1 named=$2
	shift 2
	start "$emulator" "$@"
	judge_refusal "$*"
}

judge_refusal()
{
	if [ $status -ne "$wanted" ]; then
		fail "$1" "exit status $status, not $wanted"
	elif [ "$(wc -l < "$tmp/log/err")" -ne 1 ]; then
		fail "$1" "not one line on standard error"
	elif ! grep -q '^gigogne: ' "$tmp/log/err" || ! grep -q -e "$named" "$tmp/log/err"; then
		fail "$1" "the line does not begin with gigogne: or does not name $named"
	elif [ -s "$tmp/log/out" ]; then
		fail "$1" "it wrote to standard output"
	elif left_behind; then
		fail "$1" "something is left behind"
	else
		pass
	fi
}

# ends STATUS ARGUMENTS...: a run, with anything on its standard error.
ends()
{
	wanted=$1
	shift
	start "$emulator" "$@"
	if [ $status -ne "$wanted" ]; then
		fail "$*" "exit status $status, not $wanted"
	elif left_behind; then
		fail "$*" "something is left behind"
	else
		pass
	fi
}

kernels()
{
	for file in missing empty directory pipe onebyte random1 random2 random3 zeros ones short_bz \
		header_bz elf32 elf64 elf_arm short_flat shorter_flat flat_at_0 flat_at_4g flat_bss flat_load \
		nest4 nest60 nest1000 nest20000; do
		refuse 65 "'$file'" -nographic -kernel $file
	done
	refuse 65 "/dev/null" -nographic -kernel /dev/null
	refuse 65 "/dev/zero" -nographic -kernel /dev/zero
	refuse 65 "'spin/x'" -nographic -kernel spin/x
	refuse 65 "'big'" -nographic -m 16 -kernel big
	refuse 65 "''" -nographic -kernel ''
}

initrds()
{
	for file in missing empty directory pipe; do
		refuse 65 "'$file'" -nographic -kernel nest.elf -initrd $file
	done
	refuse 65 "'big'" -nographic -m 32 -kernel nest.elf -initrd big
	refuse 65 "'missing'" -nographic -kernel nest.elf -initrd 'spin one,missing two'
	refuse 65 "'missing'" -nographic -kernel nest.elf -initrd 'spin one,,two,missing'
	# A multiboot module may hold anything.
	ends 69 -nographic -kernel spin -initrd random2 -max-insns 1000
	ends 69 -nographic -kernel spin -initrd 'onebyte,random1 words,onebyte' -max-insns 1000
}

disks()
{
	for interface in virtio nvme; do
		for file in missing empty directory pipe; do
			refuse 65 "'$file'" -nographic -kernel spin -drive file=$file,if=$interface
		done
		refuse 65 "/dev/null" -nographic -kernel spin -drive file=/dev/null,if=$interface
		# A raw disk may hold anything; its last sector may be short.
		for file in random1 random2 onebyte; do
			ends 69 -nographic -kernel spin -drive file=$file,if=$interface -max-insns 1000
			ends 69 -nographic -kernel spin -drive file=$file,if=$interface,snapshot=on \
				-max-insns 1000
		done
	done
	refuse 64 "floppy" -kernel spin -drive file=big,if=floppy
	refuse 64 "vdi" -kernel spin -drive file=big,format=vdi
	refuse 64 "file" -kernel spin -drive if=virtio
	refuse 64 "bogus" -kernel spin -drive file=big,bogus=1
	refuse 64 "nobody" -kernel spin -device nvme,drive=nobody
	set -- -kernel spin
	for n in 1 2 3 4 5 6 7 8 9 10; do
		set -- "$@" -drive file=big,if=virtio
	done
	refuse 64 "drive" "$@"
}

options()
{
	refuse 64 "'-bogus'" -bogus
	refuse 64 "bogus'" --bogus
	refuse 64 "'-kernel'" -kernal spin
	refuse 64 "'-nographic'" -nographics
	refuse 64 " -append" -kernel spin -append
	refuse 64 " -kernel" -kernel
	refuse 64 " -m" -m
	refuse 64 "-kernel" -append words
	refuse 64 "-kernel" -initrd spin
	refuse 64 "spam" -demo spam
	refuse 64 " 0 " -demo nest,depth=0
	refuse 64 " 13 " -demo nest,depth=13
	refuse 64 "4x" -demo nest,depth=4x
	refuse 64 "bogus" -demo nest,bogus=1
	for size in 0 -1 abc 1Q '' 12x 0x 99999999999999999999 99999999999G 18446744073709551615G; do
		refuse 64 "-m: .*$size" -kernel spin -m "$size"
	done
	for number in 0 -1 17 x '' 4294967297 99999999999999999999 1.5; do
		refuse 64 "-smp: .*$number" -kernel spin -smp "$number"
	done
	for cpu in nonsense '' max,bogus max,+bogus max,-bogus max,bogus=on max,avx=maybe \
		base,vmx-bogus=on +avx max,, ; do
		refuse 64 "cpu" -kernel spin -cpu "$cpu"
	done
	refuse 64 "avx2" -kernel spin -cpu max,+avx22
	for device in nonsense '' nvme,bogus=1 nvme virtio-blk-pci isa-debug-exit,iobase=zz \
		isa-debug-exit,iobase=0x10000 isa-debug-exit,iobase=0x501,iosize=3; do
		refuse 64 "device" -kernel spin -device "$device"
	done
	refuse 64 "virtio-rng-pci" -kernel spin -device virtio-rnd-pci
	refuse 64 "q35" -kernel spin -machine q35
	refuse 64 "kvm" -kernel spin -accel kvm
	refuse 64 "bogus" -kernel spin -serial bogus
	refuse 64 "bogus" -kernel spin -monitor bogus
	refuse 64 "gtk" -kernel spin -display gtk
	refuse 64 "user" -kernel spin -nic user
	refuse 64 "bogus" -kernel spin -d int,bogus
	refuse 64 "never" -kernel spin -rtc base=never
	refuse 64 "2026-13-01" -kernel spin -rtc base=2026-13-01T00:00:00
	for limit in -timeout -max-time -max-insns -hash-every; do
		refuse 64 "'-5'" -kernel spin $limit -5
		refuse 64 "'x'" -kernel spin $limit x
		refuse 64 "99999999999999999999" -kernel spin $limit 99999999999999999999
	done
	refuse 64 "nowhere/log" -kernel spin -D nowhere/log -d int
	refuse 64 "nowhere/serial" -kernel spin -serial file:nowhere/serial
	refuse 64 "99999" -kernel spin -gdb tcp::99999
	refuse 64 "nobody" -kernel spin -serial chardev:nobody
	refuse 64 "same" -kernel spin -chardev null,id=same -chardev null,id=same
	refuse 64 "stdio" -kernel spin -serial stdio -debugcon stdio
	refuse 64 "serial" -kernel spin -serial null -serial null -serial null -serial null -serial null
	refuse 64 "image.bin" image.bin
}

# The statuses a run can end with.
endings()
{
	ends 0 -version
	ends 0 -help
	ends 0 -demo nest,depth=1
	ends 11 -nographic -kernel leave -device isa-debug-exit,iobase=0xf4,iosize=4
	ends 66 -nographic -kernel fault -no-reboot
	ends 67 -nographic -kernel panic -device pvpanic -no-reboot
	ends 68 -nographic -kernel spin -timeout 1
	ends 68 -nographic -kernel halt -timeout 1
	ends 68 -nographic -kernel fault -timeout 1
	ends 69 -nographic -kernel spin -max-time 1
	ends 69 -nographic -kernel spin -max-insns 100000
}

# No memory: a clear line or a good end, at whatever point it runs out. A sanitizer needs its own
# address space and cannot be run so.
memory()
{
	case ${BUILD:-} in
	*asan*) return ;;
	esac
	wanted=70 named=memory
	start sh -c 'ulimit -v 1000000 && exec "$@"' sh "$emulator" -nographic -m 8G -kernel spin
	judge_refusal "8 GiB under ulimit -v 1000000"
	limit=12000
	while [ $limit -lt 700000 ]; do
		start sh -c "ulimit -v $limit && "'exec "$@"' sh "$emulator" -demo nest,depth=2
		case $status in
		0) pass ;;
		70) judge_refusal "ulimit -v $limit" ;;
		127)
			# not even the dynamic loader found room
			grep -q 'shared librar' "$tmp/log/err" && pass ||
				fail "ulimit -v $limit" "exit status 127" ;;
		*) fail "ulimit -v $limit" "exit status $status" ;;
		esac
		limit=$((limit + limit / 3))
	done
}

# at_terminal TEXT ACTION STATUS ARGUMENTS...: on a terminal, which must be in raw mode meanwhile
# and as before afterwards.
at_terminal()
{
	text=$1 action=$2 wanted=$3
	shift 3
	start "$tmp/log/pty" "$text" "$action" "$emulator" "$@"
	case $action in
	hangup) line="status $wanted mode raw restored -" ;;
	*) line="status $wanted mode raw restored YES" ;;
	esac
	if [ "$(tail -n 1 "$tmp/log/out")" != "$line" ]; then
		fail "$action: $*" "$(tail -n 1 "$tmp/log/out"), not $line"
	elif left_behind; then
		fail "$action: $*" "something is left behind"
	else
		pass
	fi
}

signals()
{
	if ! ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -o "$tmp/log/pty" "$here/pty.c"; then
		fail pty 'cannot be compiled'
		return
	fi
	for guest in spin halt chatter; do
		for signal in 1 2 3 15; do
			at_terminal R signal:$signal $((128 + signal)) -nographic -kernel $guest
		done
		at_terminal R hangup 129 -nographic -kernel $guest
		at_terminal R key:^C 130 -serial stdio -kernel $guest
		at_terminal R 'key:^Ax' 0 -nographic -kernel $guest
		at_terminal R 'key:^C^Ax' 0 -nographic -kernel $guest
		at_terminal R 'key:^Ac^Mquit^M' 0 -nographic -kernel $guest
	done
	at_terminal R signal:15 143 -nographic -smp 16 -kernel spin
	at_terminal R signal:11 sig11 -nographic -kernel spin
	at_terminal R signal:6 sig6 -nographic -kernel halt
}

# An orderly end without a terminal says which signal it was, in one line.
plain_signal()
{
	"$emulator" -nographic -timeout $seconds -kernel "$1" < /dev/null > "$tmp/log/out" \
		2> "$tmp/log/err" &
	child=$!
	for n in 1 2 3 4 5 6 7 8 9 10; do
		grep -q R "$tmp/log/out" && break
		sleep 0.3
	done
	kill -15 $child
	wait $child
	status=$? wanted=143 named='signal 15'
	: > "$tmp/log/out"
	judge_refusal "SIGTERM, guest $1"
}

outputs()
{
	wanted=141 named=stdio
	start sh -c '{ "$@" 3>&-; echo $? > ../log/status; } | head -n 1 > /dev/null' \
		sh "$emulator" -nographic -kernel chatter
	status=$(cat ../log/status)
	judge_refusal 'reader of standard output gone'
	start sh -c '"$@" > /dev/full' sh "$emulator" -nographic -kernel chatter
	judge_refusal 'standard output on a full disk'
	start sh -c '"$@" >&-' sh "$emulator" -demo nest,depth=2
	[ $status -eq 0 ] && pass || fail 'standard output closed' "exit status $status"
	start sh -c '"$@" <&- 2>&-' sh "$emulator" -demo nest,depth=2
	[ $status -eq 0 ] && pass || fail 'standard input and error closed' "exit status $status"
	# No descriptor of a file may be taken for a standard one.
	start sh -c '"$@" <&- >&- 2>&-' sh "$emulator" -kernel spin -serial file:../log/serial -max-insns 1000
	if [ $status -eq 69 ] && [ "$(cat ../log/serial)" = R ]; then
		pass
	else
		fail 'everything closed, serial port in a file' "exit status $status"
	fi
	for option in -version -help '-cpu help'; do
		start sh -c '"$@" > /dev/full' sh "$emulator" $option
		wanted=70 named=output
		judge_refusal "$option on a full disk"
	done
}

kernels
initrds
disks
options
endings
memory
signals
plain_signal spin
plain_signal halt
outputs
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
