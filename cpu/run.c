/*
 * The run loop: events, block lookup, the handlers, and what they leave for. Also the generic
 * handlers, which run any row's exec function, and the slow paths of the fast ones.
 */
#include "cpu/run.h"
#include "cpu/cet.h"
#include "cpu/check.h"
#include "cpu/decode.h"
#include "cpu/fast.h"
#include "cpu/insn_protos.h"
#include "cpu/mem.h"
#include "vmx/vmx.h"

/* --- leaving the handlers --- */

#define LEAVE(code)                                                                                \
	do {                                                                                       \
		(void)tlb;                                                                         \
		c->leave_code = (code);                                                            \
		c->budget = (u64)budget;                                                           \
		c->next_op = NULL;                                                                 \
		return;                                                                            \
	} while (0)

HANDLER(op_leave_lookup)
{
	(void)o;
	LEAVE(LEAVE_LOOKUP);
}

/* o is the first op of a block whose instructions were already charged. */
HANDLER(op_no_budget)
{
	const struct block *b =
		(const struct block *)(void *)((u8 *)o - offsetof(struct block, op));

	c->rip = (c->ripbase + o->pgoff) & c->lin_mask;
	budget += b->n;
	LEAVE(LEAVE_BUDGET);
}

HANDLER(op_stale)
{
	const struct block *b =
		(const struct block *)(void *)((u8 *)o - offsetof(struct block, op));

	c->rip = (c->ripbase + o->pgoff) & c->lin_mask;
	budget += b->n;
	LEAVE(LEAVE_LOOKUP);
}

HANDLER(op_step)
{
	c->rip = (c->ripbase + o->pgoff) & c->lin_mask;
	LEAVE(LEAVE_STEP);
}

/* --- generic instructions --- */

/* INT n and INT1 end as an event to deliver, and are done all the same. */
static bool is_software_event(const struct vcpu *v)
{
	return v->exc.type >= EVENT_SW_INT;
}

static ATTR_NOINLINE int exec_looked_at(struct vcpu *c, const struct insn *i)
{
	int r = insn_check(c, i);

	if (!r)
		r = i->exec(c, i);
	if (c->pmu.count_branches && i->attr & A_FLOW &&
	    (r <= EXEC_LEAVE || (r == EXEC_FAULT && is_software_event(c))))
		pmu_branch(c);
	return r;
}

static inline int exec_checked(struct vcpu *c, const struct insn *i)
{
	if (unlikely(i->attr & c->attr_trap))
		return exec_looked_at(c, i);
	return i->exec(c, i);
}

/* Everything but plain EXEC_NEXT of a non-ending instruction. The rest of the block is refunded. */
static void finish(struct vcpu *c, const struct insn *i, int r)
{
	c->budget += i->left;
	if (r == EXEC_NEXT || r == EXEC_LEAVE || r == EXEC_STOP)
		c->rip = (c->rip + i->len) & c->lin_mask;
	c->exec_code = (u8)r;
	c->leave_code = LEAVE_EVENT;
	c->next_op = NULL;
}

HANDLER(op_generic)
{
	const struct insn *i = (const struct insn *)(const void *)(o + 1);
	int r;

	c->rip = c->ripbase + o->pgoff;
	c->budget = (u64)budget;
	c->cur_left = i->left;
	r = exec_checked(c, i);
	if (unlikely(r || c->recheck)) {
		if (r != EXEC_JUMP || c->recheck || !(c->mode_key & KEY_FLAT)) {
			finish(c, i, r);
			return;
		}
		tlb = c->table;
		budget = (s64)c->budget + i->left;
		DISPATCH_FN(op_lookup_jump, o);
	}
	tlb = c->table;
	budget = (s64)c->budget;
	DISPATCH(o + 3);
}

/* The last instruction of a block: goes on by lookup if nothing else is due. */
HANDLER(op_generic_end)
{
	const struct insn *i = (const struct insn *)(const void *)(o + 1);
	int r;

	c->rip = c->ripbase + o->pgoff;
	c->budget = (u64)budget;
	c->cur_left = i->left;
	r = exec_checked(c, i);
	if (unlikely(r > EXEC_JUMP || c->recheck || !(c->mode_key & KEY_FLAT))) {
		finish(c, i, r);
		return;
	}
	if (r == EXEC_NEXT)
		c->rip = (c->rip + i->len) & c->lin_mask;
	tlb = c->table;
	budget = (s64)c->budget;
	DISPATCH_FN(op_lookup_jump, o);
}

