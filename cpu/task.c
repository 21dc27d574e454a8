/*
 * Hardware task switches through 16-bit and 32-bit TSSs. SDM Vol. 3, "Task Management"; the checks
 * before a VM exit: "Treatment of Task Switches".
 *
 * Up to the commit nothing changes and faults belong to the old task. Afterwards the new task runs:
 * what is wrong with its segments is a fault at its first instruction.
 */
#include "cpu/cet.h"
#include "cpu/seg_internal.h"
#include "vmx/vmx.h"

#define TSS_MAX 0x6c
#define TSS_SSP 0x68

/* Offsets of the fields that a switch saves and loads, in the two layouts. */
struct tss_layout {
	u8 size;  /* bytes of a register field */
	u8 bytes; /* least size of the segment */
	u8 ip, flags, gpr, segs, ldt;
	u8 nsegs; /* ES CS SS DS, and FS GS in the 32-bit form */
};

static const struct tss_layout layout16 = {2, 0x2c, 0x0e, 0x10, 0x12, 0x22, 0x2a, 4};
static const struct tss_layout layout32 = {4, 0x68, 0x20, 0x24, 0x28, 0x48, 0x60, 6};

static const struct tss_layout *layout_of(u32 ar)
{
	return ar & SYS_WIDE ? &layout32 : &layout16;
}

/* Everything that is known and checked before the commit. */
struct switching {
	const struct task_source *from;
	struct desc tss; /* of the new task */
	const struct tss_layout *old, *new;
	struct memref old_busy, new_busy, link;
	u64 old_busy_value, new_busy_value, link_value;
	bool shadow;	  /* the old task had a shadow stack */
	bool to_user;	  /* IRET to a level whose SSP is in IA32_PL3_SSP */
	u64 cs, lip, ssp; /* what the shadow stacks say is, or will be, returned to */
};

/* JMP and IRET leave the old task for good; CALL and gates nest. */
static bool nests(const struct task_source *t)
{
	return t->source == TASK_CALL || t->source == TASK_GATE;
}

static int check_new_tss(struct vcpu *v, struct switching *s)
{
	const struct task_source *t = s->from;
	u8 vector = t->source == TASK_IRET ? VEC_TS : VEC_GP;
	u32 want_busy = t->source == TASK_IRET ? SYS_BUSY : 0, ar;
	int r;

	if (t->sel & 4)
		return raise_sel(v, vector, t->sel);
	r = desc_read(v, t->sel, vector, &s->tss);
	if (r)
		return r;
	ar = s->tss.seg.ar;
	if (ar & AR_S || (ar & AR_TYPE & ~(SYS_WIDE | SYS_BUSY)) != SYS_TSS16 ||
	    (ar & SYS_BUSY) != want_busy)
		return raise_sel(v, vector, t->sel);
	if (!(ar & AR_P))
		return raise_sel(v, VEC_NP, t->sel);
	s->new = layout_of(ar);
	if (s->tss.seg.limit < s->new->bytes - 1u)
		return raise_sel(v, VEC_TS, t->sel);
	return 0;
}

static int busy_ref(struct vcpu *v, u64 laddr, struct memref *ref, u64 *value)
{
	return lin_rmw(v, (u32)(laddr + 5), 1, ACCESS_READ | ACCESS_WRITE | LIN_SUPER, ref, value);
}

/* All memory that the commit touches. The dynamic part of a TSS starts at its instruction
 * pointer. */
static int probe(struct vcpu *v, struct switching *s)
{
	const struct seg *tr = &v->seg[SEG_TR];
	u32 write = ACCESS_WRITE | LIN_SUPER, read = ACCESS_READ | LIN_SUPER;
	int r;

	s->old = layout_of(tr->ar);
	if (tr->ar & AR_UNUSABLE || tr->limit < s->old->bytes - 1u)
		return raise_sel(v, VEC_TS, tr->sel);
	r = lin_probe(v, (u32)(tr->base + s->old->ip), s->old->ldt - s->old->ip, write);
	if (!r)
		r = lin_probe(v, (u32)s->tss.seg.base, s->new->bytes, read);
	if (!r && nests(s->from))
		r = lin_rmw(v, (u32)s->tss.seg.base, 2, ACCESS_READ | write, &s->link,
			    &s->link_value);
	if (!r && !nests(s->from))
		r = busy_ref(v, v->gdtr.base + (tr->sel & 0xfff8), &s->old_busy,
			     &s->old_busy_value);
	if (!r && s->from->source != TASK_IRET)
		r = busy_ref(v, s->tss.laddr, &s->new_busy, &s->new_busy_value);
	return r;
}

