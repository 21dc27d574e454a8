/*
 * Far transfers: JMP, CALL, RET and IRET in every mode. SDM Vol. 2, Operation sections of those
 * instructions; Vol. 3, "Privilege Level Checking When Transferring Program Control Between Code
 * Segments", "8086 Emulation".
 */
#include "cpu/cet.h"
#include "cpu/seg_internal.h"
#include "vmx/vmx.h"

/* Where a far JMP or CALL goes. */
struct target {
	struct desc cs;
	u64 rip;
	unsigned size; /* of the values that CALL pushes */
	unsigned cpl;  /* afterwards */
	unsigned params;
	bool gate, task;
	u16 tss;
};

static u64 trim(u64 value, unsigned size)
{
	return value & size_mask(size);
}

static void load_cs(struct vcpu *v, const struct desc *cs, unsigned cpl)
{
	v->seg[SEG_CS] = cs->seg;
	v->seg[SEG_CS].sel = (u16)((cs->seg.sel & ~3u) | cpl);
}

/* --- targets of JMP and CALL --- */

/* A code segment named by the instruction itself. */
static int target_code(struct vcpu *v, struct target *t)
{
	const struct seg *s = &t->cs.seg;
	u32 dpl = seg_dpl(s);
	bool ok =
		ar_is_conforming(s->ar) ? dpl <= v->cpl : (s->sel & 3u) <= v->cpl && dpl == v->cpl;

	if (!ok || code_is_bad_long(v, s))
		return raise_sel(v, VEC_GP, s->sel);
	return s->ar & AR_P ? 0 : raise_sel(v, VEC_NP, s->sel);
}

/* The code segment behind a call gate; CALL may go inwards. */
static int target_gate_code(struct vcpu *v, struct target *t, u16 sel, bool call)
{
	const struct seg *s = &t->cs.seg;
	u32 dpl;
	bool same;
	int r;

	if (sel_is_null(sel))
		return raise_sel(v, VEC_GP, 0);
	r = desc_read(v, sel, VEC_GP, &t->cs);
	if (r)
		return r;
	dpl = seg_dpl(s);
	same = ar_is_conforming(s->ar) || dpl == v->cpl;
	if (!ar_is_code(s->ar) || dpl > v->cpl || (!call && !same) ||
	    (mode_long(v) && (s->ar & (AR_L | AR_DB)) != AR_L))
		return raise_sel(v, VEC_GP, sel);
	if (!(s->ar & AR_P))
		return raise_sel(v, VEC_NP, sel);
	t->cpl = same ? v->cpl : dpl;
	return 0;
}

static int target_call_gate(struct vcpu *v, struct target *t, u16 sel, bool call)
{
	u64 raw = t->cs.raw, high = 0;
	u8 type = t->cs.seg.ar & AR_TYPE;
	int r;

	t->gate = true;
	t->size = mode_long(v) ? 8 : type == SYS_CALL32 ? 4 : 2;
	t->params = mode_long(v) ? 0 : bits(raw, 36, 32);
	t->rip = bits(raw, 15, 0);
	if (type == SYS_CALL32)
		t->rip |= bits(raw, 63, 48) << 16;
	if (mode_long(v)) {
		r = desc_read_high(v, sel, VEC_GP, &t->cs, &high);
		if (r)
			return r;
		if (bits(high, 44, 40))
			return raise_sel(v, VEC_GP, sel);
		t->rip |= high << 32;
	}
	return target_gate_code(v, t, (u16)bits(raw, 31, 16), call);
}

