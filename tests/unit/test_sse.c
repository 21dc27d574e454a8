/*
 * MMX, SSE and AVX instructions: published test vectors (FIPS 197, FIPS 180-4), what happens to the
 * rest of a register, MMX state, faults in masked moves and gathers. Results of every row are in
 * test_sse_digest.c.
 */
#include <stdlib.h>

#include "cpu/check.h"
#include "tests/unit/test_sse.h"

#define RAM 0x100000ull /* operands */

static struct sse_env s;
static struct vcpu *v;

struct sse_env sse_env_new(void)
{
	struct sse_env e = {.env = env_new()};

	e.v = e.env->v;
	e.decoder = decoder_new(&e.env->model);
	ck_assert_ptr_nonnull(e.decoder);
	env_long(e.env, 3);
	e.v->cr0 |= CR0_NE;
	e.v->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
	e.v->xcr0 = 7;
	vcpu_recompute(e.v);
	return e;
}

void sse_env_free(struct sse_env *e)
{
	decoder_free(e->decoder);
	env_free(e->env);
}

int sse_step(struct sse_env *e, const u8 *bytes, unsigned n)
{
	struct insn i;
	int r;

	if (decode(e->decoder, 64, bytes, n, &i) != DECODE_OK)
		return raise_ud(e->v);
	ck_assert_uint_eq(i.len, n);
	r = insn_check(e->v, &i);
	return r ? r : i.exec(e->v, &i);
}

static void setup(void)
{
	s = sse_env_new();
	v = s.v;
}

static void teardown(void)
{
	sse_env_free(&s);
}

#define STEP(...) sse_step(&s, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
#define OK(...) ck_assert_int_eq(STEP(__VA_ARGS__), EXEC_NEXT)

static void set_bytes(unsigned reg, const char *hex)
{
	for (unsigned k = 0; k < 16; k++) {
		char pair[3] = {hex[2 * k], hex[2 * k + 1], 0};

		v->ymm[reg].b[k] = (u8)strtoul(pair, NULL, 16);
	}
}

static void ck_bytes(unsigned reg, const char *hex)
{
	char text[33];

	for (unsigned k = 0; k < 16; k++)
		snprintf(text + 2 * k, 3, "%02x", v->ymm[reg].b[k]);
	ck_assert_str_eq(text, hex);
}

/* --- AES: FIPS 197, appendix B --- */

/* The next round key in xmm1 from xmm1, with AESKEYGENASSIST into xmm2. */
static void next_key(u8 rcon)
{
	union vreg *k = &v->ymm[1];

	OK(0x66, 0x0f, 0x3a, 0xdf, 0xd1, rcon);
	k->d[0] ^= v->ymm[2].d[3];
	for (unsigned n = 1; n < 4; n++)
		k->d[n] ^= k->d[n - 1];
}

START_TEST(aes_vector)
{
	static const u8 rcon[] = {1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36};
	union vreg keys[11];

	set_bytes(1, "2b7e151628aed2a6abf7158809cf4f3c");
	set_bytes(0, "3243f6a8885a308d313198a2e0370734");
	keys[0] = v->ymm[1];
	OK(0x66, 0x0f, 0xef, 0xc1); /* pxor xmm0, xmm1 */
	for (unsigned round = 0; round < 10; round++) {
		next_key(rcon[round]);
		keys[round + 1] = v->ymm[1];
		if (round < 9)
			OK(0x66, 0x0f, 0x38, 0xdc, 0xc1); /* aesenc xmm0, xmm1 */
		else
			OK(0x66, 0x0f, 0x38, 0xdd, 0xc1); /* aesenclast */
	}
	ck_bytes(0, "3925841d02dc09fbdc118597196a0b32");
	OK(0x66, 0x0f, 0xef, 0xc1);
	for (unsigned round = 10; round-- > 0;) {
		v->ymm[1] = keys[round];
		if (round) {
			OK(0x66, 0x0f, 0x38, 0xdb, 0xc9); /* aesimc xmm1, xmm1 */
			OK(0x66, 0x0f, 0x38, 0xde, 0xc1); /* aesdec xmm0, xmm1 */
		} else {
			OK(0x66, 0x0f, 0x38, 0xdf, 0xc1); /* aesdeclast */
		}
	}
	ck_bytes(0, "3243f6a8885a308d313198a2e0370734");
}
END_TEST

/* --- SHA: FIPS 180-4 examples, the one-block message "abc" --- */

