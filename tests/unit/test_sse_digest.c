/*
 * Every row of insn_sse.def and insn_avx.def with many operands, register and memory forms: the hash
 * of all results. The expected hash was recorded from handlers that had been compared with an x86-64
 * processor on millions of random cases; this test keeps other hosts and compilers to it.
 */
#include <stdio.h>

#include "tests/unit/test_sse.h"

#define RAM 0x100000ull
#define CASES 60
#define EXPECTED 0xa4255fd43927c4f9ull

static const struct insn_row rows[] = {
#define I(map, op, pfx, mrm, name, ops, flags, attr, feat, exec)                                   \
	{map, op, pfx, FEAT_##feat, mrm, name, ops, flags, attr, NULL},
#include "cpu/insn_sse.def"
#include "cpu/insn_avx.def"
#undef I
};

struct random {
	u64 state;
};

static u64 next(struct random *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state * 0x2545f4914f6cdd1d;
}

/* Edges of bytes, words and doublewords, small numbers, anything. */
static u64 operand(struct random *r)
{
	static const u16 edge[8] = {0, 1, 0x7fff, 0x8000, 0xffff, 0x80, 0xff7f, 0x100};
	u64 x = next(r), e = 0;

	switch (next(r) % 4) {
	case 0:
		for (unsigned k = 0; k < 4; k++)
			e |= (u64)edge[x >> 3 * k & 7] << 16 * k;
		return e;
	case 1:
		return x % 70;
	case 2:
		return x & 0x0303030303030303;
	default:
		return x;
	}
}

struct encoding {
	u8 bytes[16];
	unsigned n;
};

static void put(struct encoding *e, unsigned byte)
{
	e->bytes[e->n++] = (u8)byte;
}

static bool has_kind(const struct insn_row *row, u8 kind)
{
	for (unsigned k = 0; k < 4; k++)
		if (operand_info[row->operand[k]].kind == kind)
			return true;
	return false;
}

static void put_prefixes(struct encoding *e, const struct insn_row *row, struct random *r)
{
	static const u8 legacy[] = {0, 0, 0x66, 0xf3, 0xf2}, pp[] = {0, 0, 1, 2, 3};
	unsigned w = row->attr & A_W1 ? 0x80 : 0;

	if (row->map >= V_0F) {
		unsigned l = row->attr & A_L1 ? 4 : row->attr & A_L0 ? 0 : (unsigned)next(r) & 4;
		unsigned vvvv = row->attr & A_NOVVVV ? 0 : (unsigned)next(r) & 7;

		put(e, 0xc4);
		put(e, 0xe0u | (row->map - V_0F + 1u));
		put(e, w | (~vvvv & 15) << 3 | l | pp[row->pfx]);
		return;
	}
	if (legacy[row->pfx])
		put(e, legacy[row->pfx]);
	if (w)
		put(e, 0x48);
	put(e, 0x0f);
	if (row->map == M_0F38 || row->map == M_0F3A)
		put(e, row->map == M_0F38 ? 0x38 : 0x3a);
}

/* Memory operands are [rbx]; index registers of gathers are distinct from the others. */
static void encode(struct encoding *e, const struct insn_row *row, struct random *r)
{
	unsigned form = row->modrm & 0xf00, reg = (unsigned)next(r) & 7, rm = (unsigned)next(r) & 7;
	bool mem = form == MEM || form == SM(0) || ((form == MRM || form == SL(0)) && next(r) & 1);

	e->n = 0;
	put_prefixes(e, row, r);
	put(e, row->opcode);
	if (form >= SL(0))
		reg = row->modrm & 7;
	if (has_kind(row, KIND_G) && reg == RSP)
		reg = RAX;
	if (form != NOM) {
		if (row->operand[1] == OP_VMx) {
			put(e, reg << 3 | 4);
			put(e, ((reg + 1) & 7) << 3 | RBX);
		} else {
			put(e, (mem ? 0 : 0xc0) | reg << 3 | (mem ? (unsigned)RBX : rm));
		}
	}
	if (has_kind(row, KIND_I) || has_kind(row, KIND_L))
		put(e, (unsigned)next(r));
}

/* Small offsets of both signs; as a mask the negative ones count. */
static void fill_indices(struct vcpu *v, unsigned size, struct random *r)
{
	for (unsigned k = 0; k < 16; k++)
		for (unsigned j = 0; j < 32 / size; j++) {
			u64 x = next(r) % 512 - 256;

			memcpy(v->ymm[k].b + j * size, &x, size);
		}
}

static void fill(struct sse_env *s, const struct insn_row *row, struct random *r)
{
	struct vcpu *v = s->v;

	for (unsigned k = 0; k < 16; k++)
		v->reg[k] = operand(r);
	v->reg[RBX] = v->reg[RDI] = RAM + 64;
	for (unsigned k = 0; k < 16; k++)
		for (unsigned j = 0; j < 4; j++)
			v->ymm[k].q[j] = operand(r);
	if (row->operand[1] == OP_VMx)
		fill_indices(v, row->opcode & 1 ? 8 : 4, r);
	for (unsigned k = 0; k < 8; k++)
		v->x87.st[k] = (struct f80_reg){.sig = operand(r), .se = 1};
	v->x87.fsw = 0x3800;
	v->x87.tag_valid = 0x55;
	flags_set_arith(v, next(r));
	for (unsigned k = 0; k < 256; k += 8)
		env_poke(s->env, RAM + k, 8, operand(r));
}

static u64 mix(u64 hash, u64 x)
{
	hash = (hash ^ x) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 29;
}

static u64 outcome(struct sse_env *s, int result)
{
	struct vcpu *v = s->v;
	u64 h = mix((u64)result, result == EXEC_FAULT ? v->exc.vector : 0);

	for (unsigned k = 0; k < 16; k++)
		h = mix(h, v->reg[k]);
	for (unsigned k = 0; k < 16; k++)
		for (unsigned j = 0; j < 4; j++)
			h = mix(h, v->ymm[k].q[j]);
	for (unsigned k = 0; k < 8; k++)
		h = mix(mix(h, v->x87.st[k].sig), v->x87.st[k].se);
	h = mix(h, (u64)v->x87.fsw << 8 | v->x87.tag_valid);
	for (unsigned k = 0; k < 256; k += 8)
		h = mix(h, env_peek(s->env, RAM + k, 8));
	return mix(h, flags_arith(v));
}

/* Keyed by what the row encodes, so that the order of rows does not matter. */
static u64 row_digest(struct sse_env *s, const struct insn_row *row)
{
	u64 key = (u64)row->map << 32 | (u64)row->opcode << 24 | (u64)row->pfx << 16 | row->modrm;
	struct random r = {mix(key, row->attr & (A_L1 | A_W1)) | 1};
	u64 h = key;

	for (unsigned n = 0; n < CASES; n++) {
		struct encoding e;

		encode(&e, row, &r);
		fill(s, row, &r);
		h = mix(h, outcome(s, sse_step(s, e.bytes, e.n)));
	}
	return h;
}

START_TEST(digest_of_all_rows)
{
	struct sse_env s = sse_env_new();
	u64 sum = 0;

	for (unsigned k = 0; k < 1024; k += 8) /* what gathers find around the operands */
		env_poke(s.env, RAM - 512 + k, 8, mix(k, k));
	for (unsigned k = 0; k < ARRAY_SIZE(rows); k++)
		sum += row_digest(&s, &rows[k]);
	ck_assert_msg(sum == EXPECTED, "digest %016llx of %zu rows", (unsigned long long)sum,
		      ARRAY_SIZE(rows));
	sse_env_free(&s);
}
END_TEST

TCase *sse_digest_case(void)
{
	TCase *tc = tcase_create("every row");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, digest_of_all_rows);
	return tc;
}
