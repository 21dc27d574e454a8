/*
 * x87 functions of one or two registers: square root, remainder, scaling, rounding, extraction and
 * the transcendental instructions. SDM volume 2, FSQRT, FPREM, FSCALE, FXTRACT, F2XM1...; volume 1,
 * "Transcendental Instructions".
 */
#include "cpu/insn_protos.h"
#include "cpu/x87_internal.h"

/* Writes ST(0) unless an unmasked exception forbids it. */
static int put(struct vcpu *v, const struct insn *i, const struct fp_env *env, struct f80 r)
{
	if (!(x87_end(v, i, env) & FP_PRE_FLAGS))
		x87_set(v, 0, r);
	return EXEC_NEXT;
}

static int underflow(struct vcpu *v, const struct insn *i, bool pop)
{
	if (!x87_underflow(v, i))
		return EXEC_NEXT;
	if (pop)
		x87_pop(v);
	x87_set(v, 0, x87_indefinite());
	return EXEC_NEXT;
}

static int unary(struct vcpu *v, const struct insn *i,
		 struct f80 (*f)(struct fp_env *env, struct f80 a))
{
	struct fp_env env = x87_begin(v);

	if (x87_empty(v, 0))
		return underflow(v, i, false);
	return put(v, i, &env, f(&env, x87_get(v, 0)));
}

int x_fsqrt(struct vcpu *v, const struct insn *i)
{
	return unary(v, i, sf80_sqrt);
}

int x_frndint(struct vcpu *v, const struct insn *i)
{
	return unary(v, i, sf80_rndint);
}

int x_f2xm1(struct vcpu *v, const struct insn *i)
{
	return unary(v, i, sf80_2xm1);
}

int x_fscale(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);

	if (x87_empty(v, 0) || x87_empty(v, 1))
		return underflow(v, i, false);
	return put(v, i, &env, sf80_scale(&env, x87_get(v, 0), x87_get(v, 1)));
}

/*
 * FPREM F8, FPREM1 F5: the low quotient bits go to C0 C3 C1. Without a remainder (a NaN, an unmasked
 * exception) C0 and C3 stay.
 */
int x_fprem(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	bool c2 = false;
	u8 q = 0;
	struct f80 r;

	x87_set_cc(v, FSW_C2, 0);
	if (x87_empty(v, 0) || x87_empty(v, 1))
		return underflow(v, i, false);
	r = sf80_rem(&env, x87_get(v, 0), x87_get(v, 1), i->modrm == 0xf5, &q, &c2);
	if (x87_end(v, i, &env) & FP_PRE_FLAGS)
		return EXEC_NEXT;
	x87_set(v, 0, r);
	if (sf80_class(r) == FP_CLASS_NAN)
		return EXEC_NEXT;
	x87_set_cc(v, FSW_CC,
		   (q & 4 ? FSW_C0 : 0) | (q & 2 ? FSW_C3 : 0) | (q & 1 ? FSW_C1 : 0) |
			   (c2 ? FSW_C2 : 0));
	return EXEC_NEXT;
}

/* FYL2X, FYL2XP1, FPATAN: x is ST(0), y is ST(1); the result replaces both. */
static int binary_pop(struct vcpu *v, const struct insn *i,
		      struct f80 (*f)(struct fp_env *env, struct f80 x, struct f80 y))
{
	struct fp_env env = x87_begin(v);
	struct f80 r;

	if (x87_empty(v, 0) || x87_empty(v, 1))
		return underflow(v, i, true);
	r = f(&env, x87_get(v, 0), x87_get(v, 1));
	if (x87_end(v, i, &env) & FP_PRE_FLAGS)
		return EXEC_NEXT;
	x87_pop(v);
	x87_set(v, 0, r);
	return EXEC_NEXT;
}

int x_fyl2x(struct vcpu *v, const struct insn *i)
{
	return binary_pop(v, i, sf80_yl2x);
}

int x_fyl2xp1(struct vcpu *v, const struct insn *i)
{
	return binary_pop(v, i, sf80_yl2xp1);
}

int x_fpatan(struct vcpu *v, const struct insn *i)
{
	return binary_pop(v, i, sf80_patan);
}

/* --- two results: FXTRACT, FPTAN, FSINCOS --- */

/* True: the stack is fit for one more register. Otherwise everything is done. */
static bool push_ready(struct vcpu *v, const struct insn *i)
{
	bool under = x87_empty(v, 0);

	if (!under && x87_empty(v, 7))
		return true;
	if (x87_stack_fault(v, i, !under)) {
		x87_set(v, 0, x87_indefinite());
		x87_push(v, x87_indefinite());
	}
	return false;
}

static void put_two(struct vcpu *v, const struct insn *i, const struct fp_env *env,
		    struct f80 below, struct f80 top)
{
	if (x87_end(v, i, env) & FP_PRE_FLAGS)
		return;
	x87_set(v, 0, below);
	x87_push(v, top);
}

int x_fxtract(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	struct f80 significand, exponent;

	if (!push_ready(v, i))
		return EXEC_NEXT;
	significand = sf80_extract(&env, x87_get(v, 0), &exponent);
	put_two(v, i, &env, exponent, significand);
	return EXEC_NEXT;
}

/* C2: the operand is out of range and stays. */
static int reduced(struct vcpu *v, const struct insn *i, const struct fp_env *env)
{
	x87_end(v, i, env);
	x87_set_cc(v, FSW_C2, FSW_C2);
	return EXEC_NEXT;
}

int x_fptan(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	struct f80 tan;

	x87_set_cc(v, FSW_C2, 0);
	if (!push_ready(v, i))
		return EXEC_NEXT;
	if (sf80_tan(&env, x87_get(v, 0), &tan))
		return reduced(v, i, &env);
	put_two(v, i, &env, tan,
		sf80_class(tan) == FP_CLASS_NAN ? tan : sf80_const(&env, FP_CONST_ONE));
	return EXEC_NEXT;
}

int x_fsincos(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	struct f80 sin, cos;

	x87_set_cc(v, FSW_C2, 0);
	if (!push_ready(v, i))
		return EXEC_NEXT;
	if (sf80_sincos(&env, x87_get(v, 0), &sin, &cos))
		return reduced(v, i, &env);
	put_two(v, i, &env, sin, cos);
	return EXEC_NEXT;
}

/* FSIN FE, FCOS FF */
int x_fsin(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	struct f80 a = x87_get(v, 0), r;
	bool out;

	x87_set_cc(v, FSW_C2, 0);
	if (x87_empty(v, 0))
		return underflow(v, i, false);
	out = i->modrm == 0xfe ? sf80_sin(&env, a, &r) : sf80_cos(&env, a, &r);
	return out ? reduced(v, i, &env) : put(v, i, &env, r);
}