/* --- slow paths of fast handlers --- */

/* Decodes the instruction at rip; 0, EXEC_FAULT or EXEC_VMEXIT. Its bytes may lie in two pages. */
static int fetch_insn(struct vcpu *v, struct insn *i)
{
	u64 laddr = (v->mode == MODE_64 ? v->rip : v->seg[SEG_CS].base + v->rip) & v->lin_mask;
	unsigned bits = (v->mode_key & KEY_BITS) == KEY_BITS64 ? 64
			: (v->mode_key & KEY_BITS)	       ? 32
							       : 16;
	unsigned room = (unsigned)(PAGE_SIZE - (laddr & ~PAGE_MASK)), n;
	enum decode_status st;
	u8 buf[2 * INSN_MAX_LEN];
	const u8 *p;
	u64 paddr;
	int r;

	if (v->mode != MODE_64 && v->rip > v->seg[SEG_CS].limit)
		return raise_gp(v, 0);
	if (v->mode == MODE_64 && !is_canonical(v->rip, v->width_laddr))
		return raise_gp(v, 0);
	r = mem_fetch_page(v, laddr, &paddr);
	if (r)
		return r;
	n = room < INSN_MAX_LEN ? room : INSN_MAX_LEN;
	p = physmem_read_ptr(v->mem, paddr);
	if (!p) {
		for (unsigned k = 0; k < n; k++)
			buf[k] = (u8)bus_read(v->mmio, paddr + k, 1);
		p = buf;
	}
	st = decode(v->decoder, bits, p, n, i);
	if (st == DECODE_SHORT) {
		memmove(buf, p, n);
		r = mem_fetch_page(v, (laddr + n) & v->lin_mask, &paddr);
		if (r)
			return r;
		p = physmem_read_ptr(v->mem, paddr);
		for (unsigned k = 0; k < INSN_MAX_LEN; k++)
			buf[n + k] = p ? p[k] : (u8)bus_read(v->mmio, paddr + k, 1);
		st = decode(v->decoder, bits, buf, n + INSN_MAX_LEN, i);
	}
	if (v->mode != MODE_64 && v->rip + i->len - 1 > v->seg[SEG_CS].limit)
		return raise_gp(v, 0);
	if (st == DECODE_LONG)
		return raise_gp(v, 0);
	return st == DECODE_OK ? 0 : raise_ud(v);
}

static void log_insn(struct vcpu *v, const struct insn *i);

static int exec_fetched(struct vcpu *v, const struct insn *i)
{
	int r = exec_checked(v, i);

	if (r == EXEC_NEXT || r == EXEC_LEAVE || r == EXEC_STOP)
		v->rip = (v->rip + i->len) & v->lin_mask;
	return r;
}

/* Decodes the instruction at rip and runs it by its exec function. */
static int fetch_exec(struct vcpu *v, struct insn *i)
{
	int r = fetch_insn(v, i);

	if (r)
		return r;
	if (log_on(v->log, LOG_insn))
		log_insn(v, i);
	return exec_fetched(v, i);
}

/* The instruction at rip, which is o's. Where its decoded form is kept depends on rip only. */
static ATTR_NOINLINE int exec_one(struct vcpu *v, const struct op *o)
{
	struct slow_insn *s = &v->slow[(v->rip ^ v->rip >> 6) % SLOW_INSNS];
	int r = 0;

	if (s->op != o || s->epoch != blocks_epoch(v->blocks)) {
		s->op = NULL;
		r = fetch_insn(v, &s->insn);
		if (r)
			return r;
		s->op = o;
		s->epoch = blocks_epoch(v->blocks);
	}
	return exec_fetched(v, &s->insn);
}