/* Call gates, task gates and TSSs: DPL >= CPL and RPL, then present. */
static int target_system(struct vcpu *v, struct target *t, u16 sel, bool call)
{
	u8 type = t->cs.seg.ar & AR_TYPE;
	bool gate = type == SYS_CALL32 || (type == SYS_CALL16 && !mode_long(v));
	bool task =
		!mode_long(v) && (type == SYS_TASK_GATE || type == SYS_TSS16 || type == SYS_TSS32);
	u32 dpl = seg_dpl(&t->cs.seg);

	if (!gate && !task)
		return raise_sel(v, VEC_GP, sel);
	if (dpl < v->cpl || dpl < (sel & 3u))
		return raise_sel(v, VEC_GP, sel);
	if (!(t->cs.seg.ar & AR_P))
		return raise_sel(v, VEC_NP, sel);
	if (gate)
		return target_call_gate(v, t, sel, call);
	t->task = true;
	t->tss = type == SYS_TASK_GATE ? (u16)bits(t->cs.raw, 31, 16) : sel;
	return 0;
}

static int find_target(struct vcpu *v, u16 sel, u64 off, unsigned opsize, bool call,
		       struct target *t)
{
	int r;

	*t = (struct target){.rip = trim(off, opsize), .size = opsize, .cpl = v->cpl};
	if (sel_is_null(sel))
		return raise_sel(v, VEC_GP, 0);
	r = desc_read(v, sel, VEC_GP, &t->cs);
	if (r)
		return r;
	if (ar_is_code(t->cs.seg.ar))
		r = target_code(v, t);
	else if (t->cs.seg.ar & AR_S)
		r = raise_sel(v, VEC_GP, sel);
	else
		r = target_system(v, t, sel, call);
	if (r || t->task)
		return r;
	return code_check_rip(v, &t->cs.seg, t->rip);
}

static int jump_real(struct vcpu *v, u16 sel, u64 rip)
{
	if (rip > v->seg[SEG_CS].limit)
		return raise_gp(v, 0);
	v->rip = rip;
	seg_load_real(v, SEG_CS, sel);
	return EXEC_JUMP;
}

int far_jump_from(struct vcpu *v, u16 sel, u64 off, unsigned opsize, u64 next_rip)
{
	u8 mode = v->mode;
	struct target t;
	int r;

	if (!mode_protected(v))
		return jump_real(v, sel, trim(off, opsize));
	r = find_target(v, sel, off, opsize, false, &t);
	if (r)
		return r;
	if (t.task)
		return task_switch(v, t.tss, TASK_JMP, false, 0, next_rip);
	if (shadow_on(v, v->cpl) && !code_is_64(v, &t.cs.seg) && v->ssp >> 32)
		return raise_gp(v, 0);
	r = desc_set_accessed(v, &t.cs);
	if (r)
		return r;
	load_cs(v, &t.cs, v->cpl);
	v->rip = t.rip;
	code_loaded(v, mode, false, false);
	ibt_far(v);
	return EXEC_JUMP;
}

/* --- CALL --- */

static int call_real(struct vcpu *v, u16 sel, u64 rip, unsigned opsize, u64 next_rip)
{
	u64 frame[2] = {v->seg[SEG_CS].sel, next_rip};
	struct stack st;
	int r;

	if (rip > v->seg[SEG_CS].limit)
		return raise_gp(v, 0);
	stack_current(v, &st);
	r = stack_push_frame(v, &st, v->cpl, frame, 2, opsize);
	if (r)
		return r;
	stack_commit(v, &st);
	v->rip = rip;
	seg_load_real(v, SEG_CS, sel);
	return EXEC_JUMP;
}

/* SS, RSP, the parameters of the old stack, CS, RIP. */
static int inner_frame(struct vcpu *v, const struct target *t, u64 next_rip, u64 *frame,
		       unsigned *n)
{
	u64 mask = stack_mask(v), sp = v->reg[RSP];

	frame[0] = v->seg[SEG_SS].sel;
	frame[1] = sp;
	for (unsigned k = 0; k < t->params; k++) {
		u64 at = (sp + (u64)(t->params - 1 - k) * t->size) & mask;
		int r = mem_read(v, SEG_SS, at, t->size, &frame[2 + k]);

		if (r)
			return r;
	}
	*n = t->params + 4;
	frame[*n - 2] = v->seg[SEG_CS].sel;
	frame[*n - 1] = next_rip;
	return 0;
}

