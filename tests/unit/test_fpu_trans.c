/*
 * The transcendental instructions. On an x86-64 host against the processor:
 * within one unit in the last place, the special cases of the SDM's tables and
 * the exceptions exactly. On every host against digests of results that were
 * found to be the correctly rounded ones.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/test_fpu.h"

#define X87_C2 0x0400

struct trans_call {
	struct f80 st0, st1;
	u16 control;
	u16 status; /* output: flags and C2 */
};

struct trans_op {
	const char *name;
	bool two_results;
	/* Operands stay within 2^limit, when not 0: outside, the SDM leaves the result open. */
	int limit;
	void (*hardware)(struct trans_call *call);
	void (*model)(struct fp_env *env, struct trans_call *call);
};

static void model_f2xm1(struct fp_env *env, struct trans_call *call)
{
	call->st0 = sf80_2xm1(env, call->st0);
}

static void model_fyl2x(struct fp_env *env, struct trans_call *call)
{
	call->st0 = sf80_yl2x(env, call->st0, call->st1);
}

static void model_fyl2xp1(struct fp_env *env, struct trans_call *call)
{
	call->st0 = sf80_yl2xp1(env, call->st0, call->st1);
}

static void model_fpatan(struct fp_env *env, struct trans_call *call)
{
	call->st0 = sf80_patan(env, call->st0, call->st1);
}

static void model_fsin(struct fp_env *env, struct trans_call *call)
{
	call->status = sf80_sin(env, call->st0, &call->st0) ? X87_C2 : 0;
}

static void model_fcos(struct fp_env *env, struct trans_call *call)
{
	call->status = sf80_cos(env, call->st0, &call->st0) ? X87_C2 : 0;
}

static void model_fsincos(struct fp_env *env, struct trans_call *call)
{
	struct f80 sin, cos;

	call->status = sf80_sincos(env, call->st0, &sin, &cos) ? X87_C2 : 0;
	if (call->status)
		return;
	call->st0 = cos;
	call->st1 = sin;
}

static void model_fptan(struct fp_env *env, struct trans_call *call)
{
	struct f80 tan;

	call->status = sf80_tan(env, call->st0, &tan) ? X87_C2 : 0;
	if (call->status)
		return;
	call->st1 = tan;
	/* A NaN is pushed instead of 1.0. */
	call->st0 = sf80_class(tan) == FP_CLASS_NAN ? tan : sf80_const(env, FP_CONST_ONE);
}

#define TRANS_OPS(X)                                                                               \
	X(f2xm1, false, 1)                                                                         \
	X(fyl2x, false, 0)                                                                         \
	X(fyl2xp1, false, -2)                                                                      \
	X(fpatan, false, 0)                                                                        \
	X(fsin, false, 0)                                                                          \
	X(fcos, false, 0)                                                                          \
	X(fsincos, true, 0)                                                                        \
	X(fptan, true, 0)

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

#define TRANS_HARDWARE(name, two_results, limit)                                                   \
	static void hardware_##name(struct trans_call *call)                                       \
	{                                                                                          \
		u8 in0[10], in1[10];                                                               \
		u16 normal = 0x37f;                                                                \
                                                                                                   \
		pack_f80(in0, call->st0);                                                          \
		pack_f80(in1, call->st1);                                                          \
		__asm__ volatile("fninit\n\tfldt %[b]\n\tfldt %[a]\n\tfldcw %[cw]\n\t" #name       \
				 "\n\tfnstsw %[sw]\n\tfnclex\n\tfldcw %[normal]\n\t"               \
				 "fstpt %[a]\n\tfstpt %[b]\n\tfninit"                              \
				 : [a] "+m"(in0), [b] "+m"(in1), [sw] "=m"(call->status)           \
				 : [cw] "m"(call->control), [normal] "m"(normal)                   \
				 : "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",    \
				   "st(6)", "st(7)");                                              \
		call->st0 = unpack_f80(in0);                                                       \
		call->st1 = unpack_f80(in1);                                                       \
	}
TRANS_OPS(TRANS_HARDWARE)
#define HARDWARE(name) hardware_##name

#else
#define HARDWARE(name) NULL
#endif

