/*
 * Exceptions and interrupts: raising, delivery through the IVT or IDT, double and triple faults.
 * SDM Vol. 3, "Interrupt and Exception Handling", "8086 Emulation" (interrupt handling and VME);
 * Vol. 2, Operation section of INT n.
 * Left out: alignment checks of the pushes, user interrupts.
 */
#include "cpu/cet.h"
#include "cpu/seg_internal.h"
#include "vmx/vmx.h"

#define DR7_GD BIT(13)

/* --- raising --- */

int raise_fault(struct vcpu *v, u8 vector)
{
	v->exc = (struct event){.valid = true, .vector = vector, .type = EVENT_HW_EXC};
	return EXEC_FAULT;
}

/* Real mode pushes no error codes. */
int raise_error(struct vcpu *v, u8 vector, u32 error)
{
	bool ext = v->event_ext && vector >= VEC_TS && vector <= VEC_GP;

	v->exc = (struct event){.valid = true,
				.vector = vector,
				.type = EVENT_HW_EXC,
				.has_error = v->cr0 & CR0_PE,
				.error = error | ext};
	return EXEC_FAULT;
}

int raise_sel(struct vcpu *v, u8 vector, u16 sel)
{
	return raise_error(v, vector, sel & 0xfffc);
}

int raise_pf(struct vcpu *v, u64 laddr, u32 error)
{
	raise_error(v, VEC_PF, error);
	v->exc.cr2 = laddr;
	return EXEC_FAULT;
}

int raise_db(struct vcpu *v, u64 dr6_bits)
{
	raise_fault(v, VEC_DB);
	v->exc.dr6 = dr6_bits;
	return EXEC_FAULT;
}

int raise_soft(struct vcpu *v, u8 vector, u8 type, u8 len)
{
	v->exc = (struct event){.valid = true, .vector = vector, .type = type, .len = len};
	return EXEC_FAULT;
}

int raise_unimplemented(struct vcpu *v, const char *what)
{
	LOG(v->log, unimplemented, "%s, rip %016llx", what, (unsigned long long)v->rip);
	return raise_ud(v);
}

bool flags_need_look(const struct vcpu *v, u64 before)
{
	u64 rose = v->rflags & ~before;

	if (!(rose & (RFLAGS_TF | RFLAGS_IF)))
		return false;
	return rose & RFLAGS_TF || v->intr_waiting || v->recheck || vmx_window_waiting(v);
}

/* --- kinds of events --- */

/* INT n, INT3, INTO: they name a vector, so gates check their right to; INT1 is not one of them. */
static bool is_soft(const struct event *e)
{
	return e->type == EVENT_SW_INT || e->type == EVENT_SW_EXC;
}

static bool is_exception(const struct event *e)
{
	return e->type == EVENT_HW_EXC || e->type == EVENT_SW_EXC || e->type == EVENT_PRIV_SW_EXC;
}

#define VECTORS(a) (1u << VEC_##a)

/* Fault-class exceptions push RF = 1, but for instruction breakpoints. */
static bool is_restarted(const struct event *e)
{
	const u32 faults = VECTORS(DE) | VECTORS(BR) | VECTORS(UD) | VECTORS(NM) | VECTORS(TS) |
			   VECTORS(NP) | VECTORS(SS) | VECTORS(GP) | VECTORS(PF) | VECTORS(MF) |
			   VECTORS(AC) | VECTORS(XM) | VECTORS(VE) | VECTORS(CP);

	if (e->type != EVENT_HW_EXC || e->vector > 31)
		return false;
	return faults >> e->vector & 1 || (e->vector == VEC_DB && e->dr6 & DR6_BD);
}

/* RF is only kept exact while a breakpoint could be held back by it. */
static u64 pushed_flags(const struct vcpu *v, const struct event *e)
{
	u64 f = flags_get(v);

	if (is_restarted(e))
		return f | RFLAGS_RF;
	return e->type >= EVENT_SW_INT || !v->watch ? f & ~RFLAGS_RF : f;
}

static u64 pushed_rip(const struct vcpu *v, const struct event *e)
{
	if (e->type < EVENT_SW_INT || e->type > EVENT_SW_EXC)
		return v->rip;
	return (v->rip + e->len) & v->lin_mask;
}

static int raise_idt(struct vcpu *v, u8 vector, const struct event *e)
{
	return raise_error(v, vector, e->vector * 8u + 2);
}

