/*
 * Softfloat's x87 operations: results, exception flags and condition codes, for
 * all roundings and precisions, with exceptions masked and unmasked, unsupported
 * formats included. On an x86-64 host against the processor, on every host
 * against digests of results that were found equal to a processor's.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/test_fpu.h"

enum x87_kind {
	X87_REGISTER, /* the result is in ST(0) */
	X87_PUSH,     /* the results are in ST(0) and ST(1) */
	X87_LOAD,     /* pushes one value, which DE does not stop */
	X87_MEMORY,   /* the result is in memory */
	X87_STATUS,   /* the result is the condition code */
};

#define X87_C0 0x0100
#define X87_C1 0x0200
#define X87_C2 0x0400
#define X87_C3 0x4000
#define X87_CC 0x4700

struct x87_call {
	struct f80 st0, st1;
	u64 memory[2];
	u16 control;
	u16 status; /* output */
};

struct x87_op {
	const char *name;
	enum x87_kind kind;
	u16 cc_mask;
	void (*hardware)(struct x87_call *call);
	/* Returns the condition code but C1, which is in env unless cc_mask has all. */
	u16 (*model)(struct fp_env *env, struct x87_call *call);
};

static u16 order_cc(enum fp_order order)
{
	switch (order) {
	case FP_UNORDERED:
		return X87_C3 | X87_C2 | X87_C0;
	case FP_LESS:
		return X87_C0;
	case FP_EQUAL:
		return X87_C3;
	default:
		return 0;
	}
}

static u16 model_rem(struct fp_env *env, struct x87_call *call, bool ieee)
{
	u8 q;
	bool c2;

	call->st0 = sf80_rem(env, call->st0, call->st1, ieee, &q, &c2);
	env->c1 = q & 1;
	return (q & 4 ? X87_C0 : 0) | (q & 2 ? X87_C3 : 0) | (c2 ? X87_C2 : 0);
}

static u16 model_extract(struct fp_env *env, struct x87_call *call)
{
	struct f80 exponent, sig = sf80_extract(env, call->st0, &exponent);

	call->st0 = sig;
	call->st1 = exponent;
	return 0;
}

static u16 model_bstp(struct fp_env *env, struct x87_call *call)
{
	sf80_to_bcd(env, call->st0, (u8 *)call->memory);
	return 0;
}

static u16 store16(struct x87_call *call, u16 v)
{
	memcpy(call->memory, &v, sizeof(v));
	return 0;
}

static u16 store32(struct x87_call *call, u32 v)
{
	memcpy(call->memory, &v, sizeof(v));
	return 0;
}

static u16 store64(struct x87_call *call, u64 v)
{
	call->memory[0] = v;
	return 0;
}

static u16 result(struct x87_call *call, struct f80 r)
{
	call->st0 = r;
	return 0;
}

#define ST0 call->st0
#define ST1 call->st1
#define M32 ((u32)call->memory[0])
#define M64 (call->memory[0])

