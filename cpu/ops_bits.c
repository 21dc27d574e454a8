/*
 * Shifts, rotates, bit tests and scans, multiplication, division, BCD, BMI and CRC32.
 * Undefined flags follow what Intel processors have been seen to do where that is cheap.
 */
#include "cpu/alu.h"
#include "cpu/cpu.h"
#include "cpu/insn_protos.h"

static void put_flags(struct vcpu *v, unsigned n, u64 r, bool cf, bool of)
{
	v->fl_res = sign_extend(r, n);
	v->fl_aux = (cf ? AUX_CF : 0) | (cf != of ? AUX_PO : 0);
}

/* CF and OF only: rotates. */
static void put_cf_of(struct vcpu *v, bool cf, bool of)
{
	v->fl_aux = (v->fl_aux & ~(AUX_CF | AUX_PO)) | (cf ? AUX_CF : 0) | (cf != of ? AUX_PO : 0);
}

static u64 rotate_carry(struct vcpu *v, bool right, unsigned n, u64 a, unsigned count)
{
	u128 wide = (u128)a | (u128)flag_c(v) << n, mask = ((u128)1 << (n + 1)) - 1;
	bool top, cf;

	count %= n + 1;
	if (!count)
		return a;
	if (right)
		count = n + 1 - count;
	wide = (wide << count | wide >> (n + 1 - count)) & mask;
	cf = (bool)(wide >> n & 1);
	a = (u64)wide & size_mask(n / 8);
	top = a >> (n - 1) & 1;
	put_cf_of(v, cf, right ? top != (a >> (n - 2) & 1) : top != cf);
	return a;
}

static u64 rotate(struct vcpu *v, bool right, unsigned n, u64 a, unsigned count)
{
	u64 r;

	count &= n - 1;
	if (right)
		count = (n - count) & (n - 1);
	r = count ? (a << count | a >> (n - count)) & size_mask(n / 8) : a;
	if (right)
		put_cf_of(v, r >> (n - 1) & 1, (r >> (n - 1) ^ r >> (n - 2)) & 1);
	else
		put_cf_of(v, r & 1, (r >> (n - 1) ^ r) & 1);
	return r;
}

static u64 shift_left(struct vcpu *v, unsigned n, u64 a, unsigned count)
{
	u64 r = count < n ? a << count & size_mask(n / 8) : 0;
	bool cf = count <= n && a >> (n - count) & 1;

	put_flags(v, n, r, cf, (r >> (n - 1) & 1) != cf);
	return r;
}

static u64 shift_right(struct vcpu *v, unsigned n, u64 a, unsigned count, bool arith)
{
	u64 r, wide = arith ? sign_extend(a, n) : a;

	if (arith) {
		unsigned c = count < n ? count : n - 1;

		r = (u64)((s64)wide >> c) & size_mask(n / 8);
		put_flags(v, n, r, count < n ? wide >> (count - 1) & 1 : wide >> 63, false);
		return r;
	}
	r = count < n ? a >> count : 0;
	put_flags(v, n, r, count <= n && a >> (count - 1) & 1, a >> (n - 1) & 1);
	return r;
}

static u64 shift(struct vcpu *v, unsigned op, unsigned n, u64 a, unsigned count)
{
	count &= n == 64 ? 63 : 31;
	if (!count)
		return a;
	switch (op) {
	case 0:
	case 1:
		return rotate(v, op == 1, n, a, count);
	case 2:
	case 3:
		return rotate_carry(v, op == 3, n, a, count);
	case 5:
		return shift_right(v, n, a, count, false);
	case 7:
		return shift_right(v, n, a, count, true);
	default:
		return shift_left(v, n, a, count);
	}
}

int x_shift(struct vcpu *v, const struct insn *i)
{
	unsigned size = i->opsize;
	unsigned count = i->opcode < 0xd0 ? (u8)i->imm : i->opcode < 0xd2 ? 1 : (u8)v->reg[RCX];
	struct memref ref;
	u64 a;
	int r;

	if (!insn_is_mem(i)) {
		reg_write(v, i, i->rm, size,
			  shift(v, i->reg & 7, size * 8, reg_read(v, i, i->rm, size), count));
		return EXEC_NEXT;
	}
	r = mem_rmw(v, i->seg, insn_offset(v, i), size, &ref, &a);
	if (!r)
		mem_rmw_write(v, &ref, shift(v, i->reg & 7, size * 8, a, count));
	return r;
}

