/*
 * The decoder: the table is unambiguous, every row comes back from its own encodings, no byte is
 * read that was not given, and the rules of prefixes and of the 15-byte limit. SDM volume 2,
 * "Instruction Prefixes", "REX Prefixes", "The VEX Prefix".
 */
#include <check.h>
#include <stdlib.h>

#include "cpu/model.h"
#include "tests/insn/encode.h"

Suite *decode_suite(void);

#define TRIES 24 /* encodings of each row and mode */

static struct vmx_model_mask mask;
static struct cpu_model model;
static struct decoder *decoder;
static const unsigned modes[] = {16, 32, 64};

static void setup(void)
{
	char err[128];

	ck_assert(cpu_model_parse(&model, &mask, "max", err, sizeof(err)));
	decoder = decoder_new(&model);
	ck_assert_ptr_nonnull(decoder);
}

static void teardown(void)
{
	decoder_free(decoder);
}

/* --- the table --- */

static bool modrm_allows(const struct insn_row *r, unsigned b)
{
	bool reg = b >= 0xc0;
	unsigned n = b >> 3 & 7, arg = r->modrm & 0xff;

	switch (r->modrm & 0xf00) {
	case MEM:
		return !reg;
	case REG:
		return reg;
	case SL(0):
		return n == arg;
	case SM(0):
		return !reg && n == arg;
	case SR(0):
		return reg && n == arg;
	case XB(0):
		return b == arg;
	default:
		return true;
	}
}

/* Attributes that keep two rows apart whatever the bytes. */
static bool apart(const struct insn_row *a, const struct insn_row *b)
{
	const u32 pairs[][2] = {{A_W0, A_W1}, {A_L0, A_L1}, {A_I64, A_O64}};

	for (unsigned k = 0; k < ARRAY_SIZE(pairs); k++)
		if ((a->attr & pairs[k][0] && b->attr & pairs[k][1]) ||
		    (a->attr & pairs[k][1] && b->attr & pairs[k][0]))
			return true;
	return a->map != b->map || a->opcode != b->opcode || a->pfx != b->pfx;
}

/* Row a comes first in the table. Both match some bytes, and neither is a special case of the other:
 * by its ModRM bytes, or as the earlier of two by what it asks of W, L and the mode. */
static bool ambiguous(const struct insn_row *a, const struct insn_row *b)
{
	const u32 asks = A_W0 | A_W1 | A_L0 | A_L1 | A_I64 | A_O64;
	bool both = false, only_a = false, only_b = false;

	if (apart(a, b))
		return false;
	for (unsigned m = 0; m < 256; m++) {
		bool in_a = modrm_allows(a, m), in_b = modrm_allows(b, m);

		both |= in_a && in_b;
		only_a |= in_a && !in_b;
		only_b |= in_b && !in_a;
	}
	if (!both || only_a != only_b)
		return false;
	return only_a || (a->attr & asks) == (b->attr & asks) || (b->attr & asks & ~a->attr) != 0;
}

START_TEST(no_two_rows_claim_the_same_bytes)
{
	for (unsigned a = 0; a < insn_row_count; a++)
		for (unsigned b = a + 1; b < insn_row_count; b++)
			ck_assert_msg(!ambiguous(&insn_rows[a], &insn_rows[b]),
				      "%s and %s: map %u opcode %02x", insn_rows[a].name,
				      insn_rows[b].name, insn_rows[a].map, insn_rows[a].opcode);
}
END_TEST

/* --- rows and their encodings --- */

static bool in_mode(const struct insn_row *r, unsigned bits)
{
	return !(r->attr & (bits == 64 ? A_I64 : A_O64));
}

/* A prefix or ModRM byte that was chosen by chance may select a more special row. */
static bool more_special(const struct insn_row *got, const struct insn_row *want, unsigned modrm)
{
	return got->map == want->map && got->opcode == want->opcode &&
	       (got->pfx != ANY) >= (want->pfx != ANY) && modrm_allows(got, modrm) &&
	       (got->pfx != want->pfx || got < want || !ambiguous(want, got));
}

