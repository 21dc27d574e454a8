/*
 * x87 loads and stores: FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP, constants. SDM volume 2, their
 * pages. The store to memory comes before any change of the state, since it can fault.
 */
#include "cpu/insn_protos.h"
#include "cpu/x87_internal.h"

/* --- loads --- */

/* FLD m32, m64: an SNaN or a denormal may raise an exception; only the former stops the load. */
static int load_real(struct vcpu *v, const struct insn *i, unsigned size)
{
	struct fp_env env = x87_begin(v);
	struct f80 value;
	u64 raw;
	int r = mem_read(v, i->seg, insn_offset(v, i), size, &raw);

	if (r)
		return r;
	if (unlikely(!x87_empty(v, 7))) {
		x87_push_checked(v, i, x87_indefinite());
		return EXEC_NEXT;
	}
	value = size == 4 ? sf80_from_f32(&env, (u32)raw) : sf80_from_f64(&env, raw);
	if (!(x87_end(v, i, &env) & FP_IE))
		x87_push(v, value);
	return EXEC_NEXT;
}

int x_fld_m32(struct vcpu *v, const struct insn *i)
{
	return load_real(v, i, 4);
}

int x_fld_m64(struct vcpu *v, const struct insn *i)
{
	return load_real(v, i, 8);
}

int x_fld_m80(struct vcpu *v, const struct insn *i)
{
	u8 b[10];
	int r = mem_read_bytes(v, i->seg, insn_offset(v, i), b, 10);

	if (!r)
		x87_push_checked(v, i, (struct f80){.sig = load_le64(b), .se = load_le16(b + 8)});
	return r;
}

int x_fild(struct vcpu *v, const struct insn *i)
{
	unsigned size = i->nbytes_op;
	u64 raw;
	int r = mem_read(v, i->seg, insn_offset(v, i), size, &raw);

	if (!r)
		x87_push_checked(v, i, sf80_from_s64((s64)sign_extend(raw, size * 8)));
	return r;
}

int x_fbld(struct vcpu *v, const struct insn *i)
{
	u8 b[10];
	int r = mem_read_bytes(v, i->seg, insn_offset(v, i), b, 10);

	if (!r)
		x87_push_checked(v, i, sf80_from_bcd(b));
	return r;
}

int x_fld_sti(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->rm & 7;

	if (x87_empty(v, n)) {
		if (x87_underflow(v, i))
			x87_push(v, x87_indefinite());
		return EXEC_NEXT;
	}
	x87_push_checked(v, i, x87_get(v, n));
	return EXEC_NEXT;
}

int x_fld_const(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);

	x87_push_checked(v, i, sf80_const(&env, (enum fp_const)(i->modrm & 7)));
	return EXEC_NEXT;
}

/* --- stores --- */

/* A conversion of ST(0) to memory. */
struct store {
	struct fp_env env;
	u8 bytes[10];
	u8 size;
	bool pop;
};

static int store(struct vcpu *v, const struct insn *i, struct store *s)
{
	u8 unmasked = s->env.flags & ~s->env.masks;
	bool go = !(unmasked & ~FP_PE);
	int r = go ? mem_write_bytes(v, i->seg, insn_offset(v, i), s->bytes, s->size) : 0;

	if (r)
		return r;
	x87_end(v, i, &s->env);
	if (go && s->pop)
		x87_pop(v);
	return EXEC_NEXT;
}

/* ST(0) is empty: s holds the indefinite of the format. */
static int store_empty(struct vcpu *v, const struct insn *i, struct store *s)
{
	bool masked = v->x87.fcw & FCW_IM;
	int r = masked ? mem_write_bytes(v, i->seg, insn_offset(v, i), s->bytes, s->size) : 0;

	if (r)
		return r;
	x87_underflow(v, i);
	if (masked && s->pop)
		x87_pop(v);
	return EXEC_NEXT;
}

int x_fst_m32(struct vcpu *v, const struct insn *i)
{
	struct store s = {.env = x87_begin(v), .size = 4, .pop = i->reg & 1};

	if (x87_empty(v, 0)) {
		store_le32(s.bytes, 0xffc00000u);
		return store_empty(v, i, &s);
	}
	store_le32(s.bytes, sf80_to_f32(&s.env, x87_get(v, 0)));
	return store(v, i, &s);
}

int x_fst_m64(struct vcpu *v, const struct insn *i)
{
	struct store s = {.env = x87_begin(v), .size = 8, .pop = i->reg & 1};

	if (x87_empty(v, 0)) {
		store_le64(s.bytes, 0xfff8ull << 48);
		return store_empty(v, i, &s);
	}
	store_le64(s.bytes, sf80_to_f64(&s.env, x87_get(v, 0)));
	return store(v, i, &s);
}

int x_fstp_m80(struct vcpu *v, const struct insn *i)
{
	struct store s = {.env = x87_begin(v), .size = 10, .pop = true};
	bool empty = x87_empty(v, 0);
	struct f80 a = empty ? x87_indefinite() : x87_get(v, 0);

	store_le64(s.bytes, a.sig);
	store_le16(s.bytes + 8, a.se);
	return empty ? store_empty(v, i, &s) : store(v, i, &s);
}

/* FIST /2, FISTP /3 and /7, FISTTP /1 */
int x_fist(struct vcpu *v, const struct insn *i)
{
	struct store s = {.env = x87_begin(v), .size = i->nbytes_op, .pop = i->reg & 1};
	u8 round = (i->reg & 7) == 1 ? FP_RC_ZERO : s.env.round;
	struct f80 a = x87_get(v, 0);
	s64 value;

	if (x87_empty(v, 0)) {
		store_le(s.bytes, BIT(s.size * 8 - 1), s.size);
		return store_empty(v, i, &s);
	}
	value = s.size == 2   ? sf80_to_s16(&s.env, a, round)
		: s.size == 4 ? sf80_to_s32(&s.env, a, round)
			      : sf80_to_s64(&s.env, a, round);
	store_le(s.bytes, (u64)value, s.size);
	return store(v, i, &s);
}

int x_fbstp(struct vcpu *v, const struct insn *i)
{
	static const u8 indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
	struct store s = {.env = x87_begin(v), .size = 10, .pop = true};

	if (x87_empty(v, 0)) {
		memcpy(s.bytes, indefinite, 10);
		return store_empty(v, i, &s);
	}
	sf80_to_bcd(&s.env, x87_get(v, 0), s.bytes);
	return store(v, i, &s);
}

/* DD /2 does not pop. */
int x_fst_sti(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);
	unsigned n = i->rm & 7;

	if (x87_empty(v, 0)) {
		if (!x87_underflow(v, i))
			return EXEC_NEXT;
		x87_set(v, n, x87_indefinite());
	} else {
		x87_end(v, i, &env);
		x87_set(v, n, x87_get(v, 0));
	}
	if (i->opcode != 0xdd || (i->reg & 7) != 2)
		x87_pop(v);
	return EXEC_NEXT;
}

/* D9 /3: as FSTP ST(i), but an empty ST(0) is no fault: it is popped and not stored. */
int x_fstpnce(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = x87_begin(v);

	x87_end(v, i, &env);
	if (!x87_empty(v, 0))
		x87_set(v, i->rm & 7, x87_get(v, 0));
	x87_pop(v);
	return EXEC_NEXT;
}