static u64 double_shift(struct vcpu *v, bool right, unsigned n, u64 a, u64 b, unsigned count)
{
	u64 r;
	bool cf;

	count &= n == 64 ? 63 : 31;
	if (!count)
		return a;
	if (n == 16 && count > 16) { /* undefined; as processors do: the source rotates in again */
		u64 wide = right ? a | b << 16 | a << 32 : b | a << 16 | b << 32;

		r = right ? wide >> count & 0xffff
			  : (a << 32 | b << 16 | a) >> (32 - count) & 0xffff;
		cf = right ? wide >> (count - 1) & 1 : b >> (32 - count) & 1;
	} else if (right) {
		r = (a >> count | b << (n - count)) & size_mask(n / 8);
		cf = a >> (count - 1) & 1;
	} else {
		r = (a << count | b >> (n - count)) & size_mask(n / 8);
		cf = a >> (n - count) & 1;
	}
	put_flags(v, n, r, cf, ((r ^ a) >> (n - 1)) & 1);
	return r;
}

static int double_shift_rm(struct vcpu *v, const struct insn *i, bool right)
{
	unsigned size = i->opsize, count = i->opcode & 1 ? (u8)v->reg[RCX] : (u8)i->imm;
	u64 b = reg_read(v, i, i->reg, size), a;
	struct memref ref;
	int r;

	if (!insn_is_mem(i)) {
		a = reg_read(v, i, i->rm, size);
		reg_write(v, i, i->rm, size, double_shift(v, right, size * 8, a, b, count));
		return EXEC_NEXT;
	}
	r = mem_rmw(v, i->seg, insn_offset(v, i), size, &ref, &a);
	if (!r)
		mem_rmw_write(v, &ref, double_shift(v, right, size * 8, a, b, count));
	return r;
}

int x_shld(struct vcpu *v, const struct insn *i)
{
	return double_shift_rm(v, i, false);
}

int x_shrd(struct vcpu *v, const struct insn *i)
{
	return double_shift_rm(v, i, true);
}

/* --- bit test --- */

/* The new operand for BT BTS BTR BTC (op 0-3); sets CF. */
static u64 bit_op(struct vcpu *v, unsigned op, u64 a, unsigned bit)
{
	put_cf_of(v, a >> bit & 1, flag_o(v));
	switch (op) {
	case 1:
		return a | BIT(bit);
	case 2:
		return a & ~BIT(bit);
	case 3:
		return a ^ BIT(bit);
	default:
		return a;
	}
}

static int bit_rm(struct vcpu *v, const struct insn *i, unsigned op, u64 off, unsigned bit)
{
	unsigned size = i->opsize;
	struct memref ref;
	u64 a;
	int r;

	if (!insn_is_mem(i)) {
		a = bit_op(v, op, reg_read(v, i, i->rm, size), bit);
		if (op)
			reg_write(v, i, i->rm, size, a);
		return EXEC_NEXT;
	}
	if (!op) {
		r = mem_read(v, i->seg, off, size, &a);
		if (!r)
			bit_op(v, op, a, bit);
		return r;
	}
	r = mem_rmw(v, i->seg, off, size, &ref, &a);
	if (!r)
		mem_rmw_write(v, &ref, bit_op(v, op, a, bit));
	return r;
}

/* With a register bit offset the memory operand is a bit string. */
int x_bt(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->opsize * 8u;
	u64 pos = sign_extend(reg_read(v, i, i->reg, i->opsize), n), off = 0;

	if (insn_is_mem(i)) {
		off = insn_offset(v, i) + (u64)(((s64)pos >> (n == 64	? 6
							      : n == 32 ? 5
									: 4)) *
						(n / 8));
		off &= size_mask(i->addrsize);
	}
	return bit_rm(v, i, i->opcode >> 3 & 3, off, pos & (n - 1));
}

int x_bt_imm(struct vcpu *v, const struct insn *i)
{
	u64 off = insn_is_mem(i) ? insn_offset(v, i) : 0;

	return bit_rm(v, i, i->reg & 3, off, i->imm & (i->opsize * 8u - 1));
}

static unsigned lowest(u64 a)
{
	return (unsigned)__builtin_ctzll(a);
}

static unsigned highest(u64 a)
{
	return 63 - (unsigned)__builtin_clzll(a);
}

static void zf_only(struct vcpu *v, bool z)
{
	flags_set_arith(v, (flags_arith(v) & ~RFLAGS_ZF) | (z ? RFLAGS_ZF : 0));
}

