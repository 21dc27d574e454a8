/*
 * Softfloat under SSE rules: every operation, all roundings, DAZ and FTZ,
 * results and MXCSR flags. On an x86-64 host against the processor, with
 * exceptions masked and unmasked; on every host against a digest of results
 * that were found equal to a processor's.
 */
#include <signal.h>
#include <stdio.h>

#include "tests/unit/test_fpu.h"

#if defined(__x86_64__)
#include <ucontext.h>
#endif

enum sse_operand {
	SSE_F16,
	SSE_F32,
	SSE_F64,
	SSE_INTEGER,
};

struct sse_call {
	u32 mxcsr; /* in: control; out: flags */
	u64 a, b, c;
};

struct sse_op {
	const char *name;
	enum sse_operand operand;
	u64 result_mask;
	bool avx512;
	u64 (*hardware)(struct sse_call *call);
	u64 (*model)(struct fp_env *env, u64 a, u64 b, u64 c);
};

/* LAHF after COMISS: ZF, PF, CF at bits 14, 10, 8. */
static u64 order_flags(enum fp_order order)
{
	switch (order) {
	case FP_UNORDERED:
		return 0x4500;
	case FP_LESS:
		return 0x0100;
	case FP_EQUAL:
		return 0x4000;
	default:
		return 0;
	}
}

#define LAHF "\n\tmov $0, %%eax\n\tlahf\n\tand $0x4500, %%eax\n\tmovq %%rax, %%xmm0"
#define RAX "\n\tmovq %%rax, %%xmm0"
#define EAX "\n\tmov %%eax, %%eax\n\tmovq %%rax, %%xmm0"
#define M32 0xffffffffull
#define M64 ~0ull

