/*
 * Fixed linear addresses of a case, the same natively and in the guest. Plain numbers: the assembly
 * of native.c uses them too. All lie below 2 GBytes, so that absolute and 32-bit addressing reach
 * them.
 */
#ifndef TESTS_INSN_LAYOUT_H
#define TESTS_INSN_LAYOUT_H

#define HC_CODE 0x20000000 /* two pages, readable, writable, executable; a hole behind */
#define HC_CODE_BYTES 0x2000
#define HC_EXIT 0x20004000 /* where every case ends */
#define HC_DATA 0x20010000 /* two writable pages, a read-only one, a hole on both sides */
#define HC_DATA_RW 0x2000
#define HC_DATA_RO 0x1000
#define HC_HOLE (HC_DATA + HC_DATA_RW + HC_DATA_RO)
#define HC_NATIVE 0x30000000 /* the child's own page of state; not in the guest */

#define INSN_BYTES 15
#define HC_JUMP_BYTES 5

#endif