/* Selector fields are written as 16 bits, so the rest of the image is read first. */
static int save_old(struct vcpu *v, const struct switching *s)
{
	const struct tss_layout *l = s->old;
	const struct task_source *t = s->from;
	u64 at = (u32)(v->seg[SEG_TR].base + l->ip);
	u64 flags = t->source == TASK_IRET ? t->flags & ~RFLAGS_NT : t->flags;
	unsigned n = l->ldt - l->ip;
	u8 buf[TSS_MAX];
	int r = sys_read_bytes(v, at, buf, n);

	if (r)
		return r;
	store_le(buf, t->next_rip, l->size);
	store_le(buf + l->flags - l->ip, flags, l->size);
	for (unsigned k = 0; k < 8; k++)
		store_le(buf + l->gpr - l->ip + k * l->size, v->reg[k], l->size);
	for (unsigned k = 0; k < l->nsegs; k++)
		store_le16(buf + l->segs - l->ip + k * l->size, v->seg[k].sel);
	return lin_write_bytes(v, at, buf, n, ACCESS_WRITE | LIN_SUPER);
}

static void commit_links(struct vcpu *v, const struct switching *s)
{
	if (nests(s->from))
		mem_rmw_write(v, &s->link, v->seg[SEG_TR].sel);
	else
		mem_rmw_write(v, &s->old_busy, s->old_busy_value & ~(u64)SYS_BUSY);
	if (s->from->source != TASK_IRET)
		mem_rmw_write(v, &s->new_busy, s->new_busy_value | SYS_BUSY);
}

/* --- the new task --- */

/* Registers of the new task. Segments are selectors only, unusable until load_segments. */
static void load_registers(struct vcpu *v, const struct switching *s, const u8 *image)
{
	const struct tss_layout *l = s->new;
	u64 flags = load_le(image + l->flags, l->size);

	if (nests(s->from))
		flags |= RFLAGS_NT;
	if (!v->watch)
		flags &= ~RFLAGS_RF;
	flags_set(v, (flags & 0x3f7fd7) | RFLAGS_FIXED);
	v->rip = load_le(image + l->ip, l->size);
	for (unsigned k = 0; k < 8; k++)
		v->reg[k] = load_le(image + l->gpr + k * l->size, l->size);
	for (unsigned k = SEG_ES; k <= SEG_GS; k++)
		seg_make_null(&v->seg[k],
			      k < l->nsegs ? load_le16(image + l->segs + k * l->size) : 0, 0);
	seg_make_null(&v->seg[SEG_LDTR], load_le16(image + l->ldt), 0);
	v->cpl = flags & RFLAGS_VM ? 3 : v->seg[SEG_CS].sel & 3;
	seg_make_null(&v->seg[SEG_SS], v->seg[SEG_SS].sel, v->cpl);
	v->seg[SEG_TR] = s->tss.seg;
	v->seg[SEG_TR].ar |= SYS_BUSY;
	v->cr0 |= CR0_TS;
	v->dr7 &= ~0x155ull; /* local breakpoints are the old task's */
	v->shadow = SHADOW_NONE;
}

static int load_ldt(struct vcpu *v)
{
	u16 sel = v->seg[SEG_LDTR].sel;
	struct desc d;
	int r;

	if (sel_is_null(sel))
		return 0;
	if (sel & 4)
		return raise_sel(v, VEC_TS, sel);
	r = desc_read(v, sel, VEC_TS, &d);
	if (r)
		return r;
	if ((d.seg.ar & (AR_S | AR_TYPE)) != SYS_LDT || !(d.seg.ar & AR_P))
		return raise_sel(v, VEC_TS, sel);
	v->seg[SEG_LDTR] = d.seg;
	return 0;
}

