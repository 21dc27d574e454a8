/*
 * String instructions. Each iteration is complete before the next begins, so a fault or interrupt
 * leaves the registers where the SDM says. MOVS, STOS and SCAS/CMPS bytes within RAM pages run in
 * bulk; a repeated instruction returns to the run loop now and then so that interrupts are seen.
 */
#include "cpu/alu.h"
#include "cpu/cpu.h"
#include "cpu/insn_protos.h"
#include "cpu/mem.h"

#define CHUNKS_PER_RUN 16 /* page-sized pieces before events are looked at */
#define ITERATIONS_PER_RUN 4096

struct str {
	struct vcpu *v;
	const struct insn *i;
	unsigned n; /* bytes of an element */
	u64 amask;  /* address-size mask */
	s64 step;   /* +n or -n */
	bool rep;
};

static struct str start(struct vcpu *v, const struct insn *i)
{
	struct str s = {.v = v,
			.i = i,
			.n = i->opsize,
			.amask = size_mask(i->addrsize),
			.rep = i->prefix & (P_F2 | P_F3)};

	s.step = v->rflags & RFLAGS_DF ? -(s64)s.n : (s64)s.n;
	return s;
}

static u64 index_reg(const struct str *s, unsigned r)
{
	return s->v->reg[r] & s->amask;
}

static void advance_reg(const struct str *s, unsigned r, u64 count)
{
	reg_write(s->v, s->i, r, s->i->addrsize, s->v->reg[r] + count * (u64)s->step);
}

static void count_down(const struct str *s, u64 done)
{
	reg_write(s->v, s->i, RCX, s->i->addrsize, s->v->reg[RCX] - done);
}

static u64 linear(const struct str *s, unsigned seg, u64 off)
{
	return (off + (s->v->mode == MODE_64 && seg < SEG_FS ? 0 : s->v->seg[seg].base)) &
	       s->v->lin_mask;
}

/* Elements from laddr to the end of its page, forwards; at most `max`. */
static u64 room(const struct str *s, u64 laddr, u64 max)
{
	u64 k = (PAGE_SIZE - (laddr & ~PAGE_MASK)) / s->n;

	return k < max ? k : max;
}

/* Bulk needs plain rules: forwards, no watchpoints, segments that need no per-element check. */
static bool bulk_ok(const struct str *s)
{
	return s->rep && s->step > 0 && (s->v->mode_key & 4) && !s->v->step_mode &&
	       s->amask >= 0xffffffff;
}

/* Time passes as if 32 bytes were moved per tick; what is done one by one takes a tick each, which
 * is that of its step if it is stepped. */
static void charge(struct vcpu *v, u64 ticks)
{
	if (!v->step_mode)
		vcpu_charge(v, ticks);
}

static int finish(const struct str *s)
{
	return index_reg(s, RCX) ? EXEC_RESTART : EXEC_NEXT;
}

/* --- MOVS --- */

static void copy_up(u8 *dst, const u8 *src, u64 bytes, unsigned n)
{
	if (dst <= src || dst >= src + bytes) {
		memmove(dst, src, bytes);
		return;
	}
	for (u64 k = 0; k < bytes; k += n) { /* overlapping: the pattern repeats */
		u8 t[8];

		memcpy(t, src + k, n);
		memcpy(dst + k, t, n);
	}
}

/* Elements copied, 0 if the plain way must be taken. */
static u64 movs_bulk(const struct str *s)
{
	struct vcpu *v = s->v;
	u64 src = linear(s, s->i->seg, index_reg(s, RSI)),
	    dst = linear(s, SEG_ES, index_reg(s, RDI));
	u64 k = room(s, dst, room(s, src, index_reg(s, RCX)));
	u8 *from, *to;

	if (!k)
		return 0;
	from = mem_host(v, src, ACCESS_READ);
	to = from ? mem_host(v, dst, ACCESS_READ | ACCESS_WRITE) : NULL;
	if (!to)
		return 0;
	copy_up(to, from, k * s->n, s->n);
	charge(v, k * s->n / 32);
	return k;
}

static int movs_one(const struct str *s)
{
	u64 t;
	int r = mem_read(s->v, s->i->seg, index_reg(s, RSI), s->n, &t);

	return r ? r : mem_write(s->v, SEG_ES, index_reg(s, RDI), s->n, t);
}

/* --- STOS --- */

