#!/bin/sh
# Some random guests on the build that is tested. COUNT and SEED can be set; the last lines of what
# the failing guest said hold its seed, and `$BUILD/fuzz -n 1 -s THAT` repeats it.
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
"$BUILD/fuzz" -n "${COUNT:-330}" -s "${SEED:-1}" 2> "$log"
status=$?
[ $status -eq 0 ] || {
	grep '^fuzz: seed' "$log" | tail -n 1
	tail -n 60 "$log"
}
exit $status