static int call_stack(struct vcpu *v, const struct target *t, u64 next_rip, struct stack *st,
		      u64 *frame, unsigned *n)
{
	if (t->cpl != v->cpl) {
		int r = stack_from_tss(v, t->cpl, 0, st);

		return r ? r : inner_frame(v, t, next_rip, frame, n);
	}
	stack_current(v, st);
	if (t->gate && mode_long(v)) { /* the pushes are 64-bit mode's, whoever calls */
		st->wide = true;
		st->mask = ~0ull;
	}
	frame[0] = v->seg[SEG_CS].sel;
	frame[1] = next_rip;
	*n = 2;
	return 0;
}

static int call_shadow(struct vcpu *v, const struct target *t, u64 next_rip, struct shadow_enter *s)
{
	const struct seg *cs = &v->seg[SEG_CS];
	bool same = t->cpl == v->cpl;

	*s = (struct shadow_enter){.cs = cs->sel,
				   .lip = shadow_lip(v, cs, next_rip),
				   .cpl = t->cpl,
				   .frame = same || v->cpl != 3};
	return shadow_enter_check(v, s, same, v->pl_ssp[t->cpl], code_is_64(v, &t->cs.seg));
}

int far_call(struct vcpu *v, u16 sel, u64 off, unsigned opsize, u64 next_rip)
{
	bool cet = v->cr4 & CR4_CET;
	u64 frame[4 + 31];
	struct shadow_enter shadow;
	struct target t;
	struct stack st;
	u8 mode = v->mode;
	unsigned n;
	int r;

	if (!mode_protected(v))
		return call_real(v, sel, trim(off, opsize), opsize, next_rip);
	r = find_target(v, sel, off, opsize, true, &t);
	if (r)
		return r;
	if (t.task)
		return task_switch(v, t.tss, TASK_CALL, false, 0, next_rip);
	r = call_stack(v, &t, next_rip, &st, frame, &n);
	if (!r)
		r = desc_set_accessed(v, &t.cs);
	if (!r && cet)
		r = call_shadow(v, &t, next_rip, &shadow);
	if (!r)
		r = stack_push_frame(v, &st, t.cpl, frame, n, t.size);
	if (!r && cet)
		r = shadow_enter_commit(v, &shadow);
	if (r)
		return r;
	load_cs(v, &t.cs, t.cpl);
	stack_commit(v, &st);
	v->rip = t.rip;
	code_loaded(v, mode, false, false);
	ibt_far(v);
	return EXEC_JUMP;
}

/* --- what RET and IRET have in common --- */

/* The return state as it comes off the stack. */
struct ret {
	struct desc cs, ss;
	u64 rip, rsp, flags;
	u16 cs_sel, ss_sel;
	bool load_ss;
	struct shadow_leave shadow;
};

static int pop_at(struct vcpu *v, u64 *at, unsigned size, u64 *value)
{
	int r = mem_read(v, SEG_SS, *at & stack_mask(v), size, value);

	*at += size;
	return r;
}

static int pop_sel(struct vcpu *v, u64 *at, unsigned size, u16 *sel)
{
	u64 value = 0;
	int r = pop_at(v, at, size, &value);

	*sel = (u16)value;
	return r;
}

static int return_cs(struct vcpu *v, struct ret *t)
{
	const struct seg *s = &t->cs.seg;
	u32 rpl = t->cs_sel & 3u, dpl;
	int r;

	if (sel_is_null(t->cs_sel))
		return raise_gp(v, 0);
	r = desc_read(v, t->cs_sel, VEC_GP, &t->cs);
	if (r)
		return r;
	dpl = seg_dpl(s);
	if (!ar_is_code(s->ar) || rpl < v->cpl || code_is_bad_long(v, s) ||
	    (ar_is_conforming(s->ar) ? dpl > rpl : dpl != rpl))
		return raise_sel(v, VEC_GP, t->cs_sel);
	return s->ar & AR_P ? 0 : raise_sel(v, VEC_NP, t->cs_sel);
}

