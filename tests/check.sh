#!/bin/sh
# Runs each command given and adds up. A command whose last line is "N passed, N failed" is counted
# so; any other is one test, passed if it exits with 0. Its output is shown if it fails; a line
# "rules: ...", the count of the VMX rules and of those that a test breaks, is shown always.
passed=0 failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
for test in "$@"; do
	name=$(basename "$test" .sh)
	case $test in
	*/lint/run.sh) name=lint ;;
	esac
	start=$(date +%s)
	case $test in
	*.sh) sh "$test" > "$log" 2>&1 ;;
	*) "$test" > "$log" 2>&1 ;;
	esac
	status=$?
	last=$(tail -n 1 "$log")
	counts=$(echo "$last" | sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p')
	if [ -n "$counts" ]; then
		p=${counts% *} f=${counts#* }
		# A crash behind the count is a failure too.
		[ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
	elif [ "$status" -eq 0 ]; then
		p=1 f=0
	else
		p=0 f=1
	fi
	passed=$((passed + p)) failed=$((failed + f))
	if [ "$f" -gt 0 ]; then
		cat "$log"
		echo "FAIL $name: $p passed, $f failed ($(($(date +%s) - start)) s)"
	else
		echo "ok   $name: $p passed ($(($(date +%s) - start)) s)"
		sed -n '/^rules: /p' "$log"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
