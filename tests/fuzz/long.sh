#!/bin/sh
# Ten thousand random guests under AddressSanitizer and UndefinedBehaviorSanitizer, without a report,
# an abort, a hang or a leak. COUNT, SEED and JOBS can be set.
${MAKE:-make} -s --no-print-directory MODE=asan build/asan/fuzz || exit 1
count=${COUNT:-10000} seed=${SEED:-1} jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
part=$(((count + jobs - 1) / jobs))
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0
while [ $n -lt "$jobs" ]; do
	(
		build/asan/fuzz -n $part -s $((seed + n * part)) > "$tmp/$n.out" 2> "$tmp/$n.err"
		echo $? > "$tmp/$n.status"
	) &
	n=$((n + 1))
done
wait
bad=0 n=0
while [ $n -lt "$jobs" ]; do
	cat "$tmp/$n.out"
	if [ "$(cat "$tmp/$n.status")" != 0 ]; then
		grep '^fuzz: seed' "$tmp/$n.err" | tail -n 1
		tail -n 60 "$tmp/$n.err"
		bad=1
	fi
	n=$((n + 1))
done
exit $bad