static int scan(struct vcpu *v, const struct insn *i, bool reverse)
{
	u64 a;
	int r = rm_read(v, i, i->opsize, &a);

	if (r)
		return r;
	zf_only(v, a == 0);
	if (a)
		reg_write(v, i, i->reg, i->opsize, reverse ? highest(a) : lowest(a));
	return EXEC_NEXT;
}

int x_bsf(struct vcpu *v, const struct insn *i)
{
	return scan(v, i, false);
}

int x_bsr(struct vcpu *v, const struct insn *i)
{
	return scan(v, i, true);
}

static int count_zeros(struct vcpu *v, const struct insn *i, bool leading)
{
	unsigned n = i->opsize * 8u, c;
	u64 a;
	int r = rm_read(v, i, i->opsize, &a);

	if (r)
		return r;
	c = a == 0 ? n : leading ? n - 1 - highest(a) : lowest(a);
	reg_write(v, i, i->reg, i->opsize, c);
	put_flags(v, n, c, a == 0, false);
	return EXEC_NEXT;
}

int x_tzcnt(struct vcpu *v, const struct insn *i)
{
	return count_zeros(v, i, false);
}

int x_lzcnt(struct vcpu *v, const struct insn *i)
{
	return count_zeros(v, i, true);
}

int x_popcnt(struct vcpu *v, const struct insn *i)
{
	u64 a;
	int r = rm_read(v, i, i->opsize, &a);

	if (r)
		return r;
	reg_write(v, i, i->reg, i->opsize, (u64)__builtin_popcountll(a));
	flags_set_arith(v, a ? 0 : RFLAGS_ZF);
	return EXEC_NEXT;
}

/* --- multiply and divide --- */

static void mul_flags(struct vcpu *v, unsigned n, u64 low, bool overflow)
{
	put_flags(v, n, low, overflow, overflow);
}

int x_imul2(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->opsize * 8u;
	s128 p;
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (r)
		return r;
	p = (s128)(s64)sign_extend(v->reg[i->reg], n) * (s64)sign_extend(b, n);
	reg_write(v, i, i->reg, i->opsize, (u64)p);
	mul_flags(v, n, (u64)p & size_mask(i->opsize), (s128)(s64)sign_extend((u64)p, n) != p);
	return EXEC_NEXT;
}

int x_imul3(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->opsize * 8u;
	s128 p;
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (r)
		return r;
	p = (s128)(s64)sign_extend(b, n) * (s64)sign_extend(i->imm, n);
	reg_write(v, i, i->reg, i->opsize, (u64)p);
	mul_flags(v, n, (u64)p & size_mask(i->opsize), (s128)(s64)sign_extend((u64)p, n) != p);
	return EXEC_NEXT;
}

/* AX, or rDX:rAX. */
static void put_double(struct vcpu *v, const struct insn *i, u64 low, u64 high)
{
	if (i->opsize == 1) {
		reg_write(v, i, RAX, 2, (low & 0xff) | high << 8);
		return;
	}
	reg_write(v, i, RAX, i->opsize, low);
	reg_write(v, i, RDX, i->opsize, high);
}

int x_mul(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->opsize * 8u;
	u128 p;
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (r)
		return r;
	p = (u128)reg_read(v, i, RAX, i->opsize) * b;
	put_double(v, i, (u64)p, (u64)(p >> n));
	mul_flags(v, n, (u64)p & size_mask(i->opsize), (p >> n) != 0);
	return EXEC_NEXT;
}

int x_imul1(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->opsize * 8u;
	s128 p;
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (r)
		return r;
	p = (s128)(s64)sign_extend(v->reg[RAX], n) * (s64)sign_extend(b, n);
	put_double(v, i, (u64)p, (u64)(p >> n));
	mul_flags(v, n, (u64)p & size_mask(i->opsize), (s128)(s64)sign_extend((u64)p, n) != p);
	return EXEC_NEXT;
}

static u128 dividend(struct vcpu *v, const struct insn *i)
{
	if (i->opsize == 1)
		return (u16)v->reg[RAX];
	return (u128)reg_read(v, i, RDX, i->opsize) << (i->opsize * 8) |
	       reg_read(v, i, RAX, i->opsize);
}

int x_div(struct vcpu *v, const struct insn *i)
{
	u128 a = dividend(v, i), q;
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (r)
		return r;
	if (b == 0)
		return raise_fault(v, VEC_DE);
	q = a >> 64 ? a / b : (u64)a / b;
	if (q > size_mask(i->opsize))
		return raise_fault(v, VEC_DE);
	put_double(v, i, (u64)q, (u64)(a - q * b));
	return EXEC_NEXT;
}

