#!/bin/sh
# Every C file is in a folder that is built.
cd "${SRCDIR:-.}" || exit 1
tmp=$(mktemp) || exit 1
trap 'rm -f "$tmp"' EXIT
${MAKE:-make} -s --no-print-directory print-sources > "$tmp" || exit 1
bad=0
for c in $(find base mmu cpu vmx devices machine frontend tests/unit -name '*.c' | sort); do
	if ! grep -qx "$c" "$tmp"; then
		echo "$c: is in no folder that the Makefile builds"
		bad=1
	fi
done
exit $bad
