/*
 * CET state and indirect branch tracking. SDM Vol. 1, "Control-flow Enforcement Technology (CET)",
 * "Indirect Branch Tracking", "Legacy Compatibility Treatment"; Vol. 4, IA32_U_CET and IA32_S_CET.
 */
#include "cpu/cet.h"
#include "cpu/block.h"
#include "cpu/mem.h"

#define LEGACY_BITMAP (~0xfffull)

u64 cet_controls_valid(const struct cpu_model *m)
{
	u64 shadow = CET_SH_STK_EN | CET_WR_SHSTK_EN, reserved = bits(~0ull, 9, 6) << 6;

	return ~reserved &
	       ((model_has(m, FEAT_SHSTK) ? shadow : 0) | (model_has(m, FEAT_IBT) ? ~shadow : 0));
}

bool cet_controls_ok(const struct cpu_model *m, u64 value)
{
	const u64 both = CET_SUPPRESS | CET_TRACKER;

	return !(value & ~cet_controls_valid(m)) && (value & both) != both &&
	       is_canonical(value & LEGACY_BITMAP, model_has(m, FEAT_LA57) ? 57 : 48);
}

bool cet_ssp_ok(const struct cpu_model *m, u64 value)
{
	return !(value & 3) && is_canonical(value, model_has(m, FEAT_LA57) ? 57 : 48);
}

u16 cet_recompute(struct vcpu *v)
{
	bool ibt = endbranch_on(v, v->cpl);

	v->ibt_wait = ibt && *cet_controls(v, v->cpl) & CET_TRACKER;
	if (v->ibt_wait)
		v->recheck = true; /* no block goes on without the loop's look */
	return (ibt ? KEY_IBT : 0) | (shadow_on(v, v->cpl) ? KEY_SHADOW : 0);
}

static void wait(struct vcpu *v, u64 *c)
{
	*c |= CET_TRACKER;
	v->ibt_wait = v->recheck = true;
}

void ibt_near(struct vcpu *v, const struct insn *i)
{
	u64 *c = cet_controls(v, v->cpl);

	if (!endbranch_on(v, v->cpl) || *c & CET_SUPPRESS || (i->notrack && *c & CET_NO_TRACK_EN))
		return;
	wait(v, c);
}

void ibt_far(struct vcpu *v)
{
	u64 *c = cet_controls(v, v->cpl);

	if (!endbranch_on(v, v->cpl))
		return;
	*c &= ~CET_SUPPRESS;
	wait(v, c);
}

static void idle(struct vcpu *v, u64 *c)
{
	*c &= ~(CET_TRACKER | CET_SUPPRESS);
	v->ibt_wait = false;
}

/* Code that knows no ENDBRANCH has a bit for each of its pages. */
static int legacy(struct vcpu *v, u64 *c, u64 laddr)
{
	u64 at = (*c & LEGACY_BITMAP) + ((laddr & 0xffffffffffff) >> 15), map;
	int r;

	if (!(*c & CET_LEG_IW_EN))
		return raise_cp(v, CP_ENDBRANCH);
	r = lin_read(v, at & v->lin_mask, 1, ACCESS_READ, &map);
	if (r)
		return r;
	if (!(map >> (laddr >> 12 & 7) & 1))
		return raise_cp(v, CP_ENDBRANCH);
	idle(v, c);
	if (!(*c & CET_SUPPRESS_DIS))
		*c |= CET_SUPPRESS;
	return 0;
}

/* Faults of the fetch come before #CP, those of decoding after it: so bytes, not the decoder, say
 * what is there. INT3 stands for the instruction that a debugger took away, and keeps the tracker. */
int ibt_arrive(struct vcpu *v)
{
	const u8 endbr[4] = {0xf3, 0x0f, 0x1e, v->mode == MODE_64 ? 0xfa : 0xfb};
	u64 *c = cet_controls(v, v->cpl);
	u64 laddr = (v->mode == MODE_64 ? v->rip : v->seg[SEG_CS].base + v->rip) & v->lin_mask;

	if (v->mode == MODE_64 ? !is_canonical(v->rip, v->width_laddr)
			       : v->rip > v->seg[SEG_CS].limit)
		return 0; /* #GP, by the fetch */
	for (unsigned k = 0; k < 4; k++) {
		u64 paddr;
		const u8 *p;
		u8 byte;
		int r = mem_fetch_page(v, (laddr + k) & v->lin_mask, &paddr);

		if (r)
			return r;
		p = physmem_read_ptr(v->mem, paddr);
		byte = p ? *p : (u8)bus_read(v->mmio, paddr, 1);
		if (k == 0 && byte == 0xcc)
			return 0;
		if (byte != endbr[k])
			return legacy(v, c, laddr);
	}
	idle(v, c);
	return 0;
}
