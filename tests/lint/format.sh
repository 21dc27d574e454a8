#!/bin/sh
# clang-format must have nothing to say (`make format` applies it). Versions differ in detail: only
# version 14, Debian 12's, is asked.
cd "${SRCDIR:-.}" || exit 1
tool=${CLANG_FORMAT:-clang-format}
case $($tool --version 2>/dev/null) in
*version\ 14.*) ;;
*)
	echo "clang-format 14 is not here (package clang-format): not checked"
	exit 0
	;;
esac
out=$(find base mmu cpu vmx devices machine frontend tests roms -name '*.[ch]' | sort |
	xargs $tool --style=file --dry-run 2>&1 | grep 'warning:' | cut -d: -f1 | uniq -c)
[ -z "$out" ] && exit 0
echo "$out" | awk '{ print $2 ": " $1 " places are not as clang-format would have them" }'
exit 1
