/*
 * Shadow stacks: accesses, and what near and far transfers do to them. SDM Vol. 1, "Shadow Stacks",
 * "Supervisor Shadow Stack Token"; Vol. 2, Operation of CALL, RET, INT n, IRET.
 *
 * Everything that can fail is looked at before a token or a frame is written, so that no shadow
 * stack is ever prematurely busy.
 */
#include "cpu/cet.h"
#include "cpu/seg_internal.h"

#define FRAME 24 /* CS, LIP, SSP */

static unsigned flags_of(unsigned cpl, unsigned access)
{
	return access | LIN_SHADOW | (cpl == 3 ? LIN_USER : LIN_SUPER);
}

/* Shadow stacks are not segmented: linear addresses, 32 bits of them outside IA-32e mode. */
static int address(struct vcpu *v, u64 *laddr, unsigned n)
{
	if (!mode_long(v))
		*laddr = (u32)*laddr;
	else if (!is_canonical(*laddr, v->width_laddr) ||
		 !is_canonical(*laddr + n - 1, v->width_laddr))
		return raise_gp(v, 0);
	return 0;
}

/* Compatibility mode wraps data at 4 GBytes, but not these. */
static u64 widen(struct vcpu *v)
{
	u64 mask = v->lin_mask;

	if (mode_long(v))
		v->lin_mask = ~0ull;
	return mask;
}

static int unwiden(struct vcpu *v, u64 mask, int r)
{
	if (r != EXEC_VMEXIT)
		v->lin_mask = mask;
	return r;
}

int shadow_read(struct vcpu *v, unsigned cpl, u64 laddr, unsigned size, u64 *value)
{
	int r = address(v, &laddr, size);
	u64 mask;

	if (r)
		return r;
	mask = widen(v);
	return unwiden(v, mask, lin_read(v, laddr, size, flags_of(cpl, ACCESS_READ), value));
}

int shadow_write(struct vcpu *v, unsigned cpl, u64 laddr, unsigned size, u64 value)
{
	int r = address(v, &laddr, size);
	u64 mask;

	if (r)
		return r;
	mask = widen(v);
	return unwiden(v, mask, lin_write(v, laddr, size, flags_of(cpl, ACCESS_WRITE), value));
}

int shadow_probe(struct vcpu *v, unsigned cpl, u64 laddr, unsigned n)
{
	int r = address(v, &laddr, n);
	u64 mask;

	if (r)
		return r;
	mask = widen(v);
	return unwiden(v, mask, lin_probe(v, laddr, n, flags_of(cpl, ACCESS_WRITE)));
}

int shadow_swap(struct vcpu *v, unsigned cpl, u64 laddr, u64 expected, u64 value, bool *done)
{
	u64 now;
	int r = shadow_probe(v, cpl, laddr, 8);

	if (!r)
		r = shadow_read(v, cpl, laddr, 8, &now);
	if (r)
		return r;
	*done = now == expected;
	return *done ? shadow_write(v, cpl, laddr, 8, value) : 0;
}

/* --- near CALL and RET --- */

int shadow_push_probe(struct vcpu *v, unsigned size)
{
	return shadow_probe(v, v->cpl, v->ssp - size, size);
}

int shadow_push(struct vcpu *v, unsigned size, u64 value)
{
	int r = shadow_write(v, v->cpl, v->ssp - size, size, value);

	if (!r)
		v->ssp -= size;
	return r;
}

int shadow_pop_check(struct vcpu *v, unsigned size, u64 rip)
{
	u64 value;
	int r = shadow_read(v, v->cpl, v->ssp, size, &value);

	if (r)
		return r;
	return value == rip ? 0 : raise_cp(v, CP_NEAR_RET);
}

/* --- far transfers inwards --- */

u64 shadow_lip(const struct vcpu *v, const struct seg *cs, u64 rip)
{
	return code_is_64(v, cs) ? rip : (u32)(cs->base + rip);
}

static int check_token(struct vcpu *v, const struct shadow_enter *s)
{
	u64 token;
	int r;

	if (s->at & 7)
		return raise_gp(v, 0);
	r = shadow_probe(v, s->cpl, s->at, 8);
	if (!r)
		r = shadow_read(v, s->cpl, s->at, 8, &token);
	if (r)
		return r;
	return token == s->at ? 0 : raise_gp(v, 0);
}