/* The generic form of a fast instruction. Goes on behind it if that is its block's next op. */
HANDLER(op_slow_exec)
{
	int r;

	c->rip = c->ripbase + o->pgoff;
	c->budget = (u64)budget;
	c->cur_left = o->left;
	r = exec_one(c, o);
	if (r == EXEC_NEXT && !c->recheck && c->rip == ((c->ripbase + o[1].pgoff) & c->lin_mask)) {
		tlb = c->table;
		budget = (s64)c->budget;
		DISPATCH(o + 1);
	}
	c->budget += o->left;
	c->exec_code = (u8)r;
	c->leave_code = LEAVE_EVENT;
	c->next_op = NULL;
}

/* A TLB miss on RAM is filled and retried; whatever else it was, the generic form knows. */
static bool refill(struct vcpu *c, unsigned access, unsigned bytes)
{
	u64 ea = c->slow_ea;

	if ((ea & ~PAGE_MASK) > PAGE_SIZE - bytes || !is_canonical(ea, c->width_laddr))
		return false;
	return mem_refill(c, ea, access);
}

#define SLOW_MEMORY(name, access, bytes)                                                           \
	HANDLER(name)                                                                              \
	{                                                                                          \
		c->rip = c->ripbase + o->pgoff;                                                    \
		if (refill(c, access, bytes))                                                      \
			DISPATCH(o);                                                               \
		DISPATCH_FN(op_slow_exec, o);                                                      \
	}
SLOW_MEMORY(op_slow_load, ACCESS_READ, 8)
SLOW_MEMORY(op_slow_store, ACCESS_READ | ACCESS_WRITE, 8)
SLOW_MEMORY(op_slow_load16, ACCESS_READ, 16)
SLOW_MEMORY(op_slow_store16, ACCESS_READ | ACCESS_WRITE, 16)

/* --- the loop --- */

/* Outside handlers vcpu_icount() is v->icount. */
static void normalise(struct vcpu *v)
{
	v->icount_end = v->icount + 1;
	v->budget = 0;
	v->cur_left = 0;
}

/* Returns what is left of the budget. */
static s64 enter(struct vcpu *v, struct block *b, u64 left)
{
	s64 rest;

	v->budget = left - b->n;
	v->icount_end = v->icount + left;
#ifdef LOOP_DISPATCH
	v->next_op = b->op;
	v->next_fn = b->op[0].fn;
	while (v->next_op)
		v->next_fn(v, v->next_op, v->table, (s64)v->budget);
#else
	b->op[0].fn(v, b->op, v->table, (s64)v->budget);
#endif
	rest = (s64)v->budget;
	v->icount = v->icount_end - v->budget;
	normalise(v);
	return rest;
}

/* TF counts as it was before the instruction; SYSCALL and SYSRET look at the one they leave. */
static bool single_steps(const struct vcpu *v, const struct insn *i, bool tf, int r)
{
	if (i->exec == x_syscall || i->exec == x_sysret)
		tf = v->rflags & RFLAGS_TF;
	return tf && (!(v->debugctl & DEBUGCTL_BTF) || r == EXEC_JUMP);
}

static void single_step_trap(struct vcpu *v, bool tf)
{
	u64 dr6 = v->hit_dr6 | (tf ? DR6_BS : 0);

	v->hit_dr6 = 0;
	if (dr6) {
		v->pending_dbg |= dr6;
		v->recheck = true;
	}
}

/* Instruction breakpoints are faults before the instruction; RF suppresses them once. */
static bool code_breakpoint(struct vcpu *v)
{
	u64 laddr = v->mode == MODE_64 ? v->rip : v->seg[SEG_CS].base + v->rip, hit = 0;

	if (!v->watch || v->rflags & RFLAGS_RF || shadow_at_boundary(v) == SHADOW_MOV_SS)
		return false;
	for (unsigned k = 0; k < 4; k++)
		if (v->dr7 >> (2 * k) & 3 && !(v->dr7 >> (16 + 4 * k) & 15) && v->dr[k] == laddr)
			hit |= BIT(k);
	if (!hit)
		return false;
	raise_db(v, hit);
	return true;
}

