#!/bin/sh
# Every header must compile alone. Headers that are bodies to be included several times say so with
# the words "Included by" or "included once per" in their first comment.
cd "${SRCDIR:-.}" || exit 1
bad=0
for h in $(find base mmu cpu vmx devices machine frontend -name '*.h' | sort); do
	if sed '/\*\//q' "$h" | grep -q -i 'included by\|included once per'; then
		continue
	fi
	if ! echo "#include \"$h\"" | ${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra \
		-Wno-unused-function -Werror -I. -x c -fsyntax-only - ; then
		echo "$h: does not compile alone"
		bad=1
	fi
done
exit $bad
