#!/bin/sh
# All lints; closes with "N passed, N failed".
: "${SRCDIR:=.}"
export SRCDIR
passed=0 failed=0
for lint in includes headers tables sources style format; do
	if out=$(sh "$SRCDIR/tests/lint/$lint.sh" 2>&1); then
		passed=$((passed + 1))
		[ -z "$out" ] || echo "lint: $lint: $out"
	else
		failed=$((failed + 1))
		echo "$out"
		echo "lint: $lint: FAILED"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