/* --- 8086-style delivery --- */

/* To the handler in the vector table at `table`, with 16-bit pushes on the current stack. */
static int deliver_ivt(struct vcpu *v, const struct event *e, u64 table, u64 flags, u64 clear)
{
	u64 frame[3] = {flags, v->seg[SEG_CS].sel, pushed_rip(v, e)}, entry;
	struct stack st;
	int r = sys_read(v, table + 4u * e->vector, 4, &entry);

	if (r)
		return r;
	stack_current(v, &st);
	r = stack_push_frame(v, &st, v->cpl, frame, 3, 2);
	if (r)
		return r;
	stack_commit(v, &st);
	v->rflags &= ~clear;
	v->rip = (u16)entry;
	seg_load_real(v, SEG_CS, (u16)(entry >> 16));
	return 0;
}

static int deliver_real(struct vcpu *v, const struct event *e)
{
	if (4u * e->vector + 3 > v->idtr.limit)
		return raise_gp(v, 0);
	return deliver_ivt(v, e, v->idtr.base, pushed_flags(v, e),
			   RFLAGS_IF | RFLAGS_TF | RFLAGS_RF | RFLAGS_AC);
}

int vme_redirected(struct vcpu *v, u8 vector, bool *redirected)
{
	const struct seg *tr = &v->seg[SEG_TR];
	u64 map, byte;
	int r;

	if (!(tr->ar & SYS_WIDE) || tr->limit < 0x67)
		return raise_gp(v, 0);
	r = sys_read(v, tr->base + 0x66, 2, &map);
	if (r)
		return r;
	map += vector / 8;
	if (map < 32 || map - 32 > tr->limit)
		return raise_gp(v, 0);
	r = sys_read(v, tr->base + map - 32, 1, &byte);
	*redirected = !(byte >> (vector & 7) & 1);
	return r;
}

/* INT n of an 8086 program to its own handler; VIF stands for IF below IOPL 3. */
static int deliver_vme(struct vcpu *v, const struct event *e)
{
	u64 flags = pushed_flags(v, e);
	bool virtual_if = iopl(v) < 3;

	if (virtual_if) {
		flags &= ~RFLAGS_IF;
		flags |= RFLAGS_IOPL | (v->rflags & RFLAGS_VIF ? RFLAGS_IF : 0);
	}
	return deliver_ivt(v, e, 0, flags, RFLAGS_TF | (virtual_if ? RFLAGS_VIF : RFLAGS_IF));
}

/* --- delivery through the IDT --- */

struct gate {
	u32 ar; /* type, S, DPL, P */
	u16 sel;
	u8 ist;
	u64 rip;
};

static int read_gate(struct vcpu *v, const struct event *e, struct gate *g)
{
	unsigned size = mode_long(v) ? 16 : 8;
	u64 low, high = 0, at = v->idtr.base + e->vector * size;
	const u8 *host = size == 16 ? sys_hit(v, at, 16) : NULL;
	int r;

	if (e->vector * size + size - 1 > v->idtr.limit)
		return raise_idt(v, VEC_GP, e);
	if (likely(host)) {
		low = load_le64(host);
		high = load_le64(host + 8);
	} else {
		r = sys_read(v, at, 8, &low);
		if (!r && size == 16)
			r = sys_read(v, at + 8, 8, &high);
		if (r)
			return r;
	}
	g->ar = (u32)bits(low, 47, 40);
	g->sel = (u16)bits(low, 31, 16);
	g->rip = bits(low, 15, 0);
	g->ist = 0;
	if (g->ar & SYS_WIDE)
		g->rip |= bits(low, 63, 48) << 16;
	if (size == 16) {
		g->rip |= high << 32;
		g->ist = (u8)bits(low, 34, 32);
	}
	return 0;
}

static int check_gate(struct vcpu *v, const struct event *e, const struct gate *g)
{
	u32 type = g->ar & (AR_S | AR_TYPE);
	bool wide = type == SYS_INT32 || type == SYS_TRAP32;
	bool narrow = type == SYS_INT16 || type == SYS_TRAP16 || type == SYS_TASK_GATE;

	if (!wide && (!narrow || mode_long(v)))
		return raise_idt(v, VEC_GP, e);
	if (is_soft(e) && (g->ar & AR_DPL) >> AR_DPL_SHIFT < v->cpl)
		return raise_idt(v, VEC_GP, e);
	return g->ar & AR_P ? 0 : raise_idt(v, VEC_NP, e);
}

