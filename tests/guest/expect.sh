# Sourced by check.sh of tests/guest and tests/xen: what passes and fails, and guests that are expected
# to print something. The caller sets $emulator, $kit (its host-markers is used) and $factor.
# Everything temporary is in $tmp, removed at the end; the process $busy is ended too.

passed=0 failed=0
tmp=$(mktemp -d) || exit 1
busy=
trap '[ -z "$busy" ] || kill $busy; rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

pass()
{
	passed=$((passed + 1))
	echo "PASS $1 ($(($(date +%s) - begun)) s)"
}

# fail NAME REASON [FILE to show the end of]
fail()
{
	failed=$((failed + 1))
	echo "FAIL $1: $2"
	[ $# -lt 3 ] || tail -n 40 "$3" | sed 's/^/    | /'
}

# expect NAME SECONDS STATUS MARKERS-OPTIONS-AND-MARKS... -- EMULATOR-ARGUMENTS...
# The emulator must print a line with each mark and end with the status in time.
expect()
{
	name=$1 limit=$(($2 * factor)) status=$3
	shift 3
	begun=$(date +%s)
	count=$#
	while [ "$count" -gt 0 ]; do
		word=$1
		shift
		count=$((count - 1))
		set -- "$@" "$word"
		[ "$word" != -- ] || set -- "$@" "$emulator" -nographic
	done
	"$kit/host-markers" -t "$limit" "$@" > "$tmp/log" 2>&1
	ended=$(grep '^ .*  (exit status [0-9]*)$\|^ .*  (signal [0-9]*)$\|^ .*  (time limit)$' \
		"$tmp/log" | tail -n 1 | sed 's/.*  (\(.*\))$/\1/')
	missing=$(sed -n 's/^never seen: //p' "$tmp/log")
	if [ "$ended" != "exit status $status" ]; then
		fail "$name" "${ended:-no end}, not exit status $status" "$tmp/log"
	elif [ -n "$missing" ]; then
		fail "$name" "never printed: $(echo $missing)" "$tmp/log"
	else
		pass "$name"
	fi
}
