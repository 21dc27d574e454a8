#!/bin/sh
# The program as a command: exit codes, streams, help, repeatability. Guests are flat multiboot
# images of a few bytes. (Bad input is tests/robust/, keys and signals tests/unit/test_terminal.c.)
: "${GIGOGNE:=build/rel/gigogne}"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

# guest NAME CODE: CODE in printf's octal escapes, loaded and entered at 100020h.
guest()
{
	printf '\002\260\255\033\000\000\001\000\376\117\121\344\000\000\020\000' > "$dir/$1"
	printf '\000\000\020\000\000\000\000\000\000\000\000\000\040\000\020\000' >> "$dir/$1"
	# shellcheck disable=SC2059
	printf "$2" >> "$dir/$1"
}
guest exit '\260\005\346\364\353\376'				# mov al,5; out f4h,al; jmp $
guest triple '\017\001\035\060\000\020\000\314\000\000\000\000\000\000\000\000\000\000\000\000\000\000' # lidt [zeros]; int3
guest spin '\353\376'						# jmp $
guest halt '\372\364\353\375'					# cli; hlt
guest hello '\146\272\373\003\260\003\356\146\272\370\003\260\150\356\260\151\356\260\012\356\353\376' # "hi"
guest spam '\146\272\373\003\260\003\356\146\272\370\003\260\101\356\260\012\356\353\370'
guest echo '\146\272\373\003\260\003\356\146\272\375\003\354\250\001\164\367\146\272\370\003\354\356\353\357'
guest panic '\146\272\005\005\260\001\356\260\376\346\144\353\376' # pvpanic, then reset
guest reset '\260\376\346\144\353\376'				# out 64h, feh

result()
{
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "cli: $2"
	fi
}

# ends CODE TEXT ARGUMENTS...: exit code, and a text in what it says ('' for any).
ends()
{
	code=$1 text=$2
	shift 2
	if [ $# -gt 1 ]; then
		set -- -timeout 60 "$@"
	fi
	(cd "$dir" && "$GIGOGNE" "$@" < /dev/null > out 2>&1)
	got=$?
	if [ $got -ne "$code" ]; then
		result bad "$* : exit code $got instead of $code: $(tail -n 2 "$dir/out")"
	elif [ -n "$text" ] && ! grep -q -e "$text" "$dir/out"; then
		result bad "$* : '$text' is not in: $(tail -n 3 "$dir/out")"
	else
		result ok
	fi
}

# is WHAT EXPECTED GOT
is()
{
	if [ "$2" = "$3" ]; then
		result ok
	else
		result bad "$1: '$3' instead of '$2'"
	fi
}

# --- help ---
ends 0 'demo nest,depth=4'
is 'lines without arguments' 3 "$(wc -l < "$dir/out" | tr -d ' ')"
ends 0 '^gigogne [0-9]' -version
ends 0 '  -nographic' -help
ends 0 '^nvme ' -device help
ends 0 ' vmx' -cpu help
ends 0 '^exits ' -d help
ends 0 '^.TH GIGOGNE' -help=man
ends 0 '^complete ' -help=bash
if command -v bash > /dev/null; then
	is 'completion of -nog' -nographic "$(cd "$dir" && bash -c '. ./out
		COMP_WORDS=(gigogne -nog) COMP_CWORD=1; _gigogne; echo "${COMPREPLY[*]}"')"
fi
ends 0 '^memory = 67108864' -m 64 -demo nest --dump-config

# --- how it ends ---
ends 11 '' -m 16 -kernel exit -device isa-debug-exit,iobase=0xf4,iosize=0x4
ends 66 'triple fault' -m 16 -kernel triple -no-reboot
ends 69 'hi' -m 16 -kernel hello -max-insns 100000
ends 69 'limit' -m 16 -kernel spin -max-time 1
ends 68 'limit of 1 seconds' -m 16 -kernel halt -timeout 1
ends 0 '' -m 16 -kernel reset -no-reboot
ends 67 '' -m 16 -kernel panic -device pvpanic -no-reboot
ends 65 "kernel 'nothing': No such file" -kernel nothing
ends 64 "nearest is '-nographic'" -nographc
ends 64 "'vmx-unrestricted-guest' needs 'vmx-ept'" -cpu max,vmx-unrestricted-guest=on,vmx-ept=off -demo nest
ends 64 "'vmx-ept' needs 'vmx'" -cpu max,vmx=off,vmx-ept=on -demo nest
ends 0 'the answer is right' -cpu max,vmx-true-ctls=off,vmx-ept-1gb=off,vmx-activity-hlt=off -demo nest,depth=2

# --- streams ---
ends 69 '' -m 16 -kernel hello -serial file:serial -max-insns 100000
is 'serial port in a file' hi "$(cat "$dir/serial")"
ends 69 '' -m 16 -kernel hello -serial null -max-insns 100000
is 'input reaches the guest' hello "$(cd "$dir" && printf hello |
	"$GIGOGNE" -timeout 60 -m 16 -kernel echo -nographic -max-insns 60000000 2> /dev/null)"
is 'Ctrl-A x from a pipe' 0 "$(cd "$dir" && printf '\001x' |
	"$GIGOGNE" -timeout 60 -m 16 -kernel echo -nographic > /dev/null 2>&1; echo $?)"
is 'monitor from a pipe' 'VM status: running' "$(cd "$dir" && printf 'info status\nq\n' |
	"$GIGOGNE" -timeout 60 -m 16 -kernel spin -monitor stdio 2> /dev/null | grep -a -o 'VM status: .*')"
(cd "$dir" && { "$GIGOGNE" -timeout 60 -m 16 -kernel spam -nographic < /dev/null 2> err; echo $? > code; } |
	head -c 10 > /dev/null)
is 'broken pipe' 141 "$(cat "$dir/code")"
is 'its message' "gigogne: output to 'stdio': Broken pipe" "$(cat "$dir/err")"
is 'closed descriptors' 69 "$(cd "$dir" &&
	{ "$GIGOGNE" -m 16 -kernel hello -nographic -max-insns 100000 <&- >&- 2>&-; echo $?; })"
is 'full disk' 141 "$(cd "$dir" &&
	{ "$GIGOGNE" -m 16 -kernel hello -nographic -max-insns 3000000 < /dev/null > /dev/full 2>&1
	echo $?; })"

# --- the same again ---
(cd "$dir" && "$GIGOGNE" -demo nest,depth=2 -hash-every 300000 < /dev/null > a 2>&1
"$GIGOGNE" -demo nest,depth=2 -hash-every 300000 < /dev/null > b 2>&1)
is 'hashes of two runs' "$(grep ^hash "$dir/a")" "$(grep ^hash "$dir/b")"
is 'there are hashes' yes "$([ "$(grep -c ^hash "$dir/a")" -ge 2 ] && echo yes)"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