static u64 stos_bulk(const struct str *s)
{
	u64 dst = linear(s, SEG_ES, index_reg(s, RDI)), k = room(s, dst, index_reg(s, RCX));
	u8 *to = k ? mem_host(s->v, dst, ACCESS_READ | ACCESS_WRITE) : NULL;

	if (!to)
		return 0;
	if (s->n == 1 || s->v->reg[RAX] == 0)
		memset(to, (int)(u8)s->v->reg[RAX], k * s->n);
	else
		for (u64 e = 0; e < k; e++)
			store_le(to + e * s->n, s->v->reg[RAX], s->n);
	charge(s->v, k * s->n / 32);
	return k;
}

static int stos_one(const struct str *s)
{
	return mem_write(s->v, SEG_ES, index_reg(s, RDI), s->n, s->v->reg[RAX]);
}

/* MOVS and STOS: unconditional repetition. regs: which index registers move. */
static int repeat(const struct str *s, int (*one)(const struct str *),
		  u64 (*bulk)(const struct str *), bool si, bool di)
{
	unsigned chunks = CHUNKS_PER_RUN, left = ITERATIONS_PER_RUN;

	if (s->rep && !index_reg(s, RCX))
		return EXEC_NEXT;
	for (;;) {
		u64 done = bulk && bulk_ok(s) ? bulk(s) : 0;

		if (done) {
			chunks--;
		} else {
			int r = one(s);

			if (r)
				return r;
			done = 1;
			left--;
			charge(s->v, s->rep);
		}
		if (si)
			advance_reg(s, RSI, done);
		if (di)
			advance_reg(s, RDI, done);
		if (!s->rep)
			return EXEC_NEXT;
		count_down(s, done);
		if (!index_reg(s, RCX) || !chunks || !left || s->v->recheck || s->v->step_mode)
			return finish(s);
	}
}

int x_movs(struct vcpu *v, const struct insn *i)
{
	struct str s = start(v, i);

	return repeat(&s, movs_one, movs_bulk, true, true);
}

int x_stos(struct vcpu *v, const struct insn *i)
{
	struct str s = start(v, i);

	return repeat(&s, stos_one, stos_bulk, false, true);
}

static int lods_one(const struct str *s)
{
	u64 t;
	int r = mem_read(s->v, s->i->seg, index_reg(s, RSI), s->n, &t);

	if (!r)
		reg_write(s->v, s->i, RAX, s->n, t);
	return r;
}

int x_lods(struct vcpu *v, const struct insn *i)
{
	struct str s = start(v, i);

	return repeat(&s, lods_one, NULL, true, false);
}

/* --- SCAS and CMPS: stop on ZF --- */

/* Processors read ES:rDI first: its fault is the one that is seen. */
static int compare_one(const struct str *s, bool cmps)
{
	u64 a = reg_read(s->v, s->i, RAX, s->n), b;
	int r = mem_read(s->v, SEG_ES, index_reg(s, RDI), s->n, &b);

	if (!r && cmps)
		r = mem_read(s->v, s->i->seg, index_reg(s, RSI), s->n, &a);
	if (!r)
		alu_op(s->v, ALU_CMP, s->n * 8, a, b);
	return r;
}

static int repeat_compare(const struct str *s, bool cmps)
{
	bool while_zero = s->i->prefix & P_F3;
	u64 res = s->v->fl_res, aux = s->v->fl_aux;

	if (s->rep && !index_reg(s, RCX))
		return EXEC_NEXT;
	for (unsigned left = ITERATIONS_PER_RUN; left; left--) {
		int r = compare_one(s, cmps);

		if (r) { /* RFLAGS go back to what they were before the instruction */
			s->v->fl_res = res;
			s->v->fl_aux = aux;
			return r;
		}
		if (cmps)
			advance_reg(s, RSI, 1);
		advance_reg(s, RDI, 1);
		if (!s->rep)
			return EXEC_NEXT;
		count_down(s, 1);
		charge(s->v, 1);
		if (flag_z(s->v) != while_zero || !index_reg(s, RCX))
			return EXEC_NEXT;
		if (s->v->recheck || s->v->step_mode)
			break;
	}
	return EXEC_RESTART;
}

int x_scas(struct vcpu *v, const struct insn *i)
{
	struct str s = start(v, i);

	return repeat_compare(&s, false);
}

int x_cmps(struct vcpu *v, const struct insn *i)
{
	struct str s = start(v, i);

	return repeat_compare(&s, true);
}
