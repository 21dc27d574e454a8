/*
 * The floating-point suite: the random operands, a few values worth reading, and
 * the host's arithmetic against softfloat. test_fpu_sse.c, test_fpu_x87.c and
 * test_fpu_trans.c test the operations.
 */
#include <stdlib.h>

#include "cpu/fpu/hardfloat.h"
#include "tests/unit/test_fpu.h"

u64 fpu_random_next(struct fpu_random *random)
{
	u64 x = random->state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* A field of n bits: mostly random, often the shapes rounding trips over. */
static u64 random_field(struct fpu_random *random, unsigned n)
{
	u64 r = fpu_random_next(random), ones = n == 64 ? ~0ull : (1ull << n) - 1;
	unsigned bit = (unsigned)(fpu_random_next(random) % n);

	switch (r >> 60) {
	case 0:
		return 0;
	case 1:
		return ones;
	case 2:
		return 1ull << bit;
	case 3:
		return ones << bit & ones;
	case 4:
		return ones >> bit;
	case 5:
		return 1ull << (n - 1) | (r & 3);
	case 6:
		return (ones - (r & 3)) & ones;
	case 7:
		return 1ull << bit | 1ull << (n - 1);
	default:
		return r & ones;
	}
}

static u64 random_exponent(struct fpu_random *random, unsigned exp_bits, unsigned frac_bits)
{
	u64 r = fpu_random_next(random), ones = (1ull << exp_bits) - 1, bias = ones >> 1;

	switch (r >> 61) {
	case 0:
		return r & 1 ? ones : 0;
	case 1:
		return 1 + r % (frac_bits + 3);
	case 2:
		return ones - 1 - r % 3;
	case 3:
	case 4:
		return (bias - frac_bits / 2 + r % (2 * frac_bits)) & ones;
	case 5:
		return bias - 2 + r % 5;
	default:
		return r & ones;
	}
}

u64 fpu_random_float(struct fpu_random *random, unsigned exp_bits, unsigned frac_bits)
{
	u64 exp = random_exponent(random, exp_bits, frac_bits);

	return (fpu_random_next(random) & 1) << (exp_bits + frac_bits) | exp << frac_bits |
	       random_field(random, frac_bits);
}

u64 fpu_random_integer(struct fpu_random *random)
{
	u64 v = random_field(random, 64);

	return v >> (fpu_random_next(random) & 63);
}

/* Now and then without the integer bit, which makes the unsupported formats. */
struct f80 fpu_random_f80(struct fpu_random *random)
{
	u64 exp = random_exponent(random, 15, 63);
	u64 sig = random_field(random, 63), r = fpu_random_next(random);
	bool integer = exp ? (r & 31) != 0 : (r & 7) == 0;

	return (struct f80){sig | (u64)integer << 63, (u16)((r >> 40 & 1) << 15 | exp)};
}

u64 fpu_hash(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0x100000001b3ull;
	return hash ^ hash >> 29;
}

u64 fpu_hash_f80(u64 hash, struct f80 value)
{
	return fpu_hash(fpu_hash(hash, value.sig), value.se);
}

long fpu_test_cases(long normal)
{
	const char *scale = getenv("FPU_TEST_SCALE");

	return scale ? normal * atol(scale) : normal;
}

static struct fp_env masked(void)
{
	return fp_env_sse(0x1f80);
}

#define CHECK(expression, result, expected_flags)                                                  \
	do {                                                                                       \
		struct fp_env env = masked();                                                      \
                                                                                                   \
		ck_assert_uint_eq(expression, result);                                             \
		ck_assert_uint_eq(env.flags, expected_flags);                                      \
	} while (0)

START_TEST(readable_sse_values)
{
	CHECK(sf32_add(&env, 0x3f800000, 0x40000000), 0x40400000, 0);
	CHECK(sf32_div(&env, 0x3f800000, 0x40400000), 0x3eaaaaab, FP_PE);
	CHECK(sf32_div(&env, 0xbf800000, 0), 0xff800000, FP_ZE);
	CHECK(sf32_div(&env, 0, 0), 0xffc00000, FP_IE);
	CHECK(sf32_mul(&env, 0x7f7fffff, 0x40000000), 0x7f800000, FP_OE | FP_PE);
	CHECK(sf32_mul(&env, 0x00800001, 0x3f000000), 0x00400000, FP_UE | FP_PE);
	CHECK(sf32_mul(&env, 0x00800000, 0x3f000000), 0x00400000, 0);
	CHECK(sf32_add(&env, 0x00000001, 0x3f800000), 0x3f800000, FP_DE | FP_PE);
	CHECK(sf32_add(&env, 0x7f800001, 0x00000001), 0x7fc00001, FP_IE);
	/* The first operand's NaN, even when the second is the signalling one. */
	CHECK(sf32_add(&env, 0xffc00002, 0x7f800001), 0xffc00002, FP_IE);
	CHECK(sf64_sqrt(&env, 0x4000000000000000), 0x3ff6a09e667f3bcd, FP_PE);
	CHECK(sf64_fma(&env, 0x3ff0000000000001, 0x3ff0000000000001, 0xbff0000000000002, 0),
	      0x3970000000000000, 0);
	/* Infinity times zero plus a NaN is that NaN, and not invalid. */
	CHECK(sf64_fma(&env, 0x7ff0000000000000, 0, 0x7ff8000000000007, 0), 0x7ff8000000000007, 0);
	CHECK((u32)sf64_to_s32(&env, 0x41e0000000000000, FP_RC_ZERO), 0x80000000, FP_IE);
	CHECK(sf32_to_f16(&env, 0x477fefff, FP_RC_NEAREST), 0x7bff, FP_PE);
	CHECK(sf16_to_f32(&env, 0x0001), 0x33800000, 0);
}
END_TEST

START_TEST(unmasked_precomputation_hides_the_rest)
{
	struct fp_env env = fp_env_sse(0x1f80 & ~(FP_DE << 7));

	sf32_add(&env, 0x00000001, 0x3f800000);
	ck_assert_uint_eq(fp_unmasked(&env), FP_DE);
	ck_assert_uint_eq(fp_sse_flags(&env), FP_DE);
}
END_TEST

START_TEST(x87_unmasked_overflow_is_biased)
{
	struct fp_env env = fp_env_x87(0x37f & ~FP_OE);
	struct f80 big = {1ull << 63, 0x7ffe}, r = sf80_mul(&env, big, big);

	ck_assert_uint_eq(r.se, 0x7ffe + 0x3fff - 24576);
	ck_assert_uint_eq(r.sig, 1ull << 63);
	ck_assert_uint_eq(env.flags, FP_OE);
}
END_TEST

/* Operations with PE already set, where the host may be used; the flags must agree too. */
#define HARDFLOAT_CHECK(bits, name, ...)                                                           \
	do {                                                                                       \
		struct fp_env hard = env, soft = env;                                              \
		u64 h = fp##bits##_##name(&hard, __VA_ARGS__);                                     \
		u64 s = sf##bits##_##name(&soft, __VA_ARGS__);                                     \
                                                                                                   \
		ck_assert_msg(h == s && hard.flags == soft.flags,                                  \
			      #name #bits " %llx %llx %llx: %llx %llx", (unsigned long long)a,     \
			      (unsigned long long)b, (unsigned long long)c, (unsigned long long)h, \
			      (unsigned long long)s);                                              \
	} while (0)

#define HARDFLOAT_TEST(bits, exp_bits, frac_bits)                                                  \
	START_TEST(hardfloat_##bits##_is_softfloat)                                                \
	{                                                                                          \
		struct fpu_random random = {bits};                                                 \
		long cases = fpu_test_cases(100000);                                               \
                                                                                                   \
		for (long i = 0; i < cases; i++) {                                                 \
			u32 control = (u32)fpu_random_next(&random);                               \
			struct fp_env env = fp_env_sse(0x1fa0 | (control & 0x8040));               \
			u##bits a = (u##bits)fpu_random_float(&random, exp_bits, frac_bits);       \
			u##bits b = (u##bits)fpu_random_float(&random, exp_bits, frac_bits);       \
			u##bits c = (u##bits)fpu_random_float(&random, exp_bits, frac_bits);       \
                                                                                                   \
			HARDFLOAT_CHECK(bits, add, a, b);                                          \
			HARDFLOAT_CHECK(bits, sub, a, b);                                          \
			HARDFLOAT_CHECK(bits, mul, a, b);                                          \
			HARDFLOAT_CHECK(bits, div, a, b);                                          \
			HARDFLOAT_CHECK(bits, sqrt, a);                                            \
			HARDFLOAT_CHECK(bits, fma, a, b, c, control >> 8 & 3);                     \
		}                                                                                  \
	}                                                                                          \
	END_TEST

HARDFLOAT_TEST(32, 8, 23)
HARDFLOAT_TEST(64, 11, 52)

static TCase *value_case(void)
{
	TCase *tc = tcase_create("values");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, readable_sse_values);
	tcase_add_test(tc, unmasked_precomputation_hides_the_rest);
	tcase_add_test(tc, x87_unmasked_overflow_is_biased);
	tcase_add_test(tc, hardfloat_32_is_softfloat);
	tcase_add_test(tc, hardfloat_64_is_softfloat);
	return tc;
}

Suite *fpu_suite(void)
{
	Suite *suite = suite_create("fpu");

	suite_add_tcase(suite, value_case());
	suite_add_tcase(suite, fpu_sse_case());
	suite_add_tcase(suite, fpu_x87_case());
	suite_add_tcase(suite, fpu_transcendental_case());
	return suite;
}