/* The code segment of the handler, and the privilege level it runs at. */
static int gate_code(struct vcpu *v, const struct gate *g, struct desc *cs, unsigned *cpl)
{
	bool vm = v->mode == MODE_VM86;
	u32 dpl;
	int r;

	if (sel_is_null(g->sel))
		return raise_sel(v, VEC_GP, 0);
	r = desc_read(v, g->sel, VEC_GP, cs);
	if (r)
		return r;
	dpl = seg_dpl(&cs->seg);
	if (!ar_is_code(cs->seg.ar) || dpl > v->cpl ||
	    (mode_long(v) && (cs->seg.ar & (AR_L | AR_DB)) != AR_L))
		return raise_sel(v, VEC_GP, g->sel);
	if (!(cs->seg.ar & AR_P))
		return raise_sel(v, VEC_NP, g->sel);
	*cpl = ar_is_conforming(cs->seg.ar) ? v->cpl : dpl;
	if (vm && (ar_is_conforming(cs->seg.ar) || dpl != 0))
		return raise_sel(v, VEC_GP, g->sel);
	return 0;
}

static int gate_stack(struct vcpu *v, const struct gate *g, unsigned cpl, struct stack *st)
{
	int r = 0;

	if (cpl != v->cpl || g->ist) {
		r = stack_from_tss(v, cpl, g->ist, st);
		if (cpl == v->cpl)
			st->fresh = false; /* IST without a change of level: SS stays */
	} else {
		stack_current(v, st);
		if (mode_long(v)) { /* the handler's mode counts */
			st->wide = true;
			st->mask = ~0ull;
		}
	}
	if (mode_long(v))
		st->sp &= ~15ull;
	return r;
}

/* What the handler finds, first pushed first. */
static unsigned gate_frame(const struct vcpu *v, const struct event *e, bool with_stack, u64 *frame)
{
	unsigned n = 0;

	if (unlikely(v->mode == MODE_VM86)) {
		frame[n++] = v->seg[SEG_GS].sel;
		frame[n++] = v->seg[SEG_FS].sel;
		frame[n++] = v->seg[SEG_DS].sel;
		frame[n++] = v->seg[SEG_ES].sel;
	}
	if (with_stack) {
		frame[n++] = v->seg[SEG_SS].sel;
		frame[n++] = v->reg[RSP];
	}
	frame[n++] = pushed_flags(v, e);
	frame[n++] = v->seg[SEG_CS].sel;
	frame[n++] = pushed_rip(v, e);
	if (e->has_error)
		frame[n++] = e->error;
	return n;
}