static void abc_block(u32 w[16])
{
	memset(w, 0, 64);
	w[0] = 0x61626380;
	w[15] = 24;
}

START_TEST(sha256_vector)
{
	static const u32 k[64] = {
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
		0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
		0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
		0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
		0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
		0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
		0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
		0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
		0xc67178f2};
	static const u32 abef[4] = {0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667};
	static const u32 cdgh[4] = {0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372};
	u32 w[64];

	abc_block(w);
	for (unsigned t = 16; t < 64; t += 4) { /* xmm1 = W[t-16..], with the sigmas */
		memcpy(v->ymm[1].d, w + t - 16, 16);
		memcpy(v->ymm[2].d, w + t - 12, 16);
		OK(0x0f, 0x38, 0xcc, 0xca); /* sha256msg1 xmm1, xmm2 */
		memcpy(v->ymm[2].d, w + t - 7, 16);
		OK(0x66, 0x0f, 0xfe, 0xca); /* paddd xmm1, xmm2 */
		memcpy(v->ymm[2].d, w + t - 4, 16);
		OK(0x0f, 0x38, 0xcd, 0xca); /* sha256msg2 xmm1, xmm2 */
		memcpy(w + t, v->ymm[1].d, 16);
	}
	memcpy(v->ymm[3].d, abef, 16);
	memcpy(v->ymm[4].d, cdgh, 16);
	for (unsigned t = 0; t < 64; t += 2) {
		union vreg old = v->ymm[3];

		v->ymm[0].d[0] = w[t] + k[t];
		v->ymm[0].d[1] = w[t + 1] + k[t + 1];
		OK(0x0f, 0x38, 0xcb, 0xe3); /* sha256rnds2 xmm4, xmm3 */
		v->ymm[3] = v->ymm[4];
		v->ymm[4] = old;
	}
	ck_assert_uint_eq(v->ymm[3].d[3] + abef[3], 0xba7816bf);
	ck_assert_uint_eq(v->ymm[3].d[2] + abef[2], 0x8f01cfea);
	ck_assert_uint_eq(v->ymm[4].d[3] + cdgh[3], 0x414140de);
	ck_assert_uint_eq(v->ymm[4].d[2] + cdgh[2], 0x5dae2223);
	ck_assert_uint_eq(v->ymm[3].d[1] + abef[1], 0xb00361a3);
	ck_assert_uint_eq(v->ymm[3].d[0] + abef[0], 0x96177a9c);
	ck_assert_uint_eq(v->ymm[4].d[1] + cdgh[1], 0xb410ff61);
	ck_assert_uint_eq(v->ymm[4].d[0] + cdgh[0], 0xf20015ad);
}
END_TEST

static void reversed(union vreg *r, const u32 *w)
{
	for (unsigned n = 0; n < 4; n++)
		r->d[n] = w[3 - n];
}

START_TEST(sha1_vector)
{
	static const u32 start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	u32 w[80];

	abc_block(w);
	for (unsigned t = 16; t < 80; t += 4) {
		reversed(&v->ymm[1], w + t - 16);
		reversed(&v->ymm[2], w + t - 12);
		OK(0x0f, 0x38, 0xc9, 0xca); /* sha1msg1 xmm1, xmm2 */
		reversed(&v->ymm[2], w + t - 8);
		OK(0x66, 0x0f, 0xef, 0xca); /* pxor xmm1, xmm2 */
		reversed(&v->ymm[2], w + t - 4);
		OK(0x0f, 0x38, 0xca, 0xca); /* sha1msg2 xmm1, xmm2 */
		for (unsigned n = 0; n < 4; n++)
			w[t + n] = v->ymm[1].d[3 - n];
	}
	reversed(&v->ymm[3], start);
	v->ymm[4] = (union vreg){0};
	for (unsigned t = 0; t < 80; t += 4) {
		union vreg old = v->ymm[3];
		u8 group = (u8)(t / 20);

		reversed(&v->ymm[1], w + t);
		if (t) {
			OK(0x0f, 0x38, 0xc8, 0xe1); /* sha1nexte xmm4, xmm1 */
		} else {
			v->ymm[4] = v->ymm[1];
			v->ymm[4].d[3] += start[4];
		}
		OK(0x0f, 0x3a, 0xcc, 0xdc, group); /* sha1rnds4 xmm3, xmm4, group */
		v->ymm[4] = old;
	}
	v->ymm[1] = (union vreg){.d = {0, 0, 0, start[4]}};
	OK(0x0f, 0x38, 0xc8, 0xe1);
	ck_assert_uint_eq(v->ymm[3].d[3] + start[0], 0xa9993e36);
	ck_assert_uint_eq(v->ymm[3].d[2] + start[1], 0x4706816a);
	ck_assert_uint_eq(v->ymm[3].d[1] + start[2], 0xba3e2571);
	ck_assert_uint_eq(v->ymm[3].d[0] + start[3], 0x7850c26c);
	ck_assert_uint_eq(v->ymm[4].d[3], 0x9cd0d89d);
}
END_TEST