/* Operands are in xmm0, xmm1, xmm2 (a also in rax); the result is read from xmm0. */
#define SSE_OPS(X)                                                                                 \
	X(addss, SSE_F32, M32, false, "addss %%xmm1, %%xmm0", sf32_add(env, a, b))                 \
	X(subss, SSE_F32, M32, false, "subss %%xmm1, %%xmm0", sf32_sub(env, a, b))                 \
	X(mulss, SSE_F32, M32, false, "mulss %%xmm1, %%xmm0", sf32_mul(env, a, b))                 \
	X(divss, SSE_F32, M32, false, "divss %%xmm1, %%xmm0", sf32_div(env, a, b))                 \
	X(sqrtss, SSE_F32, M32, false, "sqrtss %%xmm0, %%xmm0", sf32_sqrt(env, a))                 \
	X(minss, SSE_F32, M32, false, "minss %%xmm1, %%xmm0", sf32_min(env, a, b))                 \
	X(maxss, SSE_F32, M32, false, "maxss %%xmm1, %%xmm0", sf32_max(env, a, b))                 \
	X(comiss, SSE_F32, M32, false, "comiss %%xmm1, %%xmm0" LAHF,                               \
	  order_flags(sf32_compare(env, a, b, true)))                                              \
	X(ucomiss, SSE_F32, M32, false, "ucomiss %%xmm1, %%xmm0" LAHF,                             \
	  order_flags(sf32_compare(env, a, b, false)))                                             \
	X(roundss, SSE_F32, M32, false, "roundss $4, %%xmm0, %%xmm0",                              \
	  sf32_round(env, a, env->round, false))                                                   \
	X(roundss_up, SSE_F32, M32, false, "roundss $2, %%xmm0, %%xmm0",                           \
	  sf32_round(env, a, FP_RC_UP, false))                                                     \
	X(roundss_quiet, SSE_F32, M32, false, "roundss $9, %%xmm0, %%xmm0",                        \
	  sf32_round(env, a, FP_RC_DOWN, true))                                                    \
	X(cvtss2sd, SSE_F32, M64, false, "cvtss2sd %%xmm0, %%xmm0", sf32_to_f64(env, a))           \
	X(vcvtps2ph, SSE_F32, 0xffff, false, "vcvtps2ph $4, %%xmm0, %%xmm0",                       \
	  sf32_to_f16(env, a, env->round))                                                         \
	X(vcvtps2ph_zero, SSE_F32, 0xffff, false, "vcvtps2ph $3, %%xmm0, %%xmm0",                  \
	  sf32_to_f16(env, a, FP_RC_ZERO))                                                         \
	X(vcvtph2ps, SSE_F16, M32, false, "vcvtph2ps %%xmm0, %%xmm0", sf16_to_f32(env, a))         \
	X(cvtss2si, SSE_F32, M32, false, "cvtss2si %%xmm0, %%eax" EAX,                             \
	  (u32)sf32_to_s32(env, a, env->round))                                                    \
	X(cvtss2si64, SSE_F32, M64, false, "cvtss2si %%xmm0, %%rax" RAX,                           \
	  (u64)sf32_to_s64(env, a, env->round))                                                    \
	X(cvttss2si, SSE_F32, M32, false, "cvttss2si %%xmm0, %%eax" EAX,                           \
	  (u32)sf32_to_s32(env, a, FP_RC_ZERO))                                                    \
	X(cvttss2si64, SSE_F32, M64, false, "cvttss2si %%xmm0, %%rax" RAX,                         \
	  (u64)sf32_to_s64(env, a, FP_RC_ZERO))                                                    \
	X(vcvtss2usi, SSE_F32, M32, true, "vcvtss2usi %%xmm0, %%eax" EAX,                          \
	  sf32_to_u32(env, a, env->round))                                                         \
	X(vcvtss2usi64, SSE_F32, M64, true, "vcvtss2usi %%xmm0, %%rax" RAX,                        \
	  sf32_to_u64(env, a, env->round))                                                         \
	X(cvtsi2ss, SSE_INTEGER, M32, false, "cvtsi2ss %%eax, %%xmm0",                             \
	  sf32_from_s32(env, (s32)(u32)a))                                                         \
	X(cvtsi2ss64, SSE_INTEGER, M32, false, "cvtsi2ss %%rax, %%xmm0",                           \
	  sf32_from_s64(env, (s64)a))                                                              \
	X(vcvtusi2ss, SSE_INTEGER, M32, true, "vcvtusi2ss %%eax, %%xmm0, %%xmm0",                  \
	  sf32_from_u32(env, (u32)a))                                                              \
	X(vcvtusi2ss64, SSE_INTEGER, M32, true, "vcvtusi2ss %%rax, %%xmm0, %%xmm0",                \
	  sf32_from_u64(env, a))                                                                   \
	X(vfmadd213ss, SSE_F32, M32, false, "vfmadd213ss %%xmm2, %%xmm1, %%xmm0",                  \
	  sf32_fma(env, b, a, c, 0))                                                               \
	X(vfmadd132ss, SSE_F32, M32, false, "vfmadd132ss %%xmm2, %%xmm1, %%xmm0",                  \
	  sf32_fma(env, a, c, b, 0))                                                               \
	X(vfmadd231ss, SSE_F32, M32, false, "vfmadd231ss %%xmm2, %%xmm1, %%xmm0",                  \
	  sf32_fma(env, b, c, a, 0))                                                               \
	X(vfnmadd213ss, SSE_F32, M32, false, "vfnmadd213ss %%xmm2, %%xmm1, %%xmm0",                \
	  sf32_fma(env, b, a, c, FP_FMA_NEG_PRODUCT))                                              \
	X(vfnmsub213ss, SSE_F32, M32, false, "vfnmsub213ss %%xmm2, %%xmm1, %%xmm0",                \
	  sf32_fma(env, b, a, c, FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND))                          \
	X(addsd, SSE_F64, M64, false, "addsd %%xmm1, %%xmm0", sf64_add(env, a, b))                 \
	X(subsd, SSE_F64, M64, false, "subsd %%xmm1, %%xmm0", sf64_sub(env, a, b))                 \
	X(mulsd, SSE_F64, M64, false, "mulsd %%xmm1, %%xmm0", sf64_mul(env, a, b))                 \
	X(divsd, SSE_F64, M64, false, "divsd %%xmm1, %%xmm0", sf64_div(env, a, b))                 \
	X(sqrtsd, SSE_F64, M64, false, "sqrtsd %%xmm0, %%xmm0", sf64_sqrt(env, a))                 \
	X(minsd, SSE_F64, M64, false, "minsd %%xmm1, %%xmm0", sf64_min(env, a, b))                 \
	X(maxsd, SSE_F64, M64, false, "maxsd %%xmm1, %%xmm0", sf64_max(env, a, b))                 \
	X(comisd, SSE_F64, M32, false, "comisd %%xmm1, %%xmm0" LAHF,                               \
	  order_flags(sf64_compare(env, a, b, true)))                                              \
	X(ucomisd, SSE_F64, M32, false, "ucomisd %%xmm1, %%xmm0" LAHF,                             \
	  order_flags(sf64_compare(env, a, b, false)))                                             \
	X(roundsd, SSE_F64, M64, false, "roundsd $4, %%xmm0, %%xmm0",                              \
	  sf64_round(env, a, env->round, false))                                                   \
	X(roundsd_quiet, SSE_F64, M64, false, "roundsd $10, %%xmm0, %%xmm0",                       \
	  sf64_round(env, a, FP_RC_UP, true))                                                      \
	X(cvtsd2ss, SSE_F64, M32, false, "cvtsd2ss %%xmm0, %%xmm0", sf64_to_f32(env, a))           \
	X(cvtsd2si, SSE_F64, M32, false, "cvtsd2si %%xmm0, %%eax" EAX,                             \
	  (u32)sf64_to_s32(env, a, env->round))                                                    \
	X(cvtsd2si64, SSE_F64, M64, false, "cvtsd2si %%xmm0, %%rax" RAX,                           \
	  (u64)sf64_to_s64(env, a, env->round))                                                    \
	X(cvttsd2si, SSE_F64, M32, false, "cvttsd2si %%xmm0, %%eax" EAX,                           \
	  (u32)sf64_to_s32(env, a, FP_RC_ZERO))                                                    \
	X(cvttsd2si64, SSE_F64, M64, false, "cvttsd2si %%xmm0, %%rax" RAX,                         \
	  (u64)sf64_to_s64(env, a, FP_RC_ZERO))                                                    \
	X(vcvtsd2usi, SSE_F64, M32, true, "vcvtsd2usi %%xmm0, %%eax" EAX,                          \
	  sf64_to_u32(env, a, env->round))                                                         \
	X(vcvtsd2usi64, SSE_F64, M64, true, "vcvtsd2usi %%xmm0, %%rax" RAX,                        \
	  sf64_to_u64(env, a, env->round))                                                         \
	X(cvtsi2sd, SSE_INTEGER, M64, false, "cvtsi2sd %%eax, %%xmm0",                             \
	  sf64_from_s32(env, (s32)(u32)a))                                                         \
	X(cvtsi2sd64, SSE_INTEGER, M64, false, "cvtsi2sd %%rax, %%xmm0",                           \
	  sf64_from_s64(env, (s64)a))                                                              \
	X(vcvtusi2sd, SSE_INTEGER, M64, true, "vcvtusi2sd %%eax, %%xmm0, %%xmm0",                  \
	  sf64_from_u32(env, (u32)a))                                                              \
	X(vcvtusi2sd64, SSE_INTEGER, M64, true, "vcvtusi2sd %%rax, %%xmm0, %%xmm0",                \
	  sf64_from_u64(env, a))                                                                   \
	X(vfmadd213sd, SSE_F64, M64, false, "vfmadd213sd %%xmm2, %%xmm1, %%xmm0",                  \
	  sf64_fma(env, b, a, c, 0))                                                               \
	X(vfmadd132sd, SSE_F64, M64, false, "vfmadd132sd %%xmm2, %%xmm1, %%xmm0",                  \
	  sf64_fma(env, a, c, b, 0))                                                               \
	X(vfmadd231sd, SSE_F64, M64, false, "vfmadd231sd %%xmm2, %%xmm1, %%xmm0",                  \
	  sf64_fma(env, b, c, a, 0))                                                               \
	X(vfmsub213sd, SSE_F64, M64, false, "vfmsub213sd %%xmm2, %%xmm1, %%xmm0",                  \
	  sf64_fma(env, b, a, c, FP_FMA_NEG_ADDEND))                                               \
	X(vfnmsub213sd, SSE_F64, M64, false, "vfnmsub213sd %%xmm2, %%xmm1, %%xmm0",                \
	  sf64_fma(env, b, a, c, FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND))