static unsigned make(const struct insn_row *r, unsigned bits, struct rng *g, struct enc *e, u8 *b)
{
	unsigned n;

	do {
		enc_random(e, r, bits, g);
		memset(b, 0, ENC_MAX);
		n = enc_bytes(e, b);
	} while (n > INSN_MAX_LEN);
	return n;
}

static void check_memory(const struct enc *e, const struct insn *i)
{
	ck_assert_uint_ne(i->mod, 3);
	if (e->addr16)
		return;
	ck_assert_uint_eq(i->base, e->base);
	if (e->base != REG_RIP && !(e->vsib && (e->index & 7) == RSP))
		ck_assert_uint_eq(i->index, e->index);
	if (i->index != REG_NONE)
		ck_assert_uint_eq(i->scale, e->scale);
	ck_assert_int_eq(i->disp, e->disp);
}

static void check_row(const struct insn_row *r, unsigned bits, struct rng *g)
{
	u8 b[ENC_MAX];
	struct enc e;
	struct insn i;
	unsigned n = make(r, bits, g, &e, b);

	ck_assert_msg(decode(decoder, bits, b, n, &i) == DECODE_OK,
		      "%s, map %u opcode %02x, %u-bit mode: %02x %02x %02x %02x %02x", r->name,
		      r->map, r->opcode, bits, b[0], b[1], b[2], b[3], b[4]);
	ck_assert_uint_eq(i.len, n);
	if (i.row != r) {
		ck_assert_msg(more_special(i.row, r, i.modrm), "%s decodes to %s", r->name,
			      i.row->name);
		return;
	}
	ck_assert_uint_eq(i.addrsize, e.addrsize);
	if (e.modrm && !(r->attr & A_REGONLY))
		ck_assert_uint_eq(i.reg, e.reg | e.r << 3);
	if (e.mem)
		check_memory(&e, &i);
	else if (e.modrm)
		ck_assert_uint_eq(i.rm, e.rm | e.b << 3);
	if (e.vex) {
		ck_assert_uint_eq(i.vvvv, e.vvvv);
		ck_assert_uint_eq(i.vl, e.l ? 32 : 16);
	}
	for (unsigned k = 0; k < n; k++) /* cut short anywhere, it asks for more */
		ck_assert_int_eq(decode(decoder, bits, b, k, &i), DECODE_SHORT);
}

START_TEST(every_row_decodes_to_itself)
{
	struct rng g = {.s = (u64)_i};

	for (unsigned k = 0; k < insn_row_count; k++)
		if (in_mode(&insn_rows[k], modes[_i]) && model_has(&model, insn_rows[k].feature))
			for (unsigned t = 0; t < TRIES; t++)
				check_row(&insn_rows[k], modes[_i], &g);
}
END_TEST

/* The bytes lie at the end of their allocation, where the sanitizer sees a byte too far. */
START_TEST(only_given_bytes_are_read)
{
	struct rng g = {.s = 7};

	for (unsigned t = 0; t < 60000; t++) {
		unsigned bits = modes[t % 3], n = 1 + rnd_below(&g, INSN_MAX_LEN);
		enum decode_status whole, part;
		u8 b[INSN_MAX_LEN], *cut = malloc(n);
		struct insn i, j;

		ck_assert_ptr_nonnull(cut);
		for (unsigned k = 0; k < sizeof(b); k++)
			b[k] = (u8)rnd(&g);
		if (chance(&g, 50))
			b[0] = 0x0f;
		memcpy(cut, b, n);
		whole = decode(decoder, bits, b, sizeof(b), &i);
		part = decode(decoder, bits, cut, n, &j);
		if (part != DECODE_SHORT) {
			ck_assert_int_eq(part, whole);
			ck_assert_uint_eq(i.len, j.len);
			ck_assert_uint_le(j.len, n);
		} else if (whole == DECODE_OK) {
			ck_assert_uint_gt(i.len, n);
		}
		free(cut);
	}
}
END_TEST