static void gate_commit(struct vcpu *v, const struct gate *g, const struct desc *cs,
			const struct stack *st)
{
	static const u8 nulled[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	u64 clear = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;
	u8 mode = v->mode;
	bool full = v->rflags & (RFLAGS_TF | RFLAGS_VM);

	if (!(g->ar & 1))
		clear |= RFLAGS_IF;
	v->rflags &= ~clear;
	v->seg[SEG_CS] = cs->seg;
	v->seg[SEG_CS].sel = (u16)((g->sel & ~3u) | v->cpl);
	v->rip = g->rip;
	stack_commit(v, st);
	if (unlikely(mode == MODE_VM86))
		for (unsigned k = 0; k < ARRAY_SIZE(nulled); k++)
			seg_make_null(&v->seg[nulled[k]], 0, 0);
	code_loaded(v, mode, full, false);
	ibt_far(v);
}

/* The handler's shadow stack: that of the IST, of the inner level, or the current one. */
static int gate_shadow(struct vcpu *v, const struct event *e, const struct gate *g,
		       const struct desc *cs, struct shadow_enter *s)
{
	const struct seg *old = &v->seg[SEG_CS];
	u64 at = v->pl_ssp[s->cpl];
	int r = 0;

	s->cs = old->sel;
	s->lip = shadow_lip(v, old, pushed_rip(v, e));
	s->frame = s->cpl == v->cpl || v->cpl != 3;
	if (g->ist && *cet_controls(v, s->cpl) & CET_SH_STK_EN)
		r = sys_read(v, v->int_ssp_table + 8 * g->ist, 8, &at);
	return r ? r
		 : shadow_enter_check(v, s, s->cpl == v->cpl && !g->ist, at,
				      code_is_64(v, &cs->seg));
}

static int deliver_gate(struct vcpu *v, const struct event *e, const struct gate *g)
{
	unsigned cpl = 0, n, size = mode_long(v) ? 8 : g->ar & SYS_WIDE ? 4 : 2;
	struct shadow_enter shadow = {0};
	bool cet = v->cr4 & CR4_CET;
	struct desc cs;
	struct stack st;
	u64 frame[10];
	int r = gate_code(v, g, &cs, &cpl);

	if (!r)
		r = gate_stack(v, g, cpl, &st);
	if (!r)
		r = code_check_rip(v, &cs.seg, g->rip);
	if (!r)
		r = desc_set_accessed(v, &cs);
	if (!r && unlikely(cet)) {
		shadow.cpl = cpl;
		r = gate_shadow(v, e, g, &cs, &shadow);
	}
	if (r)
		return r;
	n = gate_frame(v, e, cpl != v->cpl || mode_long(v), frame);
	r = stack_push_frame(v, &st, cpl, frame, n, size);
	if (!r && unlikely(cet))
		r = shadow_enter_commit(v, &shadow);
	if (r)
		return r;
	gate_commit(v, g, &cs, &st);
	return 0;
}

static int deliver_task(struct vcpu *v, const struct event *e, const struct gate *g)
{
	struct task_source t = {.sel = g->sel,
				.source = TASK_GATE,
				.has_error = e->has_error,
				.error = e->error,
				.next_rip = pushed_rip(v, e),
				.flags = pushed_flags(v, e)};
	int r = task_switch_from(v, &t);

	return r == EXEC_JUMP ? 0 : r;
}

static int deliver_idt(struct vcpu *v, const struct event *e)
{
	struct gate g = {0};
	int r = read_gate(v, e, &g);

	if (!r)
		r = check_gate(v, e, &g);
	if (r)
		return r;
	return (g.ar & AR_TYPE) == SYS_TASK_GATE ? deliver_task(v, e, &g) : deliver_gate(v, e, &g);
}

int event_deliver_idt(struct vcpu *v, const struct event *e)
{
	bool redirected = false;
	int r = 0;

	v->event_ext = !is_soft(e);
	if (v->mode == MODE_REAL) {
		r = deliver_real(v, e);
	} else {
		if (v->mode == MODE_VM86 && e->type == EVENT_SW_INT && v->cr4 & CR4_VME)
			r = vme_redirected(v, e->vector, &redirected);
		if (!r)
			r = redirected ? deliver_vme(v, e) : deliver_idt(v, e);
	}
	v->event_ext = false;
	if (!r)
		v->shadow = SHADOW_NONE;
	return r;
}

/* --- all the way --- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class fault_class(const struct event *e)
{
	const u32 contributory =
		VECTORS(DE) | VECTORS(TS) | VECTORS(NP) | VECTORS(SS) | VECTORS(GP) | VECTORS(CP);

	if (e->type != EVENT_HW_EXC || e->vector > 31)
		return BENIGN;
	if (e->vector == VEC_PF || e->vector == VEC_VE)
		return PAGE_FAULT;
	if (e->vector == VEC_DF)
		return DOUBLE_FAULT;
	return contributory >> e->vector & 1 ? CONTRIBUTORY : BENIGN;
}

/* What comes of a fault (v->exc) met while *e was delivered; false: shutdown. */
static bool escalate(struct vcpu *v, struct event *e)
{
	enum fault_class first = fault_class(e), second = fault_class(&v->exc);

	if (first == DOUBLE_FAULT && second != BENIGN)
		return false;
	if (second == BENIGN || first == BENIGN ||
	    (first == CONTRIBUTORY && second == PAGE_FAULT)) {
		*e = v->exc;
		return true;
	}
	if (second == PAGE_FAULT)
		v->cr2 = v->exc.cr2;
	*e = (struct event){.valid = true,
			    .vector = VEC_DF,
			    .type = EVENT_HW_EXC,
			    .has_error = v->cr0 & CR0_PE};
	return true;
}

static void triple_fault(struct vcpu *v)
{
	LOG(v->log, int, "triple fault, rip %016llx", (unsigned long long)v->rip);
	if (v->vmx.non_root && vmx_triple_fault(v))
		return;
	v->activity = ACT_SHUTDOWN;
	v->stop_reason = STOP_TRIPLE_FAULT;
	v->recheck = true;
}

/* Registers that change before the handler's address is looked up. CR2 and DR6 of an injected event
 * are the hypervisor's business. */
static void before_delivery(struct vcpu *v, const struct event *e, bool injected)
{
	if (e->type == EVENT_NMI) {
		if (v->vmx.non_root)
			vmx_nmi_delivered(v);
		else
			v->nmi_blocked = true;
	}
	if (e->type != EVENT_HW_EXC && e->type != EVENT_PRIV_SW_EXC)
		return;
	if (e->vector == VEC_PF && !injected)
		v->cr2 = e->cr2;
	if (e->vector == VEC_DB) {
		if (!injected && e->dr6)
			v->dr6 = (v->dr6 & ~0xfull) | e->dr6;
		v->dr7 &= ~DR7_GD;
		v->debugctl &= ~(DEBUGCTL_LBR | DEBUGCTL_BTF);
	}
}

static void record_event(struct vcpu *v, const struct event *e)
{
	v->events[v->events_at++ % EVENT_RING] =
		(struct event_record){.icount = v->icount,
				      .rip = v->rip,
				      .cr2 = e->cr2,
				      .error = e->has_error ? e->error : 0,
				      .cs = v->seg[SEG_CS].sel,
				      .vector = e->vector,
				      .type = e->type,
				      .non_root = v->vmx.non_root};
}

static void log_event(struct vcpu *v, const struct event *e)
{
	LOG(v->log, int, "vector %02x type %u error %x cr2 %016llx cs:rip %04x:%016llx cpl %u",
	    e->vector, e->type, e->has_error ? e->error : 0, (unsigned long long)e->cr2,
	    v->seg[SEG_CS].sel, (unsigned long long)v->rip, v->cpl);
}

static bool exits(struct vcpu *v, const struct event *e)
{
	return v->vmx.non_root && is_exception(e) && vmx_intercept_exception(v, e);
}

/* A fault met in delivery exits by its own bit of the exception bitmap; only one that does not makes a
 * double or a triple fault. A #DF that exits, and a triple fault, do not count as exits during
 * delivery. Returns false when there is nothing more to deliver. */
static bool next_event(struct vcpu *v, struct event *e)
{
	if (exits(v, &v->exc))
		return false;
	if (!escalate(v, e)) {
		vmx_delivery_end(v);
		triple_fault(v);
		return false;
	}
	if (fault_class(e) != DOUBLE_FAULT)
		return true;
	vmx_delivery_end(v);
	return !exits(v, e);
}

static void deliver(struct vcpu *v, struct event e, bool injected)
{
	bool more = injected || !exits(v, &e);

	v->delivering = true;
	while (more) {
		record_event(v, &e);
		log_event(v, &e);
		before_delivery(v, &e, injected);
		injected = false;
		v->exc.valid = false;
		if (v->vmx.non_root)
			vmx_delivery_begin(v, &e);
		more = event_deliver_idt(v, &e) == EXEC_FAULT && next_event(v, &e);
	}
	vmx_delivery_end(v);
	v->delivering = false;
	v->exc.valid = false;
	if (unlikely(v->hit_dr6)) { /* data breakpoints on the pushes */
		v->pending_dbg |= v->hit_dr6;
		v->hit_dr6 = 0;
	}
}

/* Debug exceptions that MOV SS held back for this instruction: another one takes the breakpoints
 * along; else they are due at the handler's first instruction. The single step is lost. */
static void release_held(struct vcpu *v, struct event *e)
{
	v->pending_dbg &= ~DR6_BS;
	if (e->vector == VEC_DB && (e->type == EVENT_HW_EXC || e->type == EVENT_PRIV_SW_EXC)) {
		e->dr6 |= v->pending_dbg & ~PENDING_DBG_ENABLED;
		v->pending_dbg = 0;
	}
}

void event_deliver(struct vcpu *v, struct event e)
{
	if (unlikely(v->pending_dbg))
		release_held(v, &e);
	deliver(v, e, false);
}

void event_inject(struct vcpu *v)
{
	struct event e = v->inject;

	v->inject.valid = false;
	deliver(v, e, true);
}