static int load_cs(struct vcpu *v)
{
	u16 sel = v->seg[SEG_CS].sel;
	u32 rpl = sel & 3u, dpl;
	struct desc d;
	int r;

	if (sel_is_null(sel))
		return raise_sel(v, VEC_TS, sel);
	r = desc_read(v, sel, VEC_TS, &d);
	if (r)
		return r;
	dpl = seg_dpl(&d.seg);
	if (!ar_is_code(d.seg.ar) || (ar_is_conforming(d.seg.ar) ? dpl > rpl : dpl != rpl))
		return raise_sel(v, VEC_TS, sel);
	if (!(d.seg.ar & AR_P))
		return raise_sel(v, VEC_NP, sel);
	r = desc_set_accessed(v, &d);
	if (!r)
		v->seg[SEG_CS] = d.seg;
	return r;
}

static int load_ss(struct vcpu *v)
{
	u16 sel = v->seg[SEG_SS].sel;
	struct desc d;
	int r;

	if (sel_is_null(sel))
		return raise_sel(v, VEC_TS, sel);
	r = desc_read_stack(v, sel, v->cpl, VEC_TS, &d);
	if (!r)
		r = desc_set_accessed(v, &d);
	if (!r)
		v->seg[SEG_SS] = d.seg;
	return r;
}

static int load_data(struct vcpu *v, unsigned seg)
{
	u16 sel = v->seg[seg].sel;
	struct desc d;
	u32 dpl;
	int r;

	if (sel_is_null(sel))
		return 0;
	r = desc_read(v, sel, VEC_TS, &d);
	if (r)
		return r;
	dpl = seg_dpl(&d.seg);
	if (!ar_is_readable(d.seg.ar) ||
	    (!ar_is_conforming(d.seg.ar) && (dpl < v->cpl || dpl < (sel & 3u))))
		return raise_sel(v, VEC_TS, sel);
	if (!(d.seg.ar & AR_P))
		return raise_sel(v, VEC_NP, sel);
	r = desc_set_accessed(v, &d);
	if (!r)
		v->seg[seg] = d.seg;
	return r;
}

static int load_segments(struct vcpu *v)
{
	static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	int r = load_ldt(v);

	if (r)
		return r;
	if (v->rflags & RFLAGS_VM) {
		for (unsigned k = SEG_ES; k <= SEG_GS; k++)
			seg_load_real(v, k, v->seg[k].sel);
		return 0;
	}
	r = load_cs(v);
	if (!r)
		r = load_ss(v);
	for (unsigned k = 0; !r && k < ARRAY_SIZE(data); k++)
		r = load_data(v, data[k]);
	return r;
}

/* --- shadow stacks --- */

/* The old task's, while it still runs. CALL, gates: what the new one's frame will hold, or SSP to
 * IA32_PL3_SSP. IRET: what its frame holds, and the token is no longer busy. */
static int shadow_old(struct vcpu *v, struct switching *s, const u8 *image)
{
	const struct tss_layout *l = s->new;
	unsigned cpl = image[l->segs + l->size] & 3u; /* of the new task: RPL of CS */
	u64 frame[3], at = v->ssp;
	bool done;
	int r = 0;

	s->shadow = shadow_on(v, v->cpl) && s->from->source != TASK_JMP;
	if (!s->shadow)
		return 0;
	s->to_user = v->cpl == 3 ? cpl < 3 : cpl == 3;
	if (nests(s->from)) {
		s->cs = v->seg[SEG_CS].sel;
		s->lip = shadow_lip(v, &v->seg[SEG_CS], s->from->next_rip);
		return 0;
	}
	if (at & 7)
		return raise_cp(v, CP_FAR_RET);
	s->to_user = cpl == 3 && v->cpl != 3;
	for (unsigned k = 0; !r && !s->to_user && k < 3; k++, at += 8)
		r = shadow_read(v, v->cpl, at, 8, &frame[k]);
	if (!r)
		r = shadow_swap(v, v->cpl, at, at | SHADOW_BUSY, at, &done);
	if (r)
		return r;
	if (!s->to_user) {
		s->ssp = frame[0];
		s->lip = frame[1];
		s->cs = frame[2];
	}
	return 0;
}

