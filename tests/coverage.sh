#!/bin/sh
# Branch coverage of vmx/, file by file and in all, after the VMX suites of the unit tests and some
# VMX guests, in a build with MODE=cov. A branch counts as covered if it was taken at least once. Fails
# below COVERAGE percent (85). The rules_*.def tables are counted where check.c expands them.
cd "${SRCDIR:-.}" || exit 1
build=build/cov
${MAKE:-make} -s --no-print-directory MODE=cov "$build/unit" "$build/gigogne" || exit 1
find "$build" -name '*.gcda' -exec rm -f {} +
suites=$(sed -n 's/^T(\(.*\))$/\1/p' "$build/suites.def" | grep vmx)
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# one after the other: a suite that ends in time writes its counts
for s in $suites; do
	VMX_MUTATIONS=${VMX_MUTATIONS:-20000} "$build/unit" "$s" > "$log" 2>&1 || {
		cat "$log"
		exit 1
	}
done
"$build/gigogne" -demo nest,depth=${DEPTH:-3} > "$log" 2>&1 || {
	tail -n 5 "$log"
	exit 1
}
for c in vmx/*.c; do
	${GCOV:-gcov} -b -n -o "$build/vmx" "$c" 2> /dev/null
done | awk -v wanted="${COVERAGE:-85}" '
	/^File / {
		split($0, part, "\047")
		file = part[2]
		sub(/^.*\/vmx\//, "vmx/", file)
	}
	/^Taken at least once:/ && file ~ /^vmx\/.*\.(c|def)$/ {
		split($0, part, /[:% ]+/)
		n = $NF
		percent = $0
		sub(/^.*:/, "", percent)
		sub(/%.*/, "", percent)
		all[file] += n
		taken[file] += percent * n / 100
	}
	END {
		for (f in all) {
			printf "%-32s %5d of %5d branches, %5.1f %%\n", f, taken[f] + .5, all[f], 100 * taken[f] / all[f] | "sort"
			sum += all[f]
			got += taken[f]
		}
		close("sort")
		printf "vmx/ in all: %d of %d branches, %.1f %%\n", got + .5, sum, sum ? 100 * got / sum : 0
		exit !sum || 100 * got / sum < wanted
	}'
