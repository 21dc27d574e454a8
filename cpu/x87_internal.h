/*
 * What the x87 handlers share: the register stack, stack faults, and how an instruction ends.
 * SDM volume 1, "Programming with the x87 FPU".
 *
 * Last-instruction pointers are kept as CPUs with CPUID.(7,0):EBX[6] and [13] set keep them: FCS and
 * FDS are zero; FDP and FOP change only with an unmasked exception, FIP with every instruction that
 * is not a control instruction.
 */
#ifndef CPU_X87_INTERNAL_H
#define CPU_X87_INTERNAL_H

#include "cpu/cpu.h"
#include "cpu/fpu/softfloat.h"

#define FSW_SF 0x40u
#define FSW_ES 0x80u
#define FSW_C0 0x100u
#define FSW_C1 0x200u
#define FSW_C2 0x400u
#define FSW_TOP 0x3800u
#define FSW_C3 0x4000u
#define FSW_B 0x8000u
#define FSW_CC (FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)
#define FCW_IM 1u

static inline unsigned x87_phys(const struct vcpu *v, unsigned n)
{
	return ((v->x87.fsw >> 11) + n) & 7;
}

static inline bool x87_empty(const struct vcpu *v, unsigned n)
{
	return !(v->x87.tag_valid >> x87_phys(v, n) & 1);
}

static inline struct f80 x87_get(const struct vcpu *v, unsigned n)
{
	const struct f80_reg *r = &v->x87.st[x87_phys(v, n)];

	return (struct f80){.sig = r->sig, .se = r->se};
}

static inline void x87_set(struct vcpu *v, unsigned n, struct f80 value)
{
	unsigned p = x87_phys(v, n);

	v->x87.st[p] = (struct f80_reg){.sig = value.sig, .se = value.se};
	v->x87.tag_valid |= (u8)(1u << p);
}

static inline void x87_free(struct vcpu *v, unsigned n)
{
	v->x87.tag_valid &= (u8) ~(1u << x87_phys(v, n));
}

static inline void x87_rotate(struct vcpu *v, unsigned by)
{
	v->x87.fsw = (u16)((v->x87.fsw & ~FSW_TOP) | x87_phys(v, by) << 11);
}

static inline void x87_pop(struct vcpu *v)
{
	x87_free(v, 0);
	x87_rotate(v, 1);
}

static inline void x87_push(struct vcpu *v, struct f80 value)
{
	x87_rotate(v, 7);
	x87_set(v, 0, value);
}

static inline struct f80 x87_indefinite(void)
{
	return (struct f80){.sig = 0xc000000000000000ull, .se = 0xffff};
}

static inline void x87_set_cc(struct vcpu *v, unsigned mask, unsigned value)
{
	v->x87.fsw = (u16)((v->x87.fsw & ~mask) | value);
}

static inline struct fp_env x87_begin(const struct vcpu *v)
{
	return fp_env_x87(v->x87.fcw);
}

/* ES and B follow from the flags and the masks. */
void x87_refresh_es(struct x87 *x);
/* Records an instruction without exceptions that leaves C1 alone. */
static inline void x87_touch(struct vcpu *v)
{
	v->x87.fip = v->rip;
	v->x87.fcs = 0;
}
/*
 * Ends an instruction: flags, C1, pointers. Returns the unmasked exceptions; the caller then writes
 * results or not, see softfloat.h.
 */
u8 x87_end(struct vcpu *v, const struct insn *i, const struct fp_env *env);
/* Stack overflow or underflow: true if it is masked and the indefinite value is to be written. */
bool x87_stack_fault(struct vcpu *v, const struct insn *i, bool overflow);
static inline bool x87_underflow(struct vcpu *v, const struct insn *i)
{
	return x87_stack_fault(v, i, false);
}
/* Pushes value, or the indefinite on a masked overflow. */
void x87_push_checked(struct vcpu *v, const struct insn *i, struct f80 value);

#endif