#define X87_OPS(X)                                                                                 \
	X(fadd, X87_REGISTER, X87_C1, "fadd %%st(1), %%st", result(call, sf80_add(env, ST0, ST1))) \
	X(fsub, X87_REGISTER, X87_C1, "fsub %%st(1), %%st", result(call, sf80_sub(env, ST0, ST1))) \
	X(fsubr, X87_REGISTER, X87_C1, "fsubr %%st(1), %%st",                                      \
	  result(call, sf80_sub(env, ST1, ST0)))                                                   \
	X(fmul, X87_REGISTER, X87_C1, "fmul %%st(1), %%st", result(call, sf80_mul(env, ST0, ST1))) \
	X(fdiv, X87_REGISTER, X87_C1, "fdiv %%st(1), %%st", result(call, sf80_div(env, ST0, ST1))) \
	X(fdivr, X87_REGISTER, X87_C1, "fdivr %%st(1), %%st",                                      \
	  result(call, sf80_div(env, ST1, ST0)))                                                   \
	X(fsqrt, X87_REGISTER, X87_C1, "fsqrt", result(call, sf80_sqrt(env, ST0)))                 \
	X(fprem, X87_REGISTER, X87_CC, "fprem", model_rem(env, call, false))                       \
	X(fprem1, X87_REGISTER, X87_CC, "fprem1", model_rem(env, call, true))                      \
	X(frndint, X87_REGISTER, X87_C1, "frndint", result(call, sf80_rndint(env, ST0)))           \
	X(fscale, X87_REGISTER, X87_C1, "fscale", result(call, sf80_scale(env, ST0, ST1)))         \
	X(fxtract, X87_PUSH, X87_C1, "fxtract", model_extract(env, call))                          \
	X(fcom, X87_STATUS, X87_CC, "fcom %%st(1)", order_cc(sf80_compare(env, ST0, ST1, true)))   \
	X(fucom, X87_STATUS, X87_CC, "fucom %%st(1)",                                              \
	  order_cc(sf80_compare(env, ST0, ST1, false)))                                            \
	X(fcom_m32, X87_STATUS, X87_CC, "fcoms %[mem]",                                            \
	  order_cc(sf80_compare(env, ST0, sf80_widen_f32(env, M32), true)))                        \
	X(fcom_m64, X87_STATUS, X87_CC, "fcoml %[mem]",                                            \
	  order_cc(sf80_compare(env, ST0, sf80_widen_f64(env, M64), true)))                        \
	X(fadd_m32, X87_REGISTER, X87_C1, "fadds %[mem]",                                          \
	  result(call, sf80_add(env, ST0, sf80_widen_f32(env, M32))))                              \
	X(fadd_m64, X87_REGISTER, X87_C1, "faddl %[mem]",                                          \
	  result(call, sf80_add(env, ST0, sf80_widen_f64(env, M64))))                              \
	X(fmul_m32, X87_REGISTER, X87_C1, "fmuls %[mem]",                                          \
	  result(call, sf80_mul(env, ST0, sf80_widen_f32(env, M32))))                              \
	X(fsubr_m64, X87_REGISTER, X87_C1, "fsubrl %[mem]",                                        \
	  result(call, sf80_sub(env, sf80_widen_f64(env, M64), ST0)))                              \
	X(fdiv_m64, X87_REGISTER, X87_C1, "fdivl %[mem]",                                          \
	  result(call, sf80_div(env, ST0, sf80_widen_f64(env, M64))))                              \
	X(fdivr_m32, X87_REGISTER, X87_C1, "fdivrs %[mem]",                                        \
	  result(call, sf80_div(env, sf80_widen_f32(env, M32), ST0)))                              \
	X(fiadd_m16, X87_REGISTER, X87_C1, "fiadds %[mem]",                                        \
	  result(call, sf80_add(env, ST0, sf80_from_s64((s16)call->memory[0]))))                   \
	X(fidiv_m32, X87_REGISTER, X87_C1, "fidivl %[mem]",                                        \
	  result(call, sf80_div(env, ST0, sf80_from_s64((s32)call->memory[0]))))                   \
	X(fld_m32, X87_LOAD, X87_C1, "flds %[mem]", result(call, sf80_from_f32(env, M32)))         \
	X(fld_m64, X87_LOAD, X87_C1, "fldl %[mem]", result(call, sf80_from_f64(env, M64)))         \
	X(fild_m64, X87_REGISTER, X87_C1, "fildll %[mem]", result(call, sf80_from_s64((s64)M64)))  \
	X(fbld, X87_REGISTER, X87_C1, "fbld %[mem]",                                               \
	  result(call, sf80_from_bcd((const u8 *)call->memory)))                                   \
	X(fst_m32, X87_MEMORY, X87_C1, "fsts %[mem]", store32(call, sf80_to_f32(env, ST0)))        \
	X(fst_m64, X87_MEMORY, X87_C1, "fstl %[mem]", store64(call, sf80_to_f64(env, ST0)))        \
	X(fist_m16, X87_MEMORY, X87_C1, "fists %[mem]",                                            \
	  store16(call, (u16)sf80_to_s16(env, ST0, env->round)))                                   \
	X(fist_m32, X87_MEMORY, X87_C1, "fistl %[mem]",                                            \
	  store32(call, (u32)sf80_to_s32(env, ST0, env->round)))                                   \
	X(fistp_m64, X87_MEMORY, X87_C1, "fistpll %[mem]",                                         \
	  store64(call, (u64)sf80_to_s64(env, ST0, env->round)))                                   \
	X(fisttp_m16, X87_MEMORY, X87_C1, "fisttps %[mem]",                                        \
	  store16(call, (u16)sf80_to_s16(env, ST0, FP_RC_ZERO)))                                   \
	X(fisttp_m64, X87_MEMORY, X87_C1, "fisttpll %[mem]",                                       \
	  store64(call, (u64)sf80_to_s64(env, ST0, FP_RC_ZERO)))                                   \
	X(fbstp, X87_MEMORY, X87_C1, "fbstp %[mem]", model_bstp(env, call))                        \
	X(fldl2t, X87_REGISTER, X87_C1, "fldl2t", result(call, sf80_const(env, FP_CONST_L2T)))     \
	X(fldl2e, X87_REGISTER, X87_C1, "fldl2e", result(call, sf80_const(env, FP_CONST_L2E)))     \
	X(fldpi, X87_REGISTER, X87_C1, "fldpi", result(call, sf80_const(env, FP_CONST_PI)))        \
	X(fldlg2, X87_REGISTER, X87_C1, "fldlg2", result(call, sf80_const(env, FP_CONST_LG2)))     \
	X(fldln2, X87_REGISTER, X87_C1, "fldln2", result(call, sf80_const(env, FP_CONST_LN2)))

