/*
 * x87 control instructions: FNINIT, FNCLEX, FLDCW, FNSTCW, FNSTSW, FLDENV, FNSTENV, FNSAVE, FRSTOR,
 * WAIT. SDM volume 1, "x87 FPU Control Instructions" and the figures of the environment in memory.
 */
#include "cpu/insn_protos.h"
#include "cpu/x87_internal.h"

#define ENV_MAX 28
#define REGS_BYTES 80

static u16 fcw_value(u64 raw)
{
	return (u16)((raw & 0x1f3f) | 0x40);
}

static void init(struct vcpu *v)
{
	struct x87 *x = &v->x87;

	x->fcw = 0x37f;
	x->fsw = 0;
	x->tag_valid = 0;
	x->fop = x->fcs = x->fds = 0;
	x->fip = x->fdp = 0;
}

int x_fninit(struct vcpu *v, const struct insn *i)
{
	(void)i;
	init(v);
	return EXEC_NEXT;
}

int x_fnclex(struct vcpu *v, const struct insn *i)
{
	(void)i;
	v->x87.fsw &= 0x7f00;
	return EXEC_NEXT;
}

/* FNENI, FNDISI, FNSETPM: of the 8087 and the 80287, nothing since. */
int x_fn_ignored(struct vcpu *v, const struct insn *i)
{
	(void)v;
	(void)i;
	return EXEC_NEXT;
}

int x_fldcw(struct vcpu *v, const struct insn *i)
{
	u64 raw;
	int r = mem_read(v, i->seg, insn_offset(v, i), 2, &raw);

	if (r)
		return r;
	v->x87.fcw = fcw_value(raw);
	x87_refresh_es(&v->x87);
	return EXEC_NEXT;
}

int x_fnstcw(struct vcpu *v, const struct insn *i)
{
	return mem_write(v, i->seg, insn_offset(v, i), 2, v->x87.fcw);
}

int x_fnstsw(struct vcpu *v, const struct insn *i)
{
	if (insn_is_mem(i))
		return mem_write(v, i->seg, insn_offset(v, i), 2, v->x87.fsw);
	reg_write(v, i, RAX, 2, v->x87.fsw);
	return EXEC_NEXT;
}

/* #NM only if both CR0.MP and CR0.TS are set: no attribute says that. */
int x_fwait(struct vcpu *v, const struct insn *i)
{
	(void)i;
	if ((v->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return raise_nm(v);
	if (v->x87.fsw & FSW_ES && v->cr0 & CR0_NE)
		return raise_fault(v, VEC_MF);
	return EXEC_NEXT;
}

/* --- the environment in memory --- */

/* Two bits a physical register: 0 valid, 1 zero, 2 special, 3 empty. */
static unsigned tag_word(const struct x87 *x)
{
	unsigned tags = 0;

	for (unsigned k = 0; k < 8; k++) {
		const struct f80_reg *r = &x->st[k];
		unsigned exp = r->se & 0x7fff, tag = 0;

		if (!(x->tag_valid >> k & 1))
			tag = 3;
		else if (exp == 0 && r->sig == 0)
			tag = 1;
		else if (exp == 0 || exp == 0x7fff || !(r->sig >> 63))
			tag = 2;
		tags |= tag << (2 * k);
	}
	return tags;
}

static void set_tag_word(struct x87 *x, unsigned tags)
{
	x->tag_valid = 0;
	for (unsigned k = 0; k < 8; k++)
		if ((tags >> (2 * k) & 3) != 3)
			x->tag_valid |= (u8)(1u << k);
}

/* The four formats: operand size, and protected mode or real-address and virtual-8086 mode. */
static unsigned env_size(const struct insn *i)
{
	return i->opsize == 2 ? 14 : 28;
}

static void put_env(const struct vcpu *v, const struct insn *i, u8 *b)
{
	const struct x87 *x = &v->x87;
	unsigned w = env_size(i) / 7;
	u64 high =
		w == 2 ? 0xf0000 : 0xffff0000; /* address bits above 15 of the real-mode formats */
	u32 ones = w == 4 ? 0xffff0000u : 0;
	u32 word[7] = {x->fcw | ones, x->fsw | ones, tag_word(x) | ones, (u32)x->fip};

	if (mode_protected(v)) {
		word[4] = x->fcs | (w == 4 ? (u32)x->fop << 16 : 0);
		word[5] = (u32)x->fdp;
		word[6] = x->fds | ones;
	} else {
		word[3] &= 0xffff;
		word[4] = (u32)((x->fip & high) >> 4) | x->fop;
		word[5] = (u32)x->fdp & 0xffff;
		word[6] = (u32)((x->fdp & high) >> 4);
	}
	for (unsigned k = 0; k < 7; k++)
		store_le(b + k * w, word[k], w);
}

/* The 16-bit protected-mode format has no FOP: it becomes zero. */
static void get_env(struct vcpu *v, const struct insn *i, const u8 *b)
{
	struct x87 *x = &v->x87;
	unsigned w = env_size(i) / 7;
	u32 word[7];

	for (unsigned k = 0; k < 7; k++)
		word[k] = (u32)load_le(b + k * w, w);
	x->fcw = fcw_value(word[0]);
	x->fsw = (u16)word[1];
	set_tag_word(x, word[2]);
	x->fcs = x->fds = 0;
	if (mode_protected(v)) {
		x->fip = word[3];
		x->fop = word[4] >> 16 & 0x7ff;
		x->fdp = word[5];
	} else {
		x->fip = (word[3] & 0xffff) | (word[4] & 0xffff000) << 4;
		x->fop = word[4] & 0x7ff;
		x->fdp = (word[5] & 0xffff) | (word[6] & 0xffff000) << 4;
	}
	x87_refresh_es(x);
}

int x_fldenv(struct vcpu *v, const struct insn *i)
{
	u8 b[ENV_MAX];
	int r = mem_read_bytes(v, i->seg, insn_offset(v, i), b, env_size(i));

	if (!r)
		get_env(v, i, b);
	return r;
}

/* All exceptions are masked afterwards. */
int x_fnstenv(struct vcpu *v, const struct insn *i)
{
	u8 b[ENV_MAX];
	int r;

	put_env(v, i, b);
	r = mem_write_bytes(v, i->seg, insn_offset(v, i), b, env_size(i));
	if (r)
		return r;
	v->x87.fcw |= FP_ALL_FLAGS;
	x87_refresh_es(&v->x87);
	return EXEC_NEXT;
}

int x_fnsave(struct vcpu *v, const struct insn *i)
{
	unsigned at = env_size(i);
	u8 b[ENV_MAX + REGS_BYTES];
	int r;

	put_env(v, i, b);
	for (unsigned k = 0; k < 8; k++) {
		struct f80 a = x87_get(v, k);

		store_le64(b + at + 10 * k, a.sig);
		store_le16(b + at + 10 * k + 8, a.se);
	}
	r = mem_write_bytes(v, i->seg, insn_offset(v, i), b, at + REGS_BYTES);
	if (!r)
		init(v);
	return r;
}

int x_frstor(struct vcpu *v, const struct insn *i)
{
	unsigned at = env_size(i);
	u8 b[ENV_MAX + REGS_BYTES];
	int r = mem_read_bytes(v, i->seg, insn_offset(v, i), b, at + REGS_BYTES);

	if (r)
		return r;
	get_env(v, i, b);
	for (unsigned k = 0; k < 8; k++)
		v->x87.st[x87_phys(v, k)] = (struct f80_reg){.sig = load_le64(b + at + 10 * k),
							     .se = load_le16(b + at + 10 * k + 8)};
	return EXEC_NEXT;
}