/* --- the rest of a register --- */

START_TEST(upper_halves)
{
	v->ymm[1] = (union vreg){.q = {1, 2, 3, 4}};
	v->ymm[2] = (union vreg){.q = {5, 6, 7, 8}};
	OK(0x66, 0x0f, 0xd4, 0xca); /* paddq xmm1, xmm2 */
	ck_assert_uint_eq(v->ymm[1].q[1], 8);
	ck_assert_uint_eq(v->ymm[1].q[2], 3);
	ck_assert_uint_eq(v->ymm[1].q[3], 4);
	OK(0xc5, 0xe9, 0xd4, 0xca); /* vpaddq xmm1, xmm2, xmm2 */
	ck_assert_uint_eq(v->ymm[1].q[1], 12);
	ck_assert_uint_eq(v->ymm[1].q[2] | v->ymm[1].q[3], 0);
	OK(0xc5, 0xed, 0xd4, 0xca); /* vpaddq ymm1, ymm2, ymm2 */
	ck_assert_uint_eq(v->ymm[1].q[3], 16);
	OK(0xc5, 0xf8, 0x77); /* vzeroupper */
	ck_assert_uint_eq(v->ymm[1].q[3], 0);
	ck_assert_uint_eq(v->ymm[1].q[0], 10);
	OK(0xc5, 0xfc, 0x77); /* vzeroall */
	ck_assert_uint_eq(v->ymm[1].q[0], 0);
}
END_TEST

START_TEST(mmx_state)
{
	v->x87.fsw = 0x3800 | 0x4500;
	v->x87.tag_valid = 0;
	v->x87.st[3] = (struct f80_reg){.sig = 7, .se = 0x1234};
	v->reg[RAX] = 0x1122334455667788;
	OK(0x0f, 0x7e, 0xd8); /* movd eax, mm3 */
	ck_assert_uint_eq(v->reg[RAX], 7);
	ck_assert_uint_eq(v->x87.fsw, 0x4500);
	ck_assert_uint_eq(v->x87.tag_valid, 0xff);
	ck_assert_uint_eq(v->x87.st[3].se, 0x1234);
	OK(0x4d, 0x0f, 0x6f, 0xdb); /* movq mm3, mm3: REX does not make it another register */
	ck_assert_uint_eq(v->x87.st[3].se, 0xffff);
	v->x87.fsw |= 0x1800;
	OK(0x0f, 0x77); /* emms */
	ck_assert_uint_eq(v->x87.tag_valid, 0);
	ck_assert_uint_eq(v->x87.fsw, 0x4500);
	v->x87.fsw |= 0x81; /* an unmasked exception is pending */
	ck_assert_int_eq(STEP(0x0f, 0xef, 0xc0), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_MF);
}
END_TEST

/* --- checks before execution --- */

static void must_fault(int r, u8 vector)
{
	ck_assert_int_eq(r, EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, vector);
	v->exc.valid = false;
}

START_TEST(availability)
{
	v->reg[RBX] = RAM + 8;
	must_fault(STEP(0x66, 0x0f, 0x6f, 0x0b), VEC_GP);	   /* movdqa xmm1, [rbx] */
	OK(0xf3, 0x0f, 0x6f, 0x0b);				   /* movdqu */
	OK(0xc5, 0xf1, 0xef, 0x0b);				   /* vpxor xmm1, xmm1, [rbx] */
	must_fault(STEP(0xc5, 0xf9, 0x6f, 0x0b), VEC_GP);	   /* vmovdqa */
	must_fault(STEP(0xc5, 0xf1, 0x6f, 0xc9), VEC_UD);	   /* vmovdqa with a VEX.vvvv */
	must_fault(STEP(0xc4, 0xe3, 0x71, 0x38, 0xca, 1), VEC_UD); /* vinserti128 with L = 0 */
	must_fault(STEP(0xc4, 0xe2, 0xf9, 0x58, 0xca), VEC_UD);	   /* vpbroadcastd with W = 1 */
	v->cr4 &= ~CR4_OSXSAVE;
	must_fault(STEP(0xc5, 0xf1, 0xef, 0xca), VEC_UD);
	OK(0x66, 0x0f, 0xef, 0xca);
	v->cr4 &= ~CR4_OSFXSR;
	must_fault(STEP(0x66, 0x0f, 0xef, 0xca), VEC_UD);
	OK(0x0f, 0xef, 0xca);
	v->cr0 |= CR0_TS;
	must_fault(STEP(0x0f, 0xef, 0xca), VEC_NM);
	v->cr0 |= CR0_EM;
	must_fault(STEP(0x0f, 0xef, 0xca), VEC_UD);
}
END_TEST

