#!/bin/sh
# A triple fault ends the run also when a halted processor was woken for it: LIDT of an empty table,
# PIC and PIT on, STI, HLT.
set -u
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
{
	# multiboot header with addresses: loaded and entered at 100000H
	printf '\002\260\255\033\000\000\001\000\376\117\121\344\000\000\020\000\000\000\020\000'
	printf '\100\000\020\000\100\000\020\000\040\000\020\000'
	printf '\017\001\035\070\000\020\000\260\376\346\041\260\064\346\103\260\000\346\100\346\100'
	printf '\373\364\353\375\000\000\000\000\000\000\000'
} > "$tmp/image"
timeout 60 "$GIGOGNE" -kernel "$tmp/image" -m 16 -nographic -no-reboot -max-time 5 > "$tmp/log" 2>&1
status=$?
[ $status -eq 66 ] && exit 0
echo "exit status $status, not 66"
tail -n 20 "$tmp/log"
exit 1