#define SSE_MODEL(name, operand, mask, avx512, text, expression)                                   \
	static u64 model_##name(struct fp_env *env, u64 a, u64 b, u64 c)                           \
	{                                                                                          \
		(void)b;                                                                           \
		(void)c;                                                                           \
		return (expression) & (mask);                                                      \
	}
SSE_OPS(SSE_MODEL)

#if defined(__x86_64__)
#define SSE_HARDWARE(name, operand, mask, avx512, text, expression)                                \
	static u64 hardware_##name(struct sse_call *call)                                          \
	{                                                                                          \
		u64 r, a = call->a;                                                                \
		u32 out, normal = 0x1f80;                                                          \
                                                                                                   \
		__asm__ volatile("movq %[b], %%xmm1\n\tmovq %[c], %%xmm2\n\t"                      \
				 "movq %[a], %%xmm0\n\tldmxcsr %[m]\n\t" text                      \
				 "\n\tstmxcsr %[o]\n\tldmxcsr %[n]\n\tmovq %%xmm0, %[r]"           \
				 : [r] "=m"(r), [o] "=m"(out), [a] "+a"(a)                         \
				 : [b] "m"(call->b), [c] "m"(call->c), [m] "m"(call->mxcsr),       \
				   [n] "m"(normal)                                                 \
				 : "xmm0", "xmm1", "xmm2", "cc", "memory");                        \
		call->mxcsr = out;                                                                 \
		return r & (mask);                                                                 \
	}