/* --- faults --- */

START_TEST(load_fault_changes_nothing)
{
	env_hole(s.env);
	v->ymm[1] = (union vreg){.q = {1, 2, 3, 4}};
	v->reg[RBX] = AT_HOLE - 8;
	must_fault(STEP(0xf3, 0x0f, 0x6f, 0x0b), VEC_PF); /* movdqu xmm1, [rbx] */
	must_fault(STEP(0xc5, 0xfe, 0x6f, 0x0b), VEC_PF); /* vmovdqu ymm1, [rbx] */
	ck_assert_uint_eq(v->ymm[1].q[0], 1);
	ck_assert_uint_eq(v->ymm[1].q[3], 4);
	env_poke(s.env, AT_HOLE - 8, 8, 0x5555);
	must_fault(STEP(0xf3, 0x0f, 0x7f, 0x0b), VEC_PF); /* movdqu [rbx], xmm1 */
	ck_assert_uint_eq(env_peek(s.env, AT_HOLE - 8, 8), 0x5555);
}
END_TEST

START_TEST(masked_moves)
{
	env_hole(s.env);
	v->reg[RBX] = v->reg[RDI] = AT_HOLE - 8;
	env_poke(s.env, AT_HOLE - 8, 8, 0x2222222211111111);
	v->ymm[2] = (union vreg){.d = {~0u, 0x80000000, 0, 0, 0, 0, 0, 0}};
	OK(0xc4, 0xe2, 0x69, 0x2c, 0x0b); /* vmaskmovps xmm1, xmm2, [rbx] */
	ck_assert_uint_eq(v->ymm[1].q[0], 0x2222222211111111);
	ck_assert_uint_eq(v->ymm[1].q[1], 0);
	v->ymm[1].q[0] = 0x4444444433333333;
	OK(0xc4, 0xe2, 0x69, 0x8e, 0x0b); /* vpmaskmovd [rbx], xmm2, xmm1 */
	ck_assert_uint_eq(env_peek(s.env, AT_HOLE - 8, 8), 0x4444444433333333);
	v->ymm[2].d[2] = ~0u;
	v->ymm[1].q[0] = 0;
	must_fault(STEP(0xc4, 0xe2, 0x69, 0x8e, 0x0b), VEC_PF);
	must_fault(STEP(0xc4, 0xe2, 0x69, 0x2c, 0x0b), VEC_PF);
	ck_assert_uint_eq(env_peek(s.env, AT_HOLE - 8, 8), 0x4444444433333333);
	v->ymm[2] = (union vreg){.b = {0x80, 0, 0x80, 0, 0, 0, 0, 0x80}};
	OK(0x66, 0x0f, 0xf7, 0xca); /* maskmovdqu xmm1, xmm2 */
	ck_assert_uint_eq(env_peek(s.env, AT_HOLE - 8, 8), 0x0044444433003300);
	v->ymm[2].b[8] = 0x80;
	v->ymm[1].q[0] = ~0ull;
	must_fault(STEP(0x66, 0x0f, 0xf7, 0xca), VEC_PF);
	ck_assert_uint_eq(env_peek(s.env, AT_HOLE - 8, 8), 0x0044444433003300);
}
END_TEST

