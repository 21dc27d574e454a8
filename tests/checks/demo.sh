#!/bin/sh
# The built-in guest: four levels, the right answer, exit code 0, and the same bytes twice.
out=$("$GIGOGNE" -demo nest,depth=4 -timeout 120 2>&1 < /dev/null) || { echo "$out"; exit 1; }
again=$("$GIGOGNE" -demo nest,depth=4 -timeout 120 2>&1 < /dev/null) || exit 1
case $out in
*'nest: 4 levels, the answer is right'*) ;;
*)
	echo "$out"
	exit 1
	;;
esac
[ "$out" = "$again" ] || { echo 'two runs differ'; exit 1; }