SSE_OPS(SSE_HARDWARE)
#define HARDWARE(name) hardware_##name
#else
#define HARDWARE(name) NULL
#endif

#define SSE_ROW(name, operand, mask, avx512, text, expression)                                     \
	{#name, operand, mask, avx512, HARDWARE(name), model_##name},
static const struct sse_op sse_ops[] = {SSE_OPS(SSE_ROW)};
#define SSE_OP_COUNT ((int)(sizeof(sse_ops) / sizeof(sse_ops[0])))

static u64 random_operand(struct fpu_random *random, enum sse_operand operand)
{
	switch (operand) {
	case SSE_F16:
		return fpu_random_float(random, 5, 10);
	case SSE_F32:
		return fpu_random_float(random, 8, 23);
	case SSE_F64:
		return fpu_random_float(random, 11, 52);
	default:
		return fpu_random_integer(random);
	}
}

static struct sse_call random_call(struct fpu_random *random, const struct sse_op *op,
				   u32 random_masks)
{
	u32 control = (u32)fpu_random_next(random);
	struct sse_call call = {(control & 0xe040) | (0x1f80 & ~(control & random_masks)), 0, 0, 0};

	call.a = random_operand(random, op->operand);
	call.b = random_operand(random, op->operand);
	call.c = random_operand(random, op->operand);
	return call;
}

/* In the order of SSE_OPS. */
static const u64 sse_digests[] = {
	0x3799c6f2037c0386, 0x4f586d37f64d146c, 0x78a47091253c5e19, 0x694d75386b2744a3,
	0x0a96798f4fe73461, 0x34485508c8dd3d40, 0xd668e31544c378d2, 0xdbc01c6aa23a623f,
	0xf54b9c7e9f412ae5, 0x6cd9b073b4e5b05f, 0xc8598327c495b160, 0xe53e15b0b86133e3,
	0xfa1776b2e88e666d, 0x7b46ea37a4900b2f, 0x58ffef1614d17d79, 0x50433c00d46cb323,
	0x53f9751175a96d1c, 0x06f6fd138fa5404c, 0x71c7523d84919a86, 0x103f03e61dd4e98c,
	0xc9db1efbe1dec906, 0xfe02fd2f47a4b399, 0x76bdbe7d9363168e, 0xaf589c9129801b2b,
	0xa5c3d54597138b53, 0x0cd8b26562a02f6f, 0xff37d3a13c300fe9, 0x2f1eb7b652d7f0dc,
	0x7aa4d1f266ad3654, 0x29495c23362e9b21, 0x94b46da96c004308, 0xdb83a9ca00d5e9c6,
	0x046ad1eef9da7575, 0x9c1a1b495ee20969, 0x79551daf7d17a070, 0x8f8bb51809b6924f,
	0x530297e31e598a82, 0x04771732075639a7, 0x12a997279caeb040, 0x28c4ad1f0c22a82a,
	0x35e9eaaf679702a5, 0x1ca9765c3af7714b, 0x151559c06917a3db, 0x14daaa0e3f6fd824,
	0x2951d7ae8eb0e4db, 0xfeee0621ef2acfdb, 0xe6678930e35bb3a7, 0xdf4f1167b48cb414,
	0x6c846c65ae42c3ff, 0x3190985c376a1b6f, 0x3c92fb88f46a21f7, 0x4db5191bce4fc1b4,
	0xd8d70ef0ea745bc0, 0xc43fc2e443d993da, 0x320e2295c384fbdf, 0xff611169cbc55655,
	0x8a685d6866395505, 0x98afd26d3d4278af,
};
_Static_assert(sizeof(sse_digests) / 8 == sizeof(sse_ops) / sizeof(sse_ops[0]), "one an operation");

START_TEST(digest)
{
	const struct sse_op *op = &sse_ops[_i];
	struct fpu_random random = {(u64)_i};
	u64 hash = 0;

	for (int i = 0; i < 10000; i++) {
		struct sse_call call = random_call(&random, op, 0);
		struct fp_env env = fp_env_sse(call.mxcsr);

		hash = fpu_hash(hash, op->model(&env, call.a, call.b, call.c));
		hash = fpu_hash(hash, env.flags);
	}
	ck_assert_msg(hash == sse_digests[_i], "%s: digest 0x%016llx", op->name,
		      (unsigned long long)hash);
}
END_TEST

#if defined(__x86_64__)

/* MXCSR as the signal found it; the one global a signal handler cannot do without. */
static volatile u32 trapped_mxcsr;

/* Note the flags, mask everything, and let the instruction run again. */
static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	trapped_mxcsr = uc->uc_mcontext.fpregs->mxcsr | 0x80000000u;
	uc->uc_mcontext.fpregs->mxcsr |= 0x1f80;
}

