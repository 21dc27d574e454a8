/*
 * binary32 and binary64 under SSE rules: the two stampings of sf_float.inc.
 */
#include "cpu/fpu/sf_format.h"

#define FLOAT_BITS 32
#define FLOAT_FORMAT SF_F32
#define FLOAT(name) sf32_##name
#include "cpu/fpu/sf_float.inc"

#define FLOAT_BITS 64
#define FLOAT_FORMAT SF_F64
#define FLOAT(name) sf64_##name
#include "cpu/fpu/sf_float.inc"