/* --- rules --- */

struct rule {
	const char *text;
	u8 bits;
	u8 bytes[16];
	enum decode_status status;
	u8 len;
	const char *name; /* of the row, with DECODE_OK */
	u8 opsize;	  /* 0: not looked at */
	u8 seg;		  /* segment + 1, 0: not looked at */
};

static const struct rule rules[] = {
	{"F3 last", 64, {0xf2, 0xf3, 0x0f, 0x10, 0xc1}, DECODE_OK, 5, "movss", 0, 0},
	{"F2 last", 64, {0xf3, 0xf2, 0x0f, 0x10, 0xc1}, DECODE_OK, 5, "movsd", 0, 0},
	{"F3 beats 66", 64, {0xf3, 0x66, 0x0f, 0x10, 0xc1}, DECODE_OK, 5, "movss", 0, 0},
	{"66 alone", 64, {0x66, 0x0f, 0x10, 0xc1}, DECODE_OK, 4, "movupd", 0, 0},
	{"REX not last", 64, {0x48, 0x66, 0x01, 0xc0}, DECODE_OK, 4, "add", 2, 0},
	{"REX last", 64, {0x66, 0x48, 0x01, 0xc0}, DECODE_OK, 4, "add", 8, 0},
	{"two REX", 64, {0x48, 0x41, 0x01, 0xc0}, DECODE_OK, 4, "add", 4, 0},
	{"INC in 32-bit mode", 32, {0x48}, DECODE_OK, 1, "dec", 4, 0},
	{"66 in 16-bit mode", 16, {0x66, 0x01, 0xc0}, DECODE_OK, 3, "add", 4, 0},
	{"PUSH is 64-bit", 64, {0x50}, DECODE_OK, 1, "push", 8, 0},
	{"PUSH with 66", 64, {0x66, 0x50}, DECODE_OK, 2, "push", 2, 0},
	{"FS", 64, {0x64, 0x8b, 0x00}, DECODE_OK, 3, "mov", 4, SEG_FS + 1},
	{"DS behind FS does not count",
	 64,
	 {0x64, 0x3e, 0x8b, 0x00},
	 DECODE_OK,
	 4,
	 "mov",
	 4,
	 SEG_FS + 1},
	{"the last one counts", 32, {0x64, 0x3e, 0x8b, 0x00}, DECODE_OK, 4, "mov", 4, SEG_DS + 1},
	{"EBP is in SS", 32, {0x8b, 0x45, 0x00}, DECODE_OK, 3, "mov", 4, SEG_SS + 1},
	{"LOCK, memory", 64, {0xf0, 0x01, 0x00}, DECODE_OK, 3, "add", 4, 0},
	{"LOCK, register", 64, {0xf0, 0x01, 0xc0}, DECODE_UD, 3, NULL, 0, 0},
	{"LOCK on a load", 64, {0xf0, 0x03, 0x00}, DECODE_UD, 3, NULL, 0, 0},
	{"VEX behind 66", 64, {0x66, 0xc5, 0xf8, 0x77}, DECODE_UD, 4, NULL, 0, 0},
	{"VEX behind F3", 64, {0xf3, 0xc5, 0xf8, 0x77}, DECODE_UD, 4, NULL, 0, 0},
	{"VEX behind REX", 64, {0x40, 0xc5, 0xf8, 0x77}, DECODE_UD, 4, NULL, 0, 0},
	{"VEX behind LOCK", 64, {0xf0, 0xc5, 0xf8, 0x77}, DECODE_UD, 4, NULL, 0, 0},
	{"VEX behind FS", 64, {0x64, 0xc5, 0xf8, 0x77}, DECODE_OK, 4, "vzeroupper", 0, 0},
	{"C5 in 32-bit mode", 32, {0xc5, 0xf8, 0x77}, DECODE_OK, 3, "vzeroupper", 0, 0},
	{"C5 is LDS", 32, {0xc5, 0x38}, DECODE_OK, 2, "lds", 4, 0},
	{"C4 is LES", 16, {0xc4, 0x38}, DECODE_OK, 2, "les", 2, 0},
	{"62 is BOUND", 32, {0x62, 0x00}, DECODE_OK, 2, "bound", 4, 0},
	{"no EVEX", 64, {0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1}, DECODE_UD, 0, NULL, 0, 0},
	{"no XOP", 64, {0x8f, 0xe8, 0x78, 0xc0, 0xc1, 0x01}, DECODE_UD, 0, NULL, 0, 0},
	{"06 in 64-bit mode", 64, {0x06}, DECODE_UD, 0, NULL, 0, 0},
	{"90 is NOP", 64, {0x90}, DECODE_OK, 1, "nop", 0, 0},
	{"F3 90 is PAUSE", 64, {0xf3, 0x90}, DECODE_OK, 2, "pause", 0, 0},
	{"TZCNT", 64, {0xf3, 0x0f, 0xbc, 0xc1}, DECODE_OK, 4, "tzcnt", 4, 0},
	{"BSF", 64, {0xf2, 0x0f, 0xbc, 0xc1}, DECODE_OK, 4, "bsf", 4, 0},
	{"MOVABS", 64, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, DECODE_OK, 10, "mov", 8, 0},
	{"moffs with 67", 64, {0x67, 0xa1, 1, 2, 3, 4}, DECODE_OK, 6, "mov", 4, 0},
	{"15 bytes",
	 64,
	 {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90},
	 DECODE_OK,
	 15,
	 "nop",
	 0,
	 0},
	{"16 bytes",
	 64,
	 {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
	  0x90},
	 DECODE_LONG,
	 0,
	 NULL,
	 0,
	 0},
	{"the immediate is too far",
	 64,
	 {0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x81, 0xc0, 1, 2, 3},
	 DECODE_LONG,
	 0,
	 NULL,
	 0,
	 0},
};