#define X87_MODEL(name, kind, cc_mask, text, expression)                                           \
	static u16 model_of_##name(struct fp_env *env, struct x87_call *call)                      \
	{                                                                                          \
		(void)env;                                                                         \
		return expression;                                                                 \
	}
X87_OPS(X87_MODEL)

#if defined(__x86_64__)

static void pack_f80(u8 raw[10], struct f80 v)
{
	memcpy(raw, &v.sig, 8);
	memcpy(raw + 8, &v.se, 2);
}

static struct f80 unpack_f80(const u8 raw[10])
{
	struct f80 v;

	memcpy(&v.sig, raw, 8);
	memcpy(&v.se, raw + 8, 2);
	return v;
}

#define X87_HARDWARE(name, kind, cc_mask, text, expression)                                        \
	static void hardware_##name(struct x87_call *call)                                         \
	{                                                                                          \
		u8 in0[10], in1[10];                                                               \
		u16 normal = 0x37f;                                                                \
                                                                                                   \
		pack_f80(in0, call->st0);                                                          \
		pack_f80(in1, call->st1);                                                          \
		__asm__ volatile("fninit\n\tfldt %[b]\n\tfldt %[a]\n\tfldcw %[cw]\n\t" text        \
				 "\n\tfnstsw %[sw]\n\tfnclex\n\tfldcw %[normal]\n\t"               \
				 "fstpt %[a]\n\tfstpt %[b]\n\tfninit"                              \
				 : [a] "+m"(in0), [b] "+m"(in1), [sw] "=m"(call->status),          \
				   [mem] "+m"(call->memory)                                        \
				 : [cw] "m"(call->control), [normal] "m"(normal)                   \
				 : "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",    \
				   "st(6)", "st(7)");                                              \
		call->st0 = unpack_f80(in0);                                                       \
		call->st1 = unpack_f80(in1);                                                       \
	}
X87_OPS(X87_HARDWARE)
#define HARDWARE(name) hardware_##name

#else
#define HARDWARE(name) NULL
#endif