START_TEST(gathers)
{
	env_hole(s.env);
	v->reg[RBX] = AT_HOLE - 16;
	env_poke(s.env, AT_HOLE - 16, 8, 0xbbbbbbbbaaaaaaaa);
	v->ymm[1] = (union vreg){.d = {9, 9, 9, 9, 9, 9, 9, 9}};
	v->ymm[2] = (union vreg){.d = {~0u, 0, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u}}; /* mask */
	v->ymm[3] = (union vreg){.d = {1, 100, 4, 0}};			       /* indices */
	/* vpgatherdd xmm1, [rbx + xmm3 * 4], xmm2: element 2 faults, element 1 is not wanted */
	must_fault(STEP(0xc4, 0xe2, 0x69, 0x90, 0x0c, 0x9b), VEC_PF);
	ck_assert_uint_eq(v->exc.cr2, AT_HOLE);
	ck_assert_uint_eq(v->ymm[1].q[0], 0x00000009bbbbbbbb);
	ck_assert_uint_eq(v->ymm[1].q[1], 0x0000000900000009);
	ck_assert_uint_eq(v->ymm[2].q[0], 0);
	ck_assert_uint_eq(v->ymm[2].q[1], ~0ull);
	v->ymm[3].d[2] = (u32)-1; /* element 2 again, now below */
	env_poke(s.env, AT_HOLE - 20, 4, 0xcccccccc);
	OK(0xc4, 0xe2, 0x69, 0x90, 0x0c, 0x9b);
	ck_assert_uint_eq(v->ymm[1].q[0], 0x00000009bbbbbbbb);
	ck_assert_uint_eq(v->ymm[1].q[1], 0xaaaaaaaacccccccc);
	ck_assert_uint_eq(v->ymm[1].q[2] | v->ymm[2].q[0] | v->ymm[2].q[1] | v->ymm[2].q[2], 0);
	must_fault(STEP(0xc4, 0xe2, 0x71, 0x90, 0x0c, 0x9b), VEC_UD); /* mask is the result */
	must_fault(STEP(0xc4, 0xe2, 0x69, 0x90, 0x0c, 0x8b), VEC_UD); /* index is the result */
	must_fault(STEP(0xc4, 0xe2, 0x69, 0x90, 0x0b), VEC_UD);	      /* no SIB byte */
	v->ymm[4] = (union vreg){.d = {0, 0, 0, 0}};
	v->ymm[2].sd[0] = -1;
	OK(0xc4, 0xe2, 0x69, 0x90, 0x0c, 0xa3); /* index 4 is XMM4, not "none" */
	ck_assert_uint_eq(v->ymm[1].d[0], 0xaaaaaaaa);
}
END_TEST

/* --- strings --- */

START_TEST(string_compare)
{
	memcpy(v->ymm[1].b, "aeiou\0xxxxxxxxxx", 16);
	memcpy(v->ymm[2].b, "rhythm & blues\0z", 16);
	OK(0x66, 0x0f, 0x3a, 0x63, 0xca, 0x00); /* pcmpistri xmm1, xmm2: first vowel */
	ck_assert_uint_eq(v->reg[RCX], 11);
	ck_assert_uint_eq(flags_arith(v), RFLAGS_CF | RFLAGS_ZF | RFLAGS_SF);
	OK(0x66, 0x0f, 0x3a, 0x63, 0xca, 0x40); /* the last one */
	ck_assert_uint_eq(v->reg[RCX], 12);
	memcpy(v->ymm[1].b, "th\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	OK(0x66, 0x0f, 0x3a, 0x62, 0xca, 0x0c); /* pcmpistrm: where "th" starts */
	ck_assert_uint_eq(v->ymm[0].q[0], 1 << 3);
	v->reg[RAX] = 0xffffffff00000002; /* EAX = 2 */
	v->reg[RDX] = (u64)-4;
	OK(0x66, 0x0f, 0x3a, 0x61, 0xca,
	   0x0c); /* pcmpestri: in the first 4 bytes only half of it */
	ck_assert_uint_eq(v->reg[RCX], 16);
	ck_assert_uint_eq(flags_arith(v), RFLAGS_ZF | RFLAGS_SF);
}
END_TEST

Suite *sse_suite(void)
{
	Suite *suite = suite_create("sse");
	TCase *tc = tcase_create("instructions");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, aes_vector);
	tcase_add_test(tc, sha256_vector);
	tcase_add_test(tc, sha1_vector);
	tcase_add_test(tc, upper_halves);
	tcase_add_test(tc, mmx_state);
	tcase_add_test(tc, availability);
	tcase_add_test(tc, load_fault_changes_nothing);
	tcase_add_test(tc, masked_moves);
	tcase_add_test(tc, gathers);
	tcase_add_test(tc, string_compare);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, sse_digest_case());
	return suite;
}
