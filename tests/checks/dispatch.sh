#!/bin/sh
# In the release build every specialised handler ends in a jump: an indirect call would mean that
# the compiler did not make a tail call, and the host stack would grow with every instruction.
command -v objdump > /dev/null 2>&1 || { echo 'no objdump: skipped'; exit 0; }
case $(uname -m) in
x86_64) call='call.*\*' ;;
aarch64) call='blr' ;;
*) exit 0 ;;
esac
bad=0
for object in "$BUILD"/cpu/fast_*.o; do
	objdump -d "$object" | grep -q 'jmp.*\*\|br	x' || continue # another dispatcher: nothing to see
	n=$(objdump -d "$object" | grep -c "$call")
	[ "$n" -eq 0 ] || { echo "$object: $n indirect calls"; bad=1; }
done
exit $bad
