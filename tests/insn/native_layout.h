/*
 * Offsets in the native child's page of state, for its assembly.
 */
#ifndef TESTS_INSN_NATIVE_LAYOUT_H
#define TESTS_INSN_NATIVE_LAYOUT_H

#define NF_LOAD 0
#define NF_SAVE 1024
#define NF_IN 2048
#define NF_OUT 2176
#define NF_IN_FLAGS 2304
#define NF_OUT_FLAGS 2312
#define NF_ENTRY 2320
#define NF_HOST_RSP 2328
#define NF_HOST_FS 2336
#define NF_HOST_GS 2344
#define NF_FS 2352
#define NF_GS 2360
#define NF_USE_FSGS 2368

#endif