int x_idiv(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->opsize * 8u;
	s128 a = (s128)dividend(v, i), d, q;
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (r)
		return r;
	if (n < 64)
		a = (s64)sign_extend((u64)a, 2 * n);
	d = (s64)sign_extend(b, n);
	/* -2^127 / -1 does not fit the host's type either */
	if (d == 0 || (d == -1 && (u128)a == (u128)1 << 127))
		return raise_fault(v, VEC_DE);
	q = a / d;
	if ((s128)(s64)sign_extend((u64)q, n) != q)
		return raise_fault(v, VEC_DE);
	put_double(v, i, (u64)q, (u64)(a - q * d));
	return EXEC_NEXT;
}

/* --- BCD --- */

static int decimal_adjust(struct vcpu *v, const struct insn *i, bool sub)
{
	u8 al = (u8)v->reg[RAX], old = al;
	bool cf = flag_c(v), af = flag_a(v), new_cf = false;

	if ((al & 15) > 9 || af) {
		new_cf = cf || (sub ? old < 6 : old > 0xf9);
		al = (u8)(sub ? al - 6 : al + 6);
		af = true;
	}
	if (old > 0x99 || cf) {
		al = (u8)(sub ? al - 0x60 : al + 0x60);
		new_cf = true;
	} else if (!sub) {
		new_cf = false;
	}
	reg_write(v, i, RAX, 1, al);
	put_flags(v, 8, al, new_cf, false);
	v->fl_aux |= af ? AUX_AF : 0;
	return EXEC_NEXT;
}

int x_daa(struct vcpu *v, const struct insn *i)
{
	return decimal_adjust(v, i, false);
}

int x_das(struct vcpu *v, const struct insn *i)
{
	return decimal_adjust(v, i, true);
}

static int ascii_adjust(struct vcpu *v, const struct insn *i, bool sub)
{
	u16 ax = (u16)v->reg[RAX];
	bool adjust = (ax & 15) > 9 || flag_a(v);

	if (adjust)
		ax = (u16)(sub ? ax - 0x106 : ax + 0x106);
	ax &= 0xff0f;
	reg_write(v, i, RAX, 2, ax);
	put_flags(v, 8, ax & 0xff, adjust, false);
	v->fl_aux |= adjust ? AUX_AF : 0;
	return EXEC_NEXT;
}

int x_aaa(struct vcpu *v, const struct insn *i)
{
	return ascii_adjust(v, i, false);
}

int x_aas(struct vcpu *v, const struct insn *i)
{
	return ascii_adjust(v, i, true);
}

int x_aam(struct vcpu *v, const struct insn *i)
{
	u8 al = (u8)v->reg[RAX], base = (u8)i->imm;

	if (!base)
		return raise_fault(v, VEC_DE);
	reg_write(v, i, RAX, 2, (u64)(al / base) << 8 | al % base);
	put_flags(v, 8, al % base, false, false);
	return EXEC_NEXT;
}

int x_aad(struct vcpu *v, const struct insn *i)
{
	u8 al = (u8)(v->reg[RAX] + (v->reg[RAX] >> 8) * (u8)i->imm);

	reg_write(v, i, RAX, 2, al);
	put_flags(v, 8, al, false, false);
	return EXEC_NEXT;
}

/* --- BMI, ADX, CRC32 --- */

static unsigned wide(const struct insn *i)
{
	return i->prefix & P_REXW ? 8 : 4;
}

static int get_wide(struct vcpu *v, const struct insn *i, u64 *a)
{
	return rm_read(v, i, wide(i), a);
}

int x_andn(struct vcpu *v, const struct insn *i)
{
	u64 a;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	a = ~v->reg[i->vvvv] & a & size_mask(wide(i));
	reg_write(v, i, i->reg, wide(i), a);
	put_flags(v, wide(i) * 8, a, false, false);
	return EXEC_NEXT;
}

int x_bls(struct vcpu *v, const struct insn *i)
{
	u64 a, t;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	switch (i->reg & 7) {
	case 1:
		t = a & (a - 1);
		break;
	case 2:
		t = a ^ (a - 1);
		break;
	default:
		t = a & (0 - a);
		break;
	}
	t &= size_mask(wide(i));
	reg_write(v, i, i->vvvv, wide(i), t);
	put_flags(v, wide(i) * 8, t, (i->reg & 7) == 3 ? a != 0 : a == 0, false);
	return EXEC_NEXT;
}

