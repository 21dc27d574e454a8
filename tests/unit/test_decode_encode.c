/*
 * The encoder of the instruction comparison, for the decoder's unit tests: this program is linked
 * from tests/unit only.
 */
#include "tests/insn/encode.c"
#include "tests/insn/values.c"