#define TRANS_ROW(name, two_results, limit)                                                        \
	{#name, two_results, limit, HARDWARE(name), model_##name},
static const struct trans_op trans_ops[] = {TRANS_OPS(TRANS_ROW)};
#define TRANS_OP_COUNT ((int)(sizeof(trans_ops) / sizeof(trans_ops[0])))

/* Ordinary arguments mostly: that is where the digits are. */
static struct f80 random_argument(struct fpu_random *random, int limit)
{
	struct f80 v = fpu_random_f80(random);
	u64 r = fpu_random_next(random);
	int range = limit ? 70 : 140;

	if (r & 3) {
		int exp = 0x3fff + (limit ? limit - 1 : 66) - (int)((r >> 8) % (u64)range);

		v.se = (u16)((v.se & 0x8000) | exp);
		v.sig |= 1ull << 63;
	} else if (limit && (v.se & 0x7fff) >= 0x3fff + limit && (v.se & 0x7fff) != 0x7fff) {
		v.se = (u16)(v.se & 0x8000);
	}
	return v;
}

static struct trans_call random_call(struct fpu_random *random, const struct trans_op *op,
				     u16 random_masks)
{
	struct trans_call call = {.st0 = random_argument(random, op->limit)};
	u16 control;

	call.st1 = random_argument(random, 0);
	control = (u16)fpu_random_next(random);
	call.control = 0x340 | (control & 0xc00) | (0x3f & ~(control & random_masks));
	return call;
}

/* In the order of TRANS_OPS. */
static const u64 trans_digests[] = {
	0xc5a8cbae59bfd4a8, 0x7aada155c8a15829, 0x16ae7302b87f7602, 0xce73e508e855f1c9,
	0xcf834eeb7bb7c204, 0x6dce89c4d21ec7c4, 0x5caf4c77256eae20, 0x09e3846bb4348d91,
};
_Static_assert(sizeof(trans_digests) / 8 == sizeof(trans_ops) / sizeof(trans_ops[0]),
	       "one an operation");

START_TEST(digest)
{
	const struct trans_op *op = &trans_ops[_i];
	struct fpu_random random = {(u64)_i};
	u64 hash = 0;

	for (int i = 0; i < 5000; i++) {
		struct trans_call call = random_call(&random, op, 0);
		struct fp_env env = fp_env_x87(call.control);

		call.status = 0;
		op->model(&env, &call);
		hash = fpu_hash_f80(fpu_hash_f80(hash, call.st0), call.st1);
		hash = fpu_hash(hash, (u64)call.status << 16 | (u64)env.c1 << 8 | env.flags);
	}
	ck_assert_msg(hash == trans_digests[_i], "%s: digest 0x%016llx", op->name,
		      (unsigned long long)hash);
}
END_TEST

#if defined(__x86_64__)

/* Distance in units in the last place; all ones when not comparable. */
static u64 ulps(struct f80 a, struct f80 b)
{
	u128 x = ((u128)(a.se & 0x7fff) << 63) + (a.sig & ~(1ull << 63));
	u128 y = ((u128)(b.se & 0x7fff) << 63) + (b.sig & ~(1ull << 63));
	u128 distance = x > y ? x - y : y - x;

	if ((a.se ^ b.se) >> 15 || sf80_class(a) == FP_CLASS_NAN)
		return distance || a.se != b.se ? ~0ull : 0;
	return distance >> 63 ? ~0ull : (u64)distance;
}

/*
 * The flags that must be the same. An ulp more or less at the smallest normal
 * number decides over tininess, so UE is free there.
 */
static u16 status_mask(struct f80 a, struct f80 b)
{
	u16 larger = (a.se & 0x7fff) > (b.se & 0x7fff) ? a.se & 0x7fff : b.se & 0x7fff;
	bool edge = larger == 1 && ((a.sig | b.sig) == ~0ull || a.sig == b.sig);

	return edge ? X87_C2 | (FP_ALL_FLAGS & ~FP_UE) : X87_C2 | FP_ALL_FLAGS;
}

static bool trans_agrees(const struct trans_op *op, const struct trans_call *in)
{
	struct trans_call hw = *in, model = *in;
	struct fp_env env = fp_env_x87(in->control);
	u64 distance;

	model.status = 0;
	op->hardware(&hw);
	op->model(&env, &model);
	model.status |= env.flags;
	if (fp_unmasked(&env) & FP_PRE_FLAGS) {
		model.st0 = in->st0;
		model.st1 = in->st1;
	}
	distance = ulps(hw.st0, model.st0);
	if (op->two_results && ulps(hw.st1, model.st1) > distance)
		distance = ulps(hw.st1, model.st1);
	if (distance <= 1 && !((hw.status ^ model.status) & status_mask(hw.st0, model.st0)))
		return true;
	fprintf(stderr,
		"%s control %04x st0 %04x.%016llx st1 %04x.%016llx\n"
		"  hardware %04x.%016llx %04x.%016llx sw %04x\n"
		"  model    %04x.%016llx %04x.%016llx sw %04x\n",
		op->name, in->control, in->st0.se, (unsigned long long)in->st0.sig, in->st1.se,
		(unsigned long long)in->st1.sig, hw.st0.se, (unsigned long long)hw.st0.sig,
		hw.st1.se, (unsigned long long)hw.st1.sig, hw.status & 0x43f, model.st0.se,
		(unsigned long long)model.st0.sig, model.st1.se, (unsigned long long)model.st1.sig,
		model.status);
	return false;
}

static void compare_with_host(const struct trans_op *op, long cases, u16 random_masks)
{
	struct fpu_random random = {0x5eedull + (u64)(op - trans_ops)};
	int differences = 0;

	for (long i = 0; i < cases && differences < 10; i++) {
		struct trans_call call = random_call(&random, op, random_masks);

		differences += !trans_agrees(op, &call);
	}
	ck_assert_msg(differences == 0, "%s differs from the processor", op->name);
}

START_TEST(masked_close_to_host)
{
	compare_with_host(&trans_ops[_i], fpu_test_cases(20000), 0);
}
END_TEST

START_TEST(unmasked_close_to_host)
{
	compare_with_host(&trans_ops[_i], fpu_test_cases(20000), 0x3f);
}
END_TEST

#endif

TCase *fpu_transcendental_case(void)
{
	TCase *tc = tcase_create("transcendental");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, digest, 0, TRANS_OP_COUNT);
#if defined(__x86_64__)
	tcase_add_loop_test(tc, masked_close_to_host, 0, TRANS_OP_COUNT);
	tcase_add_loop_test(tc, unmasked_close_to_host, 0, TRANS_OP_COUNT);
#endif
	return tc;
}