static int return_ss(struct vcpu *v, struct ret *t)
{
	u32 rpl = t->cs_sel & 3u;
	int r;

	if (sel_is_null(t->ss_sel)) {
		if (!code_is_64(v, &t->cs.seg) || rpl == 3)
			return raise_gp(v, 0);
		t->ss.seg = v->seg[SEG_SS];
		seg_make_null(&t->ss.seg, t->ss_sel, rpl);
		return 0;
	}
	r = desc_read_stack(v, t->ss_sel, rpl, VEC_GP, &t->ss);
	return r ? r : desc_set_accessed(v, &t->ss);
}

/* Last checks, and CS, SS, CPL, RIP. The caller has set the flags and sets RSP. */
static int return_checks(struct vcpu *v, struct ret *t, bool iret)
{
	int r = t->load_ss ? return_ss(v, t) : 0;

	if (!r)
		r = code_check_rip(v, &t->cs.seg, t->rip);
	if (!r)
		r = desc_set_accessed(v, &t->cs);
	if (r || likely(!(v->cr4 & CR4_CET)))
		return r;
	r = shadow_leave_check(v, &t->shadow, t->cs_sel, &t->cs.seg, t->rip, iret);
	return r ? r : shadow_leave_commit(v, &t->shadow);
}

static void return_commit(struct vcpu *v, const struct ret *t, u64 old_flags)
{
	u64 changed = old_flags ^ v->rflags;
	u8 mode = v->mode, cpl = v->cpl;

	v->cpl = t->cs_sel & 3;
	v->seg[SEG_CS] = t->cs.seg;
	if (t->load_ss)
		v->seg[SEG_SS] = t->ss.seg;
	v->rip = t->rip;
	code_loaded(v, mode, changed & (RFLAGS_TF | RFLAGS_VM),
		    cpl != v->cpl || changed & RFLAGS_AC);
	if (t->load_ss)
		rsp_set(v, t->rsp);
	else
		v->reg[RSP] = t->rsp;
	if (cpl != v->cpl)
		seg_drop_privileged(v);
}

/* RSP after `at` bytes of the current stack were popped, CPL and SS unchanged. */
static u64 popped_rsp(const struct vcpu *v, u64 at)
{
	u64 mask = stack_mask(v);

	return mask == 0xffff ? (v->reg[RSP] & ~mask) | (at & mask) : at & mask;
}

/* --- RET --- */

static int return_real(struct vcpu *v, unsigned opsize, u16 pop)
{
	u64 at = v->reg[RSP], rip;
	u16 cs;
	int r = pop_at(v, &at, opsize, &rip);

	if (!r)
		r = pop_sel(v, &at, opsize, &cs);
	if (!r && rip > v->seg[SEG_CS].limit)
		r = raise_gp(v, 0);
	if (r)
		return r;
	rsp_set(v, at + pop);
	v->rip = rip;
	seg_load_real(v, SEG_CS, cs);
	return EXEC_JUMP;
}

int far_return(struct vcpu *v, unsigned opsize, u16 pop)
{
	struct ret t = {0};
	u64 at = v->reg[RSP];
	int r;

	if (!mode_protected(v))
		return return_real(v, opsize, pop);
	r = pop_at(v, &at, opsize, &t.rip);
	if (!r)
		r = pop_sel(v, &at, opsize, &t.cs_sel);
	if (!r)
		r = return_cs(v, &t);
	if (r)
		return r;
	at += pop;
	t.load_ss = (t.cs_sel & 3u) > v->cpl;
	if (t.load_ss) {
		r = pop_at(v, &at, opsize, &t.rsp);
		if (!r)
			r = pop_sel(v, &at, opsize, &t.ss_sel);
		t.rsp += pop;
	} else {
		t.rsp = popped_rsp(v, at);
	}
	if (!r)
		r = return_checks(v, &t, false);
	if (r)
		return r;
	return_commit(v, &t, v->rflags);
	return EXEC_JUMP;
}