START_TEST(prefixes_and_limits)
{
	const struct rule *r = &rules[_i];
	struct insn i;

	ck_assert_msg(decode(decoder, r->bits, r->bytes, sizeof(r->bytes), &i) == r->status, "%s",
		      r->text);
	if (r->len)
		ck_assert_msg(i.len == r->len, "%s: length %u", r->text, i.len);
	if (r->name)
		ck_assert_msg(!strcmp(i.row->name, r->name), "%s: %s", r->text, i.row->name);
	if (r->opsize)
		ck_assert_msg(i.opsize == r->opsize, "%s: operand size %u", r->text, i.opsize);
	if (r->seg)
		ck_assert_msg(i.seg == r->seg - 1, "%s: segment %u", r->text, i.seg);
}
END_TEST

/* -cpu base has no AVX: the bytes are no instruction there. */
START_TEST(features_take_rows_away)
{
	static const u8 vex[] = {0xc5, 0xf8, 0x77}, tzcnt[] = {0xf3, 0x0f, 0xbc, 0xc1};
	struct cpu_model base;
	struct decoder *d;
	struct insn i;
	char err[128];

	ck_assert(cpu_model_parse(&base, &mask, "base", err, sizeof(err)));
	d = decoder_new(&base);
	ck_assert_int_eq(decode(d, 64, vex, sizeof(vex), &i), DECODE_UD);
	ck_assert_int_eq(decode(d, 64, tzcnt, sizeof(tzcnt), &i), DECODE_OK);
	ck_assert_str_eq(i.row->name, "bsf");
	decoder_free(d);
}
END_TEST

Suite *decode_suite(void)
{
	Suite *s = suite_create("decode");
	TCase *t = tcase_create("decode");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, no_two_rows_claim_the_same_bytes);
	tcase_add_loop_test(t, every_row_decodes_to_itself, 0, ARRAY_SIZE(modes));
	tcase_add_test(t, only_given_bytes_are_read);
	tcase_add_loop_test(t, prefixes_and_limits, 0, ARRAY_SIZE(rules));
	tcase_add_test(t, features_take_rows_away);
	suite_add_tcase(s, t);
	return s;
}
