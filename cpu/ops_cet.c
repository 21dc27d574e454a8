/*
 * ENDBR32, ENDBR64, and the instructions that manage shadow stacks. SDM Vol. 2.
 */
#include "cpu/cet.h"
#include "cpu/insn_protos.h"

static int endbranch(struct vcpu *v, bool here)
{
	if (here && endbranch_on(v, v->cpl))
		*cet_controls(v, v->cpl) &= ~(CET_TRACKER | CET_SUPPRESS);
	return EXEC_NEXT;
}

int x_endbr64(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return endbranch(v, v->mode == MODE_64);
}

int x_endbr32(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return endbranch(v, v->mode != MODE_64);
}

static bool mode64(const struct vcpu *v)
{
	return v->mode == MODE_64;
}

/* Linear address of a memory operand that lies on a shadow stack. */
static int operand(struct vcpu *v, const struct insn *i, unsigned size, bool write, u64 *laddr)
{
	int r = seg_to_laddr(v, i->seg, insn_offset(v, i), size, write, laddr);

	if (r)
		return r;
	return *laddr & (size - 1) ? raise_gp(v, 0) : 0;
}

static void ssp_set(struct vcpu *v, u64 value)
{
	v->ssp = mode_long(v) ? value : (u32)value;
}

/* Where there is no shadow stack it is a NOP, so that code can ask. */
int x_rdssp(struct vcpu *v, const struct insn *i)
{
	if (shadow_on(v, v->cpl))
		reg_write(v, i, i->rm, i->prefix & P_REXW ? 8 : 4, v->ssp);
	return EXEC_NEXT;
}

int x_incssp(struct vcpu *v, const struct insn *i)
{
	unsigned size = i->prefix & P_REXW ? 8 : 4;
	u64 n = v->reg[i->rm] & 0xff, ignored;
	int r;

	if (!shadow_on(v, v->cpl))
		return raise_ud(v);
	r = shadow_read(v, v->cpl, v->ssp, size, &ignored);
	if (!r && n > 1)
		r = shadow_read(v, v->cpl, v->ssp + (n - 1) * size, size, &ignored);
	if (!r)
		ssp_set(v, v->ssp + n * size);
	return r;
}

/* Bit 1 tells a previous-SSP token from a restore token; bit 0 of both is the mode. */
int x_rstorssp(struct vcpu *v, const struct insn *i)
{
	u64 at, token, previous = v->ssp | 2 | mode64(v);
	bool done;
	int r;

	if (!shadow_on(v, v->cpl))
		return raise_ud(v);
	r = operand(v, i, 8, true, &at);
	if (!r)
		r = shadow_probe(v, v->cpl, at, 8);
	if (!r)
		r = shadow_read(v, v->cpl, at, 8, &token);
	if (r)
		return r;
	if ((token & 3) != mode64(v) || (!mode64(v) && token >> 32) ||
	    (((token & ~1ull) - 8) & ~7ull) != at)
		return raise_cp(v, CP_RSTORSSP);
	r = shadow_swap(v, v->cpl, at, token, previous, &done);
	if (r)
		return r;
	v->ssp = at;
	flags_set_arith(v, token & 4 ? RFLAGS_CF : 0); /* an alignment hole lies above */
	return EXEC_NEXT;
}

/* Leaves a restore token on the shadow stack that RSTORSSP came from. */
int x_saveprevssp(struct vcpu *v, const struct insn *i)
{
	u64 token, hole = 0, old;
	unsigned pop = flag_c(v) ? 12 : 8;
	int r;

	(void)i;
	if (!shadow_on(v, v->cpl))
		return raise_ud(v);
	if (v->ssp & 7)
		return raise_gp(v, 0);
	r = shadow_read(v, v->cpl, v->ssp, 8, &token);
	if (!r && pop == 12) {
		if (mode64(v))
			return raise_gp(v, 0);
		r = shadow_read(v, v->cpl, v->ssp + 8, 4, &hole);
	}
	if (r)
		return r;
	if (hole || !(token & 2) || (!mode64(v) && token >> 32))
		return raise_gp(v, 0);
	old = token & ~3ull;
	r = shadow_probe(v, v->cpl, (old & ~7ull) - 8, (unsigned)(old & 7) + 8);
	if (!r && old & 7)
		r = shadow_write(v, v->cpl, old - 4, 4, 0);
	if (!r)
		r = shadow_write(v, v->cpl, (old & ~7ull) - 8, 8, old | mode64(v));
	if (!r)
		ssp_set(v, v->ssp + pop);
	return r;
}

static int write_shadow(struct vcpu *v, const struct insn *i, unsigned cpl)
{
	unsigned size = i->prefix & P_REXW ? 8 : 4;
	u64 at;
	int r = operand(v, i, size, true, &at);

	return r ? r : shadow_write(v, cpl, at, size, reg_read(v, i, i->reg, size));
}

int x_wrss(struct vcpu *v, const struct insn *i)
{
	if (!cet_has(v, v->cpl, CET_SH_STK_EN | CET_WR_SHSTK_EN))
		return raise_ud(v);
	return write_shadow(v, i, v->cpl);
}

/* The kernel writes to a user's shadow stack, with a user's rights. */
int x_wruss(struct vcpu *v, const struct insn *i)
{
	if (!cet_has(v, v->cpl, 0))
		return raise_ud(v);
	return v->cpl ? raise_gp(v, 0) : write_shadow(v, i, 3);
}

int x_setssbsy(struct vcpu *v, const struct insn *i)
{
	u64 at = v->pl_ssp[0];
	bool done;
	int r;

	(void)i;
	if (!shadow_on(v, 0))
		return raise_ud(v);
	if (v->cpl || at & 7)
		return raise_gp(v, 0);
	r = shadow_swap(v, 0, at, at, at | SHADOW_BUSY, &done);
	if (r)
		return r;
	if (!done)
		return raise_cp(v, CP_SETSSBSY);
	v->ssp = at;
	return EXEC_NEXT;
}

int x_clrssbsy(struct vcpu *v, const struct insn *i)
{
	bool done;
	u64 at;
	int r;

	if (!shadow_on(v, 0))
		return raise_ud(v);
	if (v->cpl)
		return raise_gp(v, 0);
	r = operand(v, i, 8, true, &at);
	if (!r)
		r = shadow_swap(v, 0, at, at | SHADOW_BUSY, at, &done);
	if (r)
		return r;
	flags_set_arith(v, done ? 0 : RFLAGS_CF);
	v->ssp = 0;
	return EXEC_NEXT;
}