static int step(struct vcpu *v)
{
	bool tf = v->rflags & RFLAGS_TF;
	u64 rf = v->rflags & RFLAGS_RF;
	struct insn i;
	int r = EXEC_FAULT;

	normalise(v);
	if (!code_breakpoint(v)) {
		r = v->ibt_wait ? ibt_arrive(v) : 0;
		if (!r)
			r = fetch_exec(v, &i);
		if (r != EXEC_FAULT && r != EXEC_VMEXIT && r != EXEC_RESTART && rf)
			v->rflags &= ~(rf & v->rflags);
		if (r < EXEC_FAULT || r == EXEC_STOP)
			single_step_trap(v, single_steps(v, &i, tf, r));
		else if (r == EXEC_FAULT)
			v->hit_dr6 = 0;
	}
	v->icount++;
	normalise(v);
	return r;
}

static void after(struct vcpu *v, int r)
{
	switch (r) {
	case EXEC_FAULT:
		if (!is_software_event(v))
			vcpu_no_retire(v, 1);
		event_deliver(v, v->exc);
		v->exc.valid = false;
		break;
	case EXEC_LEAVE:
		v->recheck = true;
		break;
	case EXEC_RESTART:
		vcpu_no_retire(v, 1);
		break;
	case EXEC_VMEXIT:
		if (!v->vmx.non_root) /* else a VM entry */
			vcpu_no_retire(v, 1);
		break;
	case EXEC_STOP:
		if (v->activity != ACT_ACTIVE)
			v->stop_reason = STOP_HALT;
		break;
	default:
		break;
	}
}

/* Finds the code at rip; runs a block or one instruction. */
static void advance(struct vcpu *v, u64 left)
{
	u64 laddr = (v->mode == MODE_64 ? v->rip : v->seg[SEG_CS].base + v->rip) & v->lin_mask;
	struct block *b = NULL;
	u64 paddr;
	s64 rest;

	if (!v->step_mode && is_canonical(laddr, v->width_laddr) &&
	    (v->mode == MODE_64 || v->rip + PAGE_SIZE - 1 <= v->seg[SEG_CS].limit)) {
		int r = v->ibt_wait ? ibt_arrive(v) : 0;

		if (!r)
			r = mem_fetch_page(v, laddr, &paddr);
		if (r) {
			v->icount++; /* a fault counts, so that endless faulting uses up the budget */
			normalise(v);
			after(v, r);
			return;
		}
		b = blocks_find(v->blocks, paddr, v->mode_key);
		if (!b)
			b = blocks_translate(v, paddr);
	}
	if (!b || b->n > left) {
		after(v, step(v));
		return;
	}
	v->ripbase = v->rip - (laddr & ~PAGE_MASK);
	v->code_page = paddr & PAGE_MASK;
	rest = enter(v, b, left);
	if (v->leave_code == LEAVE_STEP && rest > 0)
		after(v, step(v));
	else if (v->leave_code == LEAVE_EVENT)
		after(v, v->exec_code);
}

static bool runs(const struct vcpu *v)
{
	return v->stop_reason == STOP_NONE && v->activity == ACT_ACTIVE;
}

void vcpu_run(struct vcpu *v, u64 count)
{
	u64 target = v->icount + count;

	v->stop_reason = STOP_NONE;
	v->leave = false;
	normalise(v);
	while (v->stop_reason == STOP_NONE && v->icount < target && !v->leave) {
		u64 left = target - v->icount, timer;

		if (unlikely(v->icount >= v->pmu.next_at))
			pmu_update(v);
		if (v->recheck || v->vmx.non_root || v->step_mode || v->pending_dbg) {
			v->recheck = false;
			if (vcpu_events(v))
				continue;
		}
		if (!runs(v))
			break;
		timer = vmx_timer_ticks_left(v);
		if (timer < left)
			left = timer ? timer : 1;
		if (v->pmu.next_at - v->icount < left)
			left = v->pmu.next_at - v->icount;
		if (v->one_step) {
			v->one_step = false;
			v->recheck = true;
			after(v, step(v));
		} else {
			advance(v, left);
		}
	}
	if (v->stop_reason == STOP_NONE)
		v->stop_reason = v->activity == ACT_ACTIVE ? STOP_BUDGET : STOP_HALT;
}

static void log_insn(struct vcpu *v, const struct insn *i)
{
	log_line(v->log, LOG_insn, "%04x:%016llx %-10s len %u rax %llx rsp %llx",
		 v->seg[SEG_CS].sel, (unsigned long long)v->rip, i->row->name, i->len,
		 (unsigned long long)v->reg[RAX], (unsigned long long)v->reg[RSP]);
}
