/*
 * x87 basic arithmetic, comparison, stack and transcendental instructions.
 * SDM volume 2, FADD and its neighbours; volume 1, "x87 FPU Instruction Set". Loads and stores are
 * in ops_x87_mem.c, control and environment instructions in ops_x87_env.c.
 */
#include "cpu/insn_protos.h"
#include "cpu/x87_internal.h"

void x87_refresh_es(struct x87 *x)
{
	bool es = x->fsw & ~x->fcw & FP_ALL_FLAGS;

	x->fsw = (u16)((x->fsw & ~(FSW_ES | FSW_B)) | (es ? FSW_ES | FSW_B : 0));
}

static ATTR_COLD void record_exception(struct vcpu *v, const struct insn *i)
{
	struct x87 *x = &v->x87;

	x->fsw |= FSW_ES | FSW_B;
	x->fop = (u16)((i->opcode & 7) << 8 | i->modrm);
	x->fds = 0;
	if (insn_is_mem(i))
		x->fdp = insn_offset(v, i);
}

/* C1 is left alone. */
static u8 end_flags(struct vcpu *v, const struct insn *i, unsigned flags)
{
	u8 unmasked = (u8)(flags & ~v->x87.fcw & FP_ALL_FLAGS);

	v->x87.fsw |= (u16)flags;
	x87_touch(v);
	if (unlikely(unmasked))
		record_exception(v, i);
	return unmasked;
}

static u8 end_with(struct vcpu *v, const struct insn *i, unsigned flags, bool c1)
{
	x87_set_cc(v, FSW_C1, c1 ? FSW_C1 : 0);
	return end_flags(v, i, flags);
}

u8 x87_end(struct vcpu *v, const struct insn *i, const struct fp_env *env)
{
	return end_with(v, i, env->flags, env->c1);
}

bool x87_stack_fault(struct vcpu *v, const struct insn *i, bool overflow)
{
	return !end_with(v, i, FP_IE | FSW_SF, overflow);
}

void x87_push_checked(struct vcpu *v, const struct insn *i, struct f80 value)
{
	if (unlikely(!x87_empty(v, 7))) {
		if (x87_stack_fault(v, i, true))
			x87_push(v, x87_indefinite());
		return;
	}
	end_with(v, i, 0, false);
	x87_push(v, value);
}

/* --- arithmetic --- */

/* /n of the D8 group: ADD, MUL, (COM, COMP), SUB, SUBR, DIV, DIVR. */
static struct f80 arith(struct fp_env *env, unsigned n, struct f80 a, struct f80 b)
{
	switch (n) {
	case 0:
		return sf80_add(env, a, b);
	case 1:
		return sf80_mul(env, a, b);
	case 4:
		return sf80_sub(env, a, b);
	case 5:
		return sf80_sub(env, b, a);
	case 6:
		return sf80_div(env, a, b);
	default:
		return sf80_div(env, b, a);
	}
}

/* ST(dest) = ST(0) op b */
static bool arith_to(struct vcpu *v, const struct insn *i, struct fp_env *env, unsigned dest,
		     struct f80 b)
{
	struct f80 r = arith(env, i->reg & 7, x87_get(v, 0), b);

	if (x87_end(v, i, env) & FP_PRE_FLAGS)
		return false;
	x87_set(v, dest, r);
	return true;
}

static bool arith_underflow(struct vcpu *v, const struct insn *i, unsigned dest)
{
	if (!x87_underflow(v, i))
		return false;
	x87_set(v, dest, x87_indefinite());
	return true;
}

/* D8: to ST(0); DC: to ST(i); DE: to ST(i) and pop. */
int x_fp_reg(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->rm & 7, dest = i->opcode == 0xd8 ? 0 : n;
	struct fp_env env = x87_begin(v);
	bool written;

	if (unlikely(x87_empty(v, 0) || x87_empty(v, n)))
		written = arith_underflow(v, i, dest);
	else
		written = arith_to(v, i, &env, dest, x87_get(v, n));
	if (written && i->opcode == 0xde)
		x87_pop(v);
	return EXEC_NEXT;
}