/* --- IRET --- */

/* Stores the flags of `mask`, the arithmetic ones always among them, out of `image`. */
static void flags_load(struct vcpu *v, u64 image, u64 mask)
{
	mask &= ~RFLAGS_ARITH;
	v->rflags = (v->rflags & ~mask) | (image & mask);
	flags_set_arith(v, image);
}

#define FLAGS_LOW (RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT)

/* RF is left out while there is no breakpoint to hold back: see pushed_flags. */
static u64 flags_high(const struct vcpu *v)
{
	return RFLAGS_AC | RFLAGS_ID | (v->watch ? RFLAGS_RF : 0);
}

/* Real mode, and virtual-8086 mode with IOPL 3 or the VME extensions. */
static int iret_real(struct vcpu *v, unsigned opsize)
{
	u64 at = v->reg[RSP], rip, image, old = v->rflags;
	u64 mask = FLAGS_LOW | RFLAGS_IF | (opsize == 2 ? 0 : flags_high(v));
	bool vme = v->mode == MODE_VM86 && iopl(v) < 3;
	u16 cs;
	int r;

	if (vme && (opsize != 2 || !(v->cr4 & CR4_VME)))
		return raise_gp(v, 0);
	r = pop_at(v, &at, opsize, &rip);
	if (!r)
		r = pop_sel(v, &at, opsize, &cs);
	if (!r)
		r = pop_at(v, &at, opsize, &image);
	if (r)
		return r;
	if (rip > v->seg[SEG_CS].limit)
		return raise_gp(v, 0);
	if (v->mode == MODE_REAL)
		mask |= RFLAGS_IOPL;
	if (vme) {
		if (image & RFLAGS_TF || (image & RFLAGS_IF && v->rflags & RFLAGS_VIP))
			return raise_gp(v, 0);
		mask = (mask & ~RFLAGS_IF) | RFLAGS_VIF;
		image = (image & ~RFLAGS_VIF) | (image & RFLAGS_IF ? RFLAGS_VIF : 0);
	}
	rsp_set(v, at);
	flags_load(v, image, mask);
	v->rip = rip;
	seg_load_real(v, SEG_CS, cs);
	if (flags_need_look(v, old))
		v->recheck = true;
	return EXEC_JUMP;
}

/* NT is set: back to the task that the link field names. */
static int iret_task(struct vcpu *v, u64 next_rip)
{
	u64 link;
	int r = sys_read(v, v->seg[SEG_TR].base, 2, &link);

	return r ? r : task_switch(v, (u16)link, TASK_IRET, false, 0, next_rip);
}

/* Only the token of the supervisor's shadow stack is left behind. */
static int vm86_shadow(struct vcpu *v)
{
	bool done;

	if (v->ssp & 7)
		return raise_cp(v, CP_FAR_RET);
	return shadow_swap(v, v->cpl, v->ssp, v->ssp | SHADOW_BUSY, v->ssp, &done);
}

static int iret_to_vm86(struct vcpu *v, u64 at, const struct ret *t)
{
	static const u8 order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	u16 sel[ARRAY_SIZE(order)];
	u64 rsp;
	int r = pop_at(v, &at, 4, &rsp);

	for (unsigned k = 0; !r && k < ARRAY_SIZE(order); k++)
		r = pop_sel(v, &at, 4, &sel[k]);
	if (r)
		return r;
	if (t->rip > 0xffff || endbranch_on(v, 3) || shadow_on(v, 3))
		return raise_gp(v, 0);
	if (shadow_on(v, v->cpl)) {
		r = vm86_shadow(v);
		if (r)
			return r;
	}
	flags_load(v, t->flags,
		   FLAGS_LOW | flags_high(v) | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VM | RFLAGS_VIF |
			   RFLAGS_VIP);
	v->cpl = 3;
	v->rip = t->rip;
	v->reg[RSP] = (u32)rsp;
	for (unsigned k = 0; k < ARRAY_SIZE(order); k++)
		seg_load_real(v, order[k], sel[k]);
	seg_load_real(v, SEG_CS, t->cs_sel);
	v->recheck = true;
	return EXEC_JUMP;
}

