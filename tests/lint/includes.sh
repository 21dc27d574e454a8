#!/bin/sh
# Every #include "..." must be allowed by edges.txt.
cd "${SRCDIR:-.}" || exit 1
grep -rn '^[ 	]*#[ 	]*include "' base mmu cpu vmx devices machine frontend \
	--include='*.c' --include='*.h' --include='*.def' |
awk '
FNR == NR {
	if ($1 !~ /^#/ && NF)
		for (i = 2; i <= NF; i++)
			allowed[$1] = allowed[$1] " " $i
	next
}
{
	split($0, part, ":")
	file = part[1]
	name = $0
	sub(/^[^"]*"/, "", name)
	sub(/".*/, "", name)
	folder = file
	do {
		sub(/\/[^\/]*$/, "", folder)
	} while (!(folder in allowed) && folder ~ /\//)
	n = split(allowed[folder] allowed[file], may, " ")
	ok = 0
	for (i = 1; i <= n; i++)
		if (may[i] ~ /\/$/ ? index(name, may[i]) == 1 : name == may[i])
			ok = 1
	if (!ok) {
		print file ":" part[2] ": may not include " name
		bad = 1
	}
}
END { exit bad }' tests/lint/edges.txt -