/* The new task's, whose registers are loaded. */
static int shadow_new(struct vcpu *v, const struct switching *s, const u8 *image)
{
	struct shadow_enter in = {.cpl = v->cpl, .cs = s->cs, .lip = s->lip};
	u64 at = load_le32(image + TSS_SSP);
	int r;

	if (s->from->source == TASK_IRET) {
		u64 ssp = s->to_user ? v->pl_ssp[3] : s->ssp;

		if (s->shadow && !s->to_user &&
		    (s->cs != v->seg[SEG_CS].sel ||
		     s->lip != shadow_lip(v, &v->seg[SEG_CS], v->rip)))
			return raise_cp(v, CP_FAR_RET);
		if (!s->shadow || !shadow_on(v, v->cpl))
			return 0;
		if (ssp & 3 || ssp >> 32)
			return raise_cp(v, CP_FAR_RET);
		v->ssp = ssp;
		return 0;
	}
	if (!shadow_on(v, v->cpl))
		return 0;
	if (s->new != &layout32 || s->tss.seg.limit < TSS_SSP + 3 || at & 7)
		return raise_sel(v, VEC_TS, v->seg[SEG_TR].sel);
	in.frame = s->shadow && !s->to_user;
	r = shadow_enter_check(v, &in, false, at, false);
	return r ? r : shadow_enter_commit(v, &in);
}

static int cet_new(struct vcpu *v, const struct switching *s, const u8 *image)
{
	u64 both = CET_ENDBR_EN | CET_SH_STK_EN;
	int r;

	/* virtual-8086 mode and CET do not go together */
	if (v->mode == MODE_VM86)
		return v->cet[CET_U] & both ? raise_sel(v, VEC_TS, v->seg[SEG_TR].sel) : 0;
	r = shadow_new(v, s, image);
	if (!r && s->from->source != TASK_IRET)
		ibt_far(v);
	return r;
}

/* What can fault in the new task before its first instruction. */
static int enter(struct vcpu *v, const struct switching *s, const u8 *image)
{
	const struct task_source *t = s->from;
	u64 cr3 = load_le32(image + 0x1c);
	int r = 0;

	vcpu_recompute(v);
	if (s->new == &layout32 && v->cr0 &CR0_PG)
		r = cr3_write(v, cr3);
	if (!r)
		r = load_segments(v);
	vcpu_recompute(v);
	if (!r && v->cr4 & CR4_CET)
		r = cet_new(v, s, image);
	if (!r && t->has_error)
		r = stack_push(v, s->new->size, t->error);
	return r ? r : code_check_rip(v, &v->seg[SEG_CS], v->rip);
}

/* A 32-bit TSS may have an SSP at its end. */
static unsigned image_bytes(const struct vcpu *v, const struct switching *s)
{
	bool ssp = v->cr4 & CR4_CET && s->new == &layout32 && s->tss.seg.limit >= TSS_SSP + 3;

	return ssp ? TSS_MAX : s->new->bytes;
}

int task_switch_from(struct vcpu *v, const struct task_source *t)
{
	struct switching s = {.from = t};
	u8 image[TSS_MAX] = {0};
	int r;

	if (mode_long(v))
		return raise_sel(v, VEC_GP, t->sel);
	r = check_new_tss(v, &s);
	if (!r && v->vmx.non_root)
		r = vmx_intercept_task_switch(v, t->sel, t->source,
					      (unsigned)(t->next_rip - v->rip));
	if (!r)
		r = probe(v, &s);
	if (!r)
		r = save_old(v, &s);
	if (!r)
		r = sys_read_bytes(v, s.tss.seg.base, image, image_bytes(v, &s));
	if (!r && v->cr4 & CR4_CET)
		r = shadow_old(v, &s, image);
	if (r)
		return r;
	if (s.shadow && nests(t) && s.to_user)
		v->pl_ssp[3] = v->ssp;
	commit_links(v, &s);
	load_registers(v, &s, image);
	r = enter(v, &s, image);
	if (r)
		return r;
	if (s.new == &layout32 && image[0x64] & 1)
		v->pending_dbg |= BIT(15); /* DR6.BT */
	v->recheck = true;
	return EXEC_JUMP;
}

int task_switch(struct vcpu *v, u16 sel, unsigned source, bool has_error, u32 error, u64 next_rip)
{
	struct task_source t = {.sel = sel,
				.source = (u8)source,
				.has_error = has_error,
				.error = error,
				.next_rip = next_rip,
				.flags = flags_get(v)};

	return task_switch_from(v, &t);
}