static u64 iret_flags_mask(const struct vcpu *v, unsigned opsize)
{
	u64 mask = FLAGS_LOW | (opsize == 2 ? 0 : flags_high(v));

	if (v->cpl <= iopl(v))
		mask |= RFLAGS_IF;
	if (v->cpl == 0)
		mask |= RFLAGS_IOPL | (opsize == 2 ? 0 : RFLAGS_VIF | RFLAGS_VIP);
	return mask;
}

/* RIP, CS and flags; 64-bit mode goes on with RSP and SS at once. */
static int iret_pop(struct vcpu *v, unsigned opsize, u64 *at, struct ret *t)
{
	bool quick = opsize == 8 && stack_quick(v);
	const u8 *host = quick ? tlb_hit(v->table->ld, *at, 40) : NULL;
	int r;

	if (likely(host)) {
		t->rip = load_le64(host);
		t->cs_sel = load_le16(host + 8);
		t->flags = load_le64(host + 16);
		t->rsp = load_le64(host + 24);
		t->ss_sel = load_le16(host + 32);
		return 0;
	}
	r = pop_at(v, at, opsize, &t->rip);
	if (!r)
		r = pop_sel(v, at, opsize, &t->cs_sel);
	if (!r)
		r = pop_at(v, at, opsize, &t->flags);
	if (r || v->mode != MODE_64)
		return r;
	r = pop_at(v, at, opsize, &t->rsp);
	return r ? r : pop_sel(v, at, opsize, &t->ss_sel);
}

/* An outer privilege level brings its stack along. */
static int iret_stack(struct vcpu *v, unsigned opsize, u64 *at, struct ret *t)
{
	int r = 0;

	t->load_ss = v->mode == MODE_64 || (t->cs_sel & 3u) > v->cpl;
	if (v->mode == MODE_64)
		return 0;
	if (t->load_ss) {
		r = pop_at(v, at, opsize, &t->rsp);
		if (!r)
			r = pop_sel(v, at, opsize, &t->ss_sel);
	} else {
		t->rsp = popped_rsp(v, *at);
	}
	return r;
}

static int iret_protected(struct vcpu *v, unsigned opsize)
{
	u64 at = v->reg[RSP], old = v->rflags, mask;
	struct ret t = {0};
	int r = iret_pop(v, opsize, &at, &t);

	if (r)
		return r;
	if (t.flags & RFLAGS_VM && v->cpl == 0 && opsize == 4 && !mode_long(v))
		return iret_to_vm86(v, at, &t);
	r = return_cs(v, &t);
	if (!r)
		r = iret_stack(v, opsize, &at, &t);
	if (!r)
		r = return_checks(v, &t, true);
	if (r)
		return r;
	mask = iret_flags_mask(v, opsize);
	flags_load(v, t.flags, mask);
	return_commit(v, &t, old);
	if (flags_need_look(v, old))
		v->recheck = true;
	return EXEC_JUMP;
}

int iret_from(struct vcpu *v, unsigned opsize, u64 next_rip)
{
	/* NMIs are let in even if the rest of the instruction faults */
	if (unlikely(v->vmx.non_root)) {
		vmx_iret(v);
	} else if (unlikely(v->nmi_blocked)) {
		v->nmi_blocked = false;
		v->recheck = true;
	}
	if (unlikely(!mode_protected(v)))
		return iret_real(v, opsize);
	if (unlikely(v->rflags & RFLAGS_NT))
		return mode_long(v) ? raise_gp(v, 0) : iret_task(v, next_rip);
	return iret_protected(v, opsize);
}
