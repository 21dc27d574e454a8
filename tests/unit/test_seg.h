/*
 * A vCPU over a few MBytes of flat RAM with tables that every mode needs, for the segmentation,
 * event and task tests.
 */
#ifndef TESTS_UNIT_TEST_SEG_H
#define TESTS_UNIT_TEST_SEG_H

#include <check.h>

#include "cpu/insn_protos.h"
#include "cpu/seg_internal.h"

/* Where things lie, and the selectors of the GDT. */
enum {
	AT_GDT = 0x1000,
	AT_IDT = 0x2000,
	AT_TSS = 0x3000,
	AT_TSS2 = 0x3200,
	AT_LDT = 0x3400,
	AT_CODE = 0x7000,
	AT_KSTACK = 0x9000,
	AT_USTACK = 0xb000,
	AT_IST = 0xd000,
	AT_PAGES = 0x10000,
	AT_HOLE = 0x200000, /* page not present once env_hole was called */
	KCODE32 = 0x08,
	KDATA = 0x10,
	UCODE32 = 0x18 | 3,
	UDATA = 0x20 | 3,
	KCODE64 = 0x28,
	UCODE64 = 0x30 | 3,
	SEL_LDT = 0x38,
	SEL_TSS = 0x48,
	CONFORMING = 0x58,
	ABSENT_DATA = 0x60,
	KCODE16 = 0x68,
	KDATA16 = 0x70,
	SEL_GATE = 0x78,
	SEL_TSS2 = 0x88,
	TASK_GATE_SEL = 0x90,
	EXPAND_DOWN = 0x98,
	EXEC_ONLY = 0xa0,
	READ_ONLY = 0xa8,
	ABSENT_CODE = 0xb0,
	BEYOND = 0xc0,
};

struct env {
	struct vcpu *v;
	struct physmem mem;
	struct bus mmio, pio;
	struct log log;
	struct cpu_model model;
	struct cpu_wires wires;
};

struct env *env_new(void);
void env_free(struct env *e);
/* Modes; CS, SS, DS, ES and TR loaded, RIP in AT_CODE, RSP at the top of the stack of cpl. */
void env_real(struct env *e);
void env_vm86(struct env *e, unsigned iopl_);
void env_prot(struct env *e, unsigned cpl);
void env_long(struct env *e, unsigned cpl);
void env_compat(struct env *e, unsigned cpl);
/* Takes the 2-MByte page at AT_HOLE away (paged modes). */
void env_hole(struct env *e);

u64 env_peek(struct env *e, u64 at, unsigned size);
void env_poke(struct env *e, u64 at, unsigned size, u64 value);
u64 env_desc(u32 base, u32 limit, u32 ar);
void env_set_desc(struct env *e, u16 sel, u64 desc);
/* A gate in the IDT of the present mode. ar: type and DPL, present added. */
void env_gate(struct env *e, u8 vector, u32 ar, u16 sel, u64 rip, u8 ist);
void env_push(struct env *e, unsigned size, u64 value);

/* The fault that is pending in v->exc. */
#define ck_fault(e_, r, vec, err)                                                                  \
	do {                                                                                       \
		ck_assert_int_eq(r, EXEC_FAULT);                                                   \
		ck_assert_uint_eq((e_)->v->exc.vector, vec);                                       \
		ck_assert_uint_eq((e_)->v->exc.error, err);                                        \
	} while (0)

/* What a failed attempt must leave as it was. */
struct frozen {
	u64 reg[16], rip, flags, cr2;
	struct seg seg[SEGS];
	u8 cpl, mode;
	u64 lin_mask;
	struct tlb_table *table;
};
void env_freeze(const struct env *e, struct frozen *f);
void env_same(const struct env *e, const struct frozen *f);

Suite *seg_suite(void);
TCase *seg_far_case(void);
TCase *seg_event_case(void);
TCase *seg_task_case(void);
TCase *seg_ops_case(void);

#endif