int x_bzhi(struct vcpu *v, const struct insn *i)
{
	unsigned n = wide(i) * 8, at = (u8)v->reg[i->vvvv];
	u64 a;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	if (at < n)
		a &= BIT(at) - 1;
	reg_write(v, i, i->reg, wide(i), a);
	put_flags(v, n, a, at > n - 1, false);
	return EXEC_NEXT;
}

int x_bextr(struct vcpu *v, const struct insn *i)
{
	unsigned start = (u8)v->reg[i->vvvv], len = (u8)(v->reg[i->vvvv] >> 8);
	u64 a;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	a = start < 64 ? a >> start : 0;
	if (len < 64)
		a &= BIT(len) - 1;
	reg_write(v, i, i->reg, wide(i), a);
	put_flags(v, wide(i) * 8, a, false, false);
	return EXEC_NEXT;
}

int x_pext(struct vcpu *v, const struct insn *i)
{
	u64 mask, src = v->reg[i->vvvv], out = 0;
	int r = get_wide(v, i, &mask);

	if (r)
		return r;
	for (unsigned k = 0; mask; mask &= mask - 1, k++)
		out |= (src >> lowest(mask) & 1) << k;
	reg_write(v, i, i->reg, wide(i), out);
	return EXEC_NEXT;
}

int x_pdep(struct vcpu *v, const struct insn *i)
{
	u64 mask, src = v->reg[i->vvvv], out = 0;
	int r = get_wide(v, i, &mask);

	if (r)
		return r;
	for (unsigned k = 0; mask; mask &= mask - 1, k++)
		out |= (src >> k & 1) << lowest(mask);
	reg_write(v, i, i->reg, wide(i), out);
	return EXEC_NEXT;
}

/* If both destinations are the same register the high half stays. */
int x_mulx(struct vcpu *v, const struct insn *i)
{
	u128 p;
	u64 a;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	p = (u128)(v->reg[RDX] & size_mask(wide(i))) * a;
	reg_write(v, i, i->vvvv, wide(i), (u64)p);
	reg_write(v, i, i->reg, wide(i), (u64)(p >> (wide(i) * 8)));
	return EXEC_NEXT;
}

int x_shiftx(struct vcpu *v, const struct insn *i)
{
	unsigned n = wide(i) * 8, c = v->reg[i->vvvv] & (n - 1);
	u64 a;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	if (i->row->pfx == P66)
		a <<= c;
	else if (i->row->pfx == PF2)
		a >>= c;
	else
		a = (u64)((s64)sign_extend(a, n) >> c);
	reg_write(v, i, i->reg, wide(i), a);
	return EXEC_NEXT;
}

int x_rorx(struct vcpu *v, const struct insn *i)
{
	unsigned n = wide(i) * 8, c = i->imm & (n - 1);
	u64 a;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	reg_write(v, i, i->reg, wide(i), c ? a >> c | a << (n - c) : a);
	return EXEC_NEXT;
}

int x_adcx(struct vcpu *v, const struct insn *i)
{
	u64 a, b = reg_read(v, i, i->reg, wide(i));
	u128 sum;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	sum = (u128)a + b + flag_c(v);
	put_cf_of(v, sum >> (wide(i) * 8) & 1, flag_o(v));
	reg_write(v, i, i->reg, wide(i), (u64)sum);
	return EXEC_NEXT;
}

int x_adox(struct vcpu *v, const struct insn *i)
{
	u64 a, b = reg_read(v, i, i->reg, wide(i));
	u128 sum;
	int r = get_wide(v, i, &a);

	if (r)
		return r;
	sum = (u128)a + b + flag_o(v);
	put_cf_of(v, flag_c(v), sum >> (wide(i) * 8) & 1);
	reg_write(v, i, i->reg, wide(i), (u64)sum);
	return EXEC_NEXT;
}

int x_crc32(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->nbytes_op;
	u32 crc = (u32)v->reg[i->reg];
	u64 a;
	int r = rm_read(v, i, n, &a);

	if (r)
		return r;
	for (unsigned k = 0; k < n; k++) {
		crc ^= (u8)(a >> (8 * k));
		for (unsigned b = 0; b < 8; b++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	reg_write(v, i, i->reg, 8, crc);
	return EXEC_NEXT;
}
