#!/bin/sh
# The checked-in image of the built-in guest is what its sources give, byte for byte, where the
# compiler is the one that made it (roms/nest/compiler.txt); with any other compiler a fresh image
# has to run to the same answer instead.
nest=$SRCDIR/roms/nest
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
case $(${NEST_CC:-$CC} -dumpmachine) in
x86_64*) ;;
*)
	echo 'no compiler for x86-64 here: the checked-in image is used as it is'
	exit 0
	;;
esac
run() {
	"$GIGOGNE" -m 128 -kernel "$1" -append depth=3 -nographic -timeout 120 < /dev/null 2>&1 |
		grep -q 'nest: 3 levels, the answer is right'
}
run "$nest/nest.elf" || { echo 'the checked-in image does not run'; exit 1; }
(cd "$nest" && "$MAKE" -s -f rules.mk BUILD="$dir" NEST_DIR=. NEST_CC="${NEST_CC:-$CC}" "$dir/nest.elf") || exit 1
run "$dir/nest.elf" || { echo 'a fresh image does not run'; exit 1; }
[ "$(${NEST_CC:-$CC} --version | head -n 1 | cut -d" " -f2-)" = "$(cat "$nest/compiler.txt")" ] || exit 0
cmp "$dir/nest.elf" "$nest/nest.elf"
