#!/bin/sh
# Facts are written once. No row twice in a table; no two tables with the same (number, name) pairs;
# no source file that lists the numbers of a table again. roms/ and tests/ are programs of their own.
cd "${SRCDIR:-.}" || exit 1
tables=$(find base mmu cpu vmx devices machine frontend -name '*.def' | sort)
sources=$(find base mmu cpu vmx devices machine frontend -name '*.[ch]' | sort)
awk '
function rowlike(s) { return s ~ /^[A-Z][A-Z0-9_]*\(/ }
{
	sub(/\r$/, "")
	if (FILENAME ~ /\.def$/) {
		if (!rowlike($0))
			next
		if (seen[FILENAME, $0]++) {
			print FILENAME ":" FNR ": the same row again: " $0
			bad = 1
		}
		row = $0
		if (match(row, /0x[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]+/)) {
			number = tolower(substr(row, RSTART, RLENGTH))
			if (!(FILENAME SUBSEP number in has)) {
				has[FILENAME, number] = 1
				count[FILENAME]++
			}
			rest = row
			sub(/^[^(]*\(/, "", rest)
			while (match(rest, /[A-Za-z_][A-Za-z0-9_]*/)) {
				name = substr(rest, RSTART, RLENGTH)
				rest = substr(rest, RSTART + RLENGTH)
				if (length(name) > 3 && name !~ /^x[0-9a-f]+$/) {
					key = number SUBSEP name
					if (key in owner && owner[key] != FILENAME)
						pairs[owner[key] " and " FILENAME]++
					else
						owner[key] = FILENAME
					break
				}
			}
		}
		next
	}
	line = $0
	while (match(line, /0x[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]+/)) {
		number = tolower(substr(line, RSTART, RLENGTH))
		line = substr(line, RSTART + RLENGTH)
		if (!((FILENAME, number) in used)) {
			used[FILENAME, number] = 1
			numbers[FILENAME] = numbers[FILENAME] " " number
		}
	}
}
END {
	for (p in pairs)
		if (pairs[p] >= 4) {
			print p ": " pairs[p] " rows with the same number and name"
			bad = 1
		}
	for (f in numbers) {
		n = split(numbers[f], list, " ")
		for (t in count) {
			same = 0
			for (i = 1; i <= n; i++)
				same += ((t SUBSEP list[i]) in has)
			if (same >= 8) {
				print f ": repeats " same " numbers of " t
				bad = 1
			}
		}
	}
	exit bad
}' $tables $sources