/* The memory operand of D8, DC (binary32, binary64) and DA, DE (integers). */
static int mem_operand(struct vcpu *v, const struct insn *i, struct fp_env *env, struct f80 *b)
{
	static const u8 sizes[4] = {4, 4, 8, 2}; /* D8 DA DC DE */
	unsigned kind = i->opcode >> 1 & 3;
	u64 raw;
	int r = mem_read(v, i->seg, insn_offset(v, i), sizes[kind], &raw);

	if (r)
		return r;
	if (kind == 0)
		*b = sf80_widen_f32(env, (u32)raw);
	else if (kind == 2)
		*b = sf80_widen_f64(env, raw);
	else
		*b = sf80_from_s64((s64)sign_extend(raw, sizes[kind] * 8u));
	return 0;
}

int x_fp_mem(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	struct f80 b;
	int r = mem_operand(v, i, &env, &b);

	if (r)
		return r;
	if (unlikely(x87_empty(v, 0)))
		arith_underflow(v, i, 0);
	else
		arith_to(v, i, &env, 0, b);
	return EXEC_NEXT;
}

/* --- comparisons --- */

/* By order + 1: less, equal, greater, unordered. */
static const u16 order_cc[4] = {FSW_C0, FSW_C3, 0, FSW_C0 | FSW_C2 | FSW_C3};
static const u8 order_flags[4] = {RFLAGS_CF, RFLAGS_ZF, 0, RFLAGS_CF | RFLAGS_PF | RFLAGS_ZF};

/* Returns the flags to end with; the order is unordered on underflow. */
static unsigned compare(struct vcpu *v, struct fp_env *env, bool empty, struct f80 b, bool signal,
			enum fp_order *order)
{
	if (unlikely(empty || x87_empty(v, 0))) {
		*order = FP_UNORDERED;
		return FP_IE | FSW_SF;
	}
	*order = sf80_compare(env, x87_get(v, 0), b, signal);
	return env->flags;
}

static int compare_cc(struct vcpu *v, const struct insn *i, struct fp_env *env, bool empty,
		      struct f80 b, bool signal, unsigned pops)
{
	enum fp_order order;
	unsigned flags = compare(v, env, empty, b, signal, &order);

	x87_set_cc(v, FSW_CC, order_cc[order + 1]);
	if (end_flags(v, i, flags) & FP_PRE_FLAGS)
		return EXEC_NEXT;
	while (pops--)
		x87_pop(v);
	return EXEC_NEXT;
}

int x_fcom_mem(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	struct f80 b;
	int r = mem_operand(v, i, &env, &b);

	if (r)
		return r;
	return compare_cc(v, i, &env, false, b, true, i->reg & 1);
}

static int compare_reg(struct vcpu *v, const struct insn *i, bool signal, unsigned pops)
{
	struct fp_env env = x87_begin(v);
	unsigned n = i->rm & 7;

	return compare_cc(v, i, &env, x87_empty(v, n), x87_get(v, n), signal, pops);
}

int x_fcom(struct vcpu *v, const struct insn *i)
{
	return compare_reg(v, i, true, 0);
}

int x_fcomp(struct vcpu *v, const struct insn *i)
{
	return compare_reg(v, i, true, 1);
}

int x_fcompp(struct vcpu *v, const struct insn *i)
{
	return compare_reg(v, i, true, 2);
}

int x_fucom(struct vcpu *v, const struct insn *i)
{
	return compare_reg(v, i, false, 0);
}

int x_fucomp(struct vcpu *v, const struct insn *i)
{
	return compare_reg(v, i, false, 1);
}

int x_fucompp(struct vcpu *v, const struct insn *i)
{
	return compare_reg(v, i, false, 2);
}

int x_ftst(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);

	return compare_cc(v, i, &env, false, (struct f80){0}, true, 0);
}