int shadow_enter_check(struct vcpu *v, struct shadow_enter *s, bool same, u64 at, bool to64)
{
	u64 low;
	int r = 0;

	s->save = shadow_on(v, v->cpl) && v->cpl == 3 && s->cpl != 3;
	s->on = v->cr4 & CR4_CET && *cet_controls(v, s->cpl) & CET_SH_STK_EN;
	if (!s->on)
		return 0;
	s->token = !same;
	s->at = same ? v->ssp : at;
	s->hole = s->frame && s->at & 7;
	if (!to64 && s->at >> 32)
		return raise_gp(v, 0);
	if (s->token)
		r = check_token(v, s);
	if (r || !s->frame)
		return r;
	low = (s->at & ~7ull) - FRAME;
	return shadow_probe(v, s->cpl, low, (unsigned)(s->at - low));
}

int shadow_enter_commit(struct vcpu *v, const struct shadow_enter *s)
{
	u64 old = v->ssp, top = s->at & ~7ull;
	int r = 0;

	if (s->save)
		v->pl_ssp[3] = old;
	if (!s->on)
		return 0;
	v->ssp = s->at;
	if (s->token)
		r = shadow_write(v, s->cpl, s->at, 8, s->at | SHADOW_BUSY);
	if (r || !s->frame)
		return r;
	v->ssp = top - FRAME;
	if (s->hole)
		r = shadow_write(v, s->cpl, s->at - 4, 4, 0);
	if (!r)
		r = shadow_write(v, s->cpl, top - 8, 8, s->cs);
	if (!r)
		r = shadow_write(v, s->cpl, top - 16, 8, s->lip);
	return r ? r : shadow_write(v, s->cpl, top - 24, 8, old);
}

/* --- far returns --- */

/* CS and LIP on the shadow stack must be those on the stack. */
static int check_frame(struct vcpu *v, u16 cs, u64 lip, bool to64, u64 *ssp)
{
	u64 frame[3] = {0};
	int r = 0;

	for (unsigned k = 0; !r && k < 3; k++)
		r = shadow_read(v, v->cpl, v->ssp + 8 * k, 8, &frame[k]);
	if (r)
		return r;
	*ssp = frame[0];
	if (frame[2] != cs || frame[1] != lip)
		return raise_cp(v, CP_FAR_RET);
	if (!to64 && *ssp >> 32)
		return raise_gp(v, 0);
	return *ssp & 3 ? raise_cp(v, CP_FAR_RET) : 0;
}

int shadow_leave_check(struct vcpu *v, struct shadow_leave *s, u16 cs, const struct seg *seg,
		       u64 rip, bool iret)
{
	unsigned rpl = cs & 3u;
	bool same = rpl == v->cpl, to64 = code_is_64(v, seg);
	int r = 0;

	*s = (struct shadow_leave){.on = shadow_on(v, v->cpl), .cpl = v->cpl, .token = v->ssp};
	s->set = shadow_on(v, rpl);
	s->ssp = v->pl_ssp[3];
	if (s->on && v->ssp & 7)
		return raise_cp(v, CP_FAR_RET);
	if (s->on && (same || rpl != 3)) {
		r = check_frame(v, cs, shadow_lip(v, seg, rip), to64, &s->ssp);
		s->token += FRAME;
	}
	if (!r && s->set && !to64 && s->ssp >> 32)
		r = raise_gp(v, 0);
	/* at the same level only an event's own shadow stack has a token, and only IRET leaves it */
	s->clear = s->on && (!same || (iret && s->ssp != s->token));
	return r || !s->clear ? r : shadow_probe(v, v->cpl, s->token, 8);
}

int shadow_leave_commit(struct vcpu *v, const struct shadow_leave *s)
{
	bool done;

	if (s->set)
		v->ssp = s->ssp;
	if (!s->clear)
		return 0;
	return shadow_swap(v, s->cpl, s->token, s->token | SHADOW_BUSY, s->token, &done);
}

/* --- fast system calls --- */

void shadow_fast_enter(struct vcpu *v, unsigned cpl)
{
	if (cpl == 3 && shadow_on(v, 3))
		v->pl_ssp[3] = v->ssp;
	if (shadow_on(v, 0))
		v->ssp = 0;
}

void shadow_fast_leave(struct vcpu *v)
{
	if (shadow_on(v, 3))
		v->ssp = v->pl_ssp[3];
}