static void catch_sigfpe(void)
{
	struct sigaction action = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	sigaction(SIGFPE, &action, NULL);
}

/* One comparison; false and a line of text on a difference. */
static bool sse_agrees(const struct sse_op *op, const struct sse_call *in)
{
	struct sse_call call = *in;
	struct fp_env env = fp_env_sse(in->mxcsr);
	u64 model = op->model(&env, in->a, in->b, in->c);
	u8 flags = fp_sse_flags(&env);

	trapped_mxcsr = 0;
	u64 hardware = op->hardware(&call);
	bool trapped = trapped_mxcsr != 0;
	u8 hardware_flags = (trapped ? trapped_mxcsr : call.mxcsr) & 0x3f;

	if (trapped == (fp_unmasked(&env) != 0) && hardware_flags == flags &&
	    (trapped || hardware == model))
		return true;
	fprintf(stderr,
		"%s mxcsr %04x a %llx b %llx c %llx: hardware %llx flags %02x%s, "
		"model %llx flags %02x\n",
		op->name, in->mxcsr, (unsigned long long)in->a, (unsigned long long)in->b,
		(unsigned long long)in->c, (unsigned long long)hardware, hardware_flags,
		trapped ? " trapped" : "", (unsigned long long)model, flags);
	return false;
}

static bool sse_op_runs_here(const struct sse_op *op)
{
	if (op->avx512)
		return __builtin_cpu_supports("avx512f");
	if (op->name[0] == 'v')
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	return true;
}

/* masks: the MXCSR mask bits to leave random. */
static void compare_with_host(const struct sse_op *op, long cases, u32 random_masks)
{
	struct fpu_random random = {0x9e3779b97f4a7c15ull ^ (u64)(op - sse_ops)};
	int differences = 0;

	if (!sse_op_runs_here(op))
		return;
	for (long i = 0; i < cases && differences < 10; i++) {
		struct sse_call call = random_call(&random, op, random_masks);

		differences += !sse_agrees(op, &call);
	}
	ck_assert_msg(differences == 0, "%s differs from the processor", op->name);
}

START_TEST(masked_like_host)
{
	compare_with_host(&sse_ops[_i], fpu_test_cases(40000), 0);
}
END_TEST

/* Which flags VCVTPS2PH shows beside the one that traps is not the same on other makers' processors. */
START_TEST(unmasked_like_host)
{
	if (!__builtin_cpu_is("intel") && !strncmp(sse_ops[_i].name, "vcvtps2ph", 9))
		return;
	catch_sigfpe();
	compare_with_host(&sse_ops[_i], fpu_test_cases(5000), 0x1f80);
}
END_TEST

#endif

TCase *fpu_sse_case(void)
{
	TCase *tc = tcase_create("sse");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, digest, 0, SSE_OP_COUNT);
#if defined(__x86_64__)
	tcase_add_loop_test(tc, masked_like_host, 0, SSE_OP_COUNT);
	tcase_add_loop_test(tc, unmasked_like_host, 0, SSE_OP_COUNT);
#endif
	return tc;
}