#define X87_ROW(name, kind, cc_mask, text, expression)                                             \
	{#name, kind, cc_mask, HARDWARE(name), model_of_##name},
static const struct x87_op x87_ops[] = {X87_OPS(X87_ROW)};
#define X87_OP_COUNT ((int)(sizeof(x87_ops) / sizeof(x87_ops[0])))

/* Memory holds a binary32, a binary64, an integer, or decimal digits. */
static void random_memory(struct fpu_random *random, const struct x87_op *op, u64 memory[2])
{
	memory[0] = fpu_random_integer(random);
	memory[1] = fpu_random_next(random);
	if (strstr(op->name, "m32"))
		memory[0] = fpu_random_float(random, 8, 23);
	else if (op->name[1] != 'i' && strstr(op->name, "m64"))
		memory[0] = fpu_random_float(random, 11, 52);
	if (!strcmp(op->name, "fbld")) {
		u8 *digits = (u8 *)memory;

		for (int i = 0; i < 9; i++)
			digits[i] = (u8)(digits[i] % 10 | digits[i] / 16 % 10 << 4);
	}
}

/* Half the second operands are near the first, for cancellation and remainders. */
static struct f80 random_second(struct fpu_random *random, struct f80 first)
{
	u64 r = fpu_random_next(random);
	struct f80 v = fpu_random_f80(random);

	if (r & 1) {
		v.se = (u16)((v.se & 0x8000) | ((first.se + (r >> 8) % 160 - 80) & 0x7fff));
		v.sig |= 1ull << 63;
		if (!(r & 6))
			v.sig = first.sig + (r >> 16) % 3 - 1;
	}
	return v;
}

static struct x87_call random_call(struct fpu_random *random, const struct x87_op *op,
				   u16 random_masks)
{
	static const u16 precision[4] = {0, 0x200, 0x300, 0x300};
	struct x87_call call = {.st0 = fpu_random_f80(random)};
	u16 control = (u16)fpu_random_next(random);

	call.control = (control & 0x0c00) | (0x3f & ~(control & random_masks)) | 0x40;
	call.control |= precision[control >> 14];
	call.st1 = random_second(random, call.st0);
	random_memory(random, op, call.memory);
	return call;
}

/* In the order of X87_OPS. */
static const u64 x87_digests[] = {
	0xc2f4ae703646c975, 0x5c8cfaa4012df271, 0xc12945f4247f63ed, 0x8aab04f65f8dd984,
	0x428e29ebba3781ee, 0xeaf8b195152e9067, 0x87f087911a903955, 0x2cdd7ea98bdad6c6,
	0xf0ff22410a9f74c2, 0x4053386513d03b30, 0xa94e726a8e6ec4bd, 0x16d520133bd4a1ab,
	0xe3cf665ffe50b865, 0x130ded1890d18a48, 0xe26ee0be2e643154, 0xd20fb1417343f31c,
	0x843159dfb9c72e72, 0xcaa356401c0bb006, 0x38689db04aac4c3f, 0x32089c1708ed4a8c,
	0x29b976a893999776, 0x2b23ae11a71cacad, 0x125ac5c3b15bdcb6, 0x8b73e6da113d3e1b,
	0xe1ecaaca2f972ea6, 0xd5e678c9f786da24, 0x617950affee70df1, 0x0bd7b789ea9b27d9,
	0xd2a242bc2024d7d5, 0x4ec7149e7f6cf744, 0x41574d13285d4606, 0x3de1aa1c4f43e6b6,
	0x1b8a1afdd5d47b29, 0xfaec654f695519ae, 0xcbb143a25dcf8d49, 0xaafe5bfc248ec744,
	0xe926a40c5b82d026, 0x31c33ccdbcb913c6, 0x5c068d58b4387e4a, 0x3a70bf4ec04c0ff7,
	0xbe2a4b98908b1b6a,
};
_Static_assert(sizeof(x87_digests) / 8 == sizeof(x87_ops) / sizeof(x87_ops[0]), "one an operation");

START_TEST(digest)
{
	const struct x87_op *op = &x87_ops[_i];
	struct fpu_random random = {(u64)_i};
	u64 hash = 0;

	for (int i = 0; i < 10000; i++) {
		struct x87_call call = random_call(&random, op, 0);
		struct fp_env env = fp_env_x87(call.control);
		u16 cc = op->model(&env, &call);

		hash = fpu_hash_f80(fpu_hash_f80(hash, call.st0), call.st1);
		hash = fpu_hash(fpu_hash(hash, call.memory[0]), call.memory[1]);
		hash = fpu_hash(hash, (u64)cc << 16 | (u64)env.c1 << 8 | env.flags);
	}
	ck_assert_msg(hash == x87_digests[_i], "%s: digest 0x%016llx", op->name,
		      (unsigned long long)hash);
}
END_TEST

#if defined(__x86_64__)

/* What an unmasked exception leaves undone; head of softfloat.h. */
static void apply_unmasked(const struct x87_op *op, const struct fp_env *env,
			   const struct x87_call *in, struct x87_call *out)
{
	u8 unmasked = fp_unmasked(env);
	u8 stopping = FP_PRE_FLAGS;

	if (op->kind == X87_MEMORY)
		stopping |= FP_OE | FP_UE;
	if (op->kind == X87_LOAD)
		stopping &= ~FP_DE;
	if (unmasked & stopping) {
		out->st0 = in->st0;
		out->st1 = in->st1;
		memcpy(out->memory, in->memory, sizeof(out->memory));
	}
}

static bool same_f80(struct f80 a, struct f80 b)
{
	return a.sig == b.sig && a.se == b.se;
}

static bool x87_same(const struct x87_op *op, const struct x87_call *a, const struct x87_call *b)
{
	u16 status_mask = op->cc_mask | FP_ALL_FLAGS;

	if ((a->status & status_mask) != (b->status & status_mask))
		return false;
	switch (op->kind) {
	case X87_PUSH:
		return same_f80(a->st0, b->st0) && same_f80(a->st1, b->st1);
	case X87_REGISTER:
	case X87_LOAD:
		return same_f80(a->st0, b->st0);
	case X87_MEMORY:
		return !memcmp(a->memory, b->memory, sizeof(a->memory));
	default:
		return true;
	}
}

static void print_call(const char *label, const struct x87_call *call)
{
	fprintf(stderr, "  %s st0 %04x.%016llx st1 %04x.%016llx memory %016llx.%016llx sw %04x\n",
		label, call->st0.se, (unsigned long long)call->st0.sig, call->st1.se,
		(unsigned long long)call->st1.sig, (unsigned long long)call->memory[1],
		(unsigned long long)call->memory[0], call->status & 0x473f);
}

static bool x87_agrees(const struct x87_op *op, const struct x87_call *in)
{
	struct x87_call hardware = *in, model = *in;
	struct fp_env env = fp_env_x87(in->control);

	op->hardware(&hardware);
	model.status = op->model(&env, &model);
	model.status |= env.flags | (env.c1 ? X87_C1 : 0);
	apply_unmasked(op, &env, in, &model);
	if (x87_same(op, &hardware, &model))
		return true;
	fprintf(stderr, "%s control %04x\n", op->name, in->control);
	print_call("input   ", in);
	print_call("hardware", &hardware);
	print_call("model   ", &model);
	return false;
}

static void compare_with_host(const struct x87_op *op, long cases, u16 random_masks)
{
	struct fpu_random random = {0x1234567ull + (u64)(op - x87_ops)};
	int differences = 0;

	for (long i = 0; i < cases && differences < 10; i++) {
		struct x87_call call = random_call(&random, op, random_masks);

		differences += !x87_agrees(op, &call);
	}
	ck_assert_msg(differences == 0, "%s differs from the processor", op->name);
}

START_TEST(masked_like_host)
{
	compare_with_host(&x87_ops[_i], fpu_test_cases(40000), 0);
}
END_TEST

/* Unmasked underflow of FPREM: the SDM scales the result, other makers' processors do not trap. */
START_TEST(unmasked_like_host)
{
	if (!__builtin_cpu_is("intel") && !strncmp(x87_ops[_i].name, "fprem", 5))
		return;
	compare_with_host(&x87_ops[_i], fpu_test_cases(40000), 0x3f);
}
END_TEST

#endif

TCase *fpu_x87_case(void)
{
	TCase *tc = tcase_create("x87");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, digest, 0, X87_OP_COUNT);
#if defined(__x86_64__)
	tcase_add_loop_test(tc, masked_like_host, 0, X87_OP_COUNT);
	tcase_add_loop_test(tc, unmasked_like_host, 0, X87_OP_COUNT);
#endif
	return tc;
}