/* FCOMI (/6) signals a QNaN, FUCOMI (/5) does not; DF pops. C1 is cleared by a stack fault only. */
int x_fcomi(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	unsigned n = i->rm & 7;
	enum fp_order order;
	unsigned flags =
		compare(v, &env, x87_empty(v, n), x87_get(v, n), (i->reg & 7) == 6, &order);

	flags_set_arith(v, order_flags[order + 1]);
	if (flags & FSW_SF)
		x87_set_cc(v, FSW_C1, 0);
	if (!(end_flags(v, i, flags) & FP_PRE_FLAGS) && i->opcode == 0xdf)
		x87_pop(v);
	return EXEC_NEXT;
}

int x_fxam(struct vcpu *v, const struct insn *i)
{
	static const u16 cc[] = {
		[FP_CLASS_UNSUPPORTED] = 0, [FP_CLASS_NAN] = FSW_C0,
		[FP_CLASS_NORMAL] = FSW_C2, [FP_CLASS_INFINITY] = FSW_C2 | FSW_C0,
		[FP_CLASS_ZERO] = FSW_C3,   [FP_CLASS_DENORMAL] = FSW_C3 | FSW_C2,
	};
	struct f80 a = x87_get(v, 0);
	unsigned c = x87_empty(v, 0) ? FSW_C3 | FSW_C0 : cc[sf80_class(a)];

	(void)i;
	x87_touch(v);
	x87_set_cc(v, FSW_CC, c | (a.se >> 15 ? FSW_C1 : 0));
	return EXEC_NEXT;
}

/* --- sign --- */

int x_fchs(struct vcpu *v, const struct insn *i)
{
	struct f80 a = x87_get(v, 0);

	if (x87_empty(v, 0)) {
		arith_underflow(v, i, 0);
		return EXEC_NEXT;
	}
	a.se = i->modrm == 0xe0 ? a.se ^ 0x8000 : a.se & 0x7fff; /* FCHS, FABS */
	end_with(v, i, 0, false);
	x87_set(v, 0, a);
	return EXEC_NEXT;
}

/* --- the stack --- */

int x_fxch(struct vcpu *v, const struct insn *i)
{
	struct f80 a = x87_get(v, 0), b = x87_get(v, i->rm & 7);
	bool ea = x87_empty(v, 0), eb = x87_empty(v, i->rm & 7);

	if (unlikely(ea || eb)) {
		if (!x87_underflow(v, i))
			return EXEC_NEXT;
		a = ea ? x87_indefinite() : a;
		b = eb ? x87_indefinite() : b;
	} else {
		end_with(v, i, 0, false);
	}
	x87_set(v, 0, b);
	x87_set(v, i->rm & 7, a);
	return EXEC_NEXT;
}

int x_fincstp(struct vcpu *v, const struct insn *i)
{
	end_with(v, i, 0, false);
	x87_rotate(v, i->modrm == 0xf7 ? 1 : 7); /* FINCSTP, FDECSTP */
	return EXEC_NEXT;
}

/* DD: FFREE; DF: FFREEP, which also pops. */
int x_ffree(struct vcpu *v, const struct insn *i)
{
	end_with(v, i, 0, false);
	x87_free(v, i->rm & 7);
	if (i->opcode == 0xdf)
		x87_pop(v);
	return EXEC_NEXT;
}

/* DA: B, E, BE, U; DB: their opposites. */
int x_fcmov(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->rm & 7, which = i->reg & 3;
	bool cond = which == 0	 ? flag_c(v)
		    : which == 1 ? flag_z(v)
		    : which == 2 ? flag_c(v) || flag_z(v)
				 : flag_p(v);

	if (x87_empty(v, 0) || x87_empty(v, n)) {
		arith_underflow(v, i, 0);
		return EXEC_NEXT;
	}
	x87_touch(v);
	if (cond == (i->opcode == 0xda))
		x87_set(v, 0, x87_get(v, n));
	return EXEC_NEXT;
}

int x_fnop(struct vcpu *v, const struct insn *i)
{
	(void)i;
	x87_touch(v);
	return EXEC_NEXT;
}
