#!/bin/sh
# What the formatter does not see: opening comments, leftovers, typedefs of structs, compiler
# extensions out of their place, files that have grown too long.
cd "${SRCDIR:-.}" || exit 1
bad=0
program=$(find base mmu cpu vmx devices machine frontend -name '*.[ch]' | sort)
all=$(find base mmu cpu vmx devices machine frontend tests roms \
	-name '*.[chS]' -o -name '*.def' | sort)

complain()
{
	if [ -n "$1" ]; then
		echo "$1" | sed "s|\$|: $2|"
		bad=1
	fi
}

complain "$(for f in $all; do head -n 1 "$f" | grep -q '^/\*\|^//\|^#' || echo "$f"; done)" \
	'does not open with a comment'
complain "$(grep -nE '\b(TODO|FIXME|XXX)\b' $all)" 'a leftover'
complain "$(grep -nE 'typedef (struct|union|enum)' $program)" 'no typedefs of structs'
complain "$(grep -n '__attribute__' $program | grep -v '^base/compiler.h')" \
	'attributes belong to base/compiler.h'
complain "$(grep -nE '\b(asm|__asm__|__asm) *(volatile)? *\(' $program |
	grep -v '^cpu/fpu/\|^cpu/jit/')" 'assembly belongs to cpu/fpu/ and cpu/jit/'
complain "$(grep -nE '[ 	]+$' $all | cut -d: -f1,2)" 'trailing blanks'
complain "$(for f in $program; do
	[ "$(wc -l < "$f")" -le 800 ] || echo "$f"; done)" 'more than 800 lines'
exit $bad
