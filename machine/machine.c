/*
 * The run loop: turns for the CPUs, timers, idle time, reset and the end. Virtual time is a function
 * of the instructions executed: the same command line gives the same run (product.md). When every
 * CPU waits, time goes straight to the next timer.
 */
#include <stdlib.h>

#include "machine/board.h"
#include "vmx/vmx.h"

#define SLICE_ALONE 2000000 /* ticks between polls of the host */
#define SLICE_SHARED 10000  /* ticks of a turn when several CPUs run */
#define IDLE_POLLS 64	    /* idle skips between polls of the host */

struct machine *machine_new(const struct machine_config *cfg, char *err, size_t errlen)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	m->cfg = *cfg;
	m->log = cfg->log;
	m->next_hash = cfg->hash_every;
	if (board_build(m, err, errlen)) {
		board_reset(m);
		if (boot_setup(m, err, errlen))
			return m;
	}
	machine_free(m);
	return NULL;
}

void machine_free(struct machine *m)
{
	board_free(m);
	free(m);
}

void machine_stop(struct machine *m, int code)
{
	if (!m->stopping)
		m->exit_code = code;
	m->stopping = true;
	if (m->cur) {
		m->cur->leave = true;
		m->cur->recheck = true;
	}
}

unsigned machine_cpus(const struct machine *m)
{
	return m->cfg.cpus;
}

struct vcpu *machine_cpu(struct machine *m, unsigned n)
{
	return &m->cpu[n]->v;
}

void machine_set_debugger(struct machine *m, void (*hook)(void *owner, struct vcpu *v), void *owner)
{
	m->debug_hook = hook;
	m->debug_owner = owner;
}

void machine_print_state(struct machine *m, FILE *out)
{
	for (unsigned n = 0; n < m->cfg.cpus; n++)
		vcpu_dump(&m->cpu[n]->v, out);
}

void machine_print_ring(struct machine *m, FILE *out)
{
	for (unsigned n = 0; n < m->cfg.cpus; n++) {
		vcpu_print_events(&m->cpu[n]->v, out);
		if (m->cpu[n]->v.vmx.entries)
			vmx_print(&m->cpu[n]->v, out);
	}
}

/* --- state hash --- */

static u64 hash_ram(const struct physmem *mem, u64 seed)
{
	static const u8 zero[PAGE_SIZE];
	u64 pages = (mem->low + mem->high) >> PAGE_SHIFT;

	for (u64 n = 0; n < pages; n++) {
		const u8 *p = mem->ram + (n << PAGE_SHIFT);

		if (physmem_touched(mem, n) && memcmp(p, zero, PAGE_SIZE))
			seed = hash_bytes(seed ^ n, p, PAGE_SIZE);
	}
	return seed;
}

u64 machine_hash(struct machine *m)
{
	u64 h = hash_ram(&m->mem, 0);

	for (unsigned n = 0; n < m->devices; n++)
		h = state_hash(m->device[n]->cls->state, m->device[n], h);
	for (unsigned n = 0; n < m->cfg.cpus; n++)
		h = vcpu_hash(&m->cpu[n]->v, h);
	return h;
}

static void print_hash(struct machine *m)
{
	fprintf(stderr, "hash %llu %016llx\n", (unsigned long long)m->insns,
		(unsigned long long)machine_hash(m));
}

/* --- running --- */

static void triple_fault(struct machine *m, struct vcpu *v)
{
	if (m->cfg.no_reboot) {
		fprintf(stderr, "gigogne: triple fault on CPU %u\n", v->id);
		machine_print_state(m, stderr);
		machine_print_ring(m, stderr);
		machine_stop(m, m->panic_seen ? EXIT_GUEST_PANIC : EXIT_TRIPLE_FAULT);
	}
	m->reset_wanted = true;
}

/* The debugger sees every instruction boundary. */
static void debugged_turn(struct machine *m, struct vcpu *v, u64 slice)
{
	u64 end = v->icount + slice;

	do {
		m->debug_hook(m->debug_owner, v);
		if (!m->stopping)
			vcpu_run(v, 1);
	} while (!m->stopping && !m->reset_wanted && v->icount < end && v->debugger &&
		 v->stop_reason == STOP_BUDGET && !v->leave);
}

/* One turn of one CPU; returns the ticks it used. */
static u64 turn(struct machine *m, struct vcpu *v, u64 slice)
{
	u64 before = v->icount;

	m->cur = v;
	v->skipped = m->ticks - v->icount;
	if (m->debug_hook && v->debugger)
		debugged_turn(m, v, slice);
	else
		vcpu_run(v, slice);
	m->cur = NULL;
	m->insns += v->icount - before;
	if (v->stop_reason == STOP_TRIPLE_FAULT)
		triple_fault(m, v);
	return v->icount - before;
}

/* The CPU runs now, after looking at what may wake it. */
static bool ready(struct machine *m, struct vcpu *v)
{
	u64 before = v->icount;
	bool wakes;

	if (v->activity == ACT_ACTIVE)
		return true;
	if (!v->recheck && !v->vmx.non_root)
		return false;
	m->cur = v;
	v->skipped = m->ticks - v->icount;
	v->recheck = false;
	v->stop_reason = STOP_NONE;
	wakes = vcpu_wakes(v);
	m->cur = NULL;
	if (v->stop_reason == STOP_TRIPLE_FAULT) {
		triple_fault(m, v);
		return false;
	}
	m->ticks += v->icount - before; /* a VM exit takes time */
	return wakes;
}

/* Ticks until the next timer of the board or a halted guest's VMX-preemption timer. */
static u64 ticks_to_timer(struct machine *m)
{
	u64 at = clock_next(&m->clock), left = UINT64_MAX;

	if (at != CLOCK_NEVER) {
		u64 due = at > UINT64_MAX / TICKS_PER_NS ? UINT64_MAX : at * TICKS_PER_NS;

		left = due > m->ticks ? due - m->ticks : 0;
	}
	for (unsigned n = 0; n < m->cfg.cpus; n++) {
		struct vcpu *v = &m->cpu[n]->v;

		if (v->vmx.non_root && v->activity != ACT_ACTIVE) {
			u64 t;

			v->skipped = m->ticks - v->icount;
			t = vmx_timer_ticks_left(v);
			left = t < left ? t : left;
		}
	}
	return left;
}

static u64 bounded_slice(struct machine *m, unsigned running, u64 to_timer)
{
	u64 slice = running > 1 ? SLICE_SHARED : SLICE_ALONE;

	if (slice > to_timer)
		slice = to_timer;
	if (m->next_hash && slice > m->next_hash - m->insns)
		slice = m->next_hash - m->insns;
	if (m->cfg.max_insns && slice > m->cfg.max_insns - m->insns)
		slice = m->cfg.max_insns - m->insns;
	return slice ? slice : 1;
}

/* All CPUs wait: time goes to the next timer at once. */
static void idle(struct machine *m, u64 to_timer, unsigned *skips)
{
	if (to_timer == UINT64_MAX) {
		m->cfg.poll(m->cfg.poll_owner, true, -1);
		return;
	}
	m->ticks += to_timer;
	if (++*skips % IDLE_POLLS == 0)
		m->cfg.poll(m->cfg.poll_owner, true, 0);
}

/* One turn of the next CPU that can run. Time advances with every turn, so that a CPU never reads a
 * TSC that is behind what another one has shown. */
static void run_next(struct machine *m, const bool *is_ready, unsigned running, u64 to_timer)
{
	do
		m->turn = (m->turn + 1) % m->cfg.cpus;
	while (!is_ready[m->turn]);
	m->cpu[m->turn]->v.others_wait = running > 1;
	m->ticks += turn(m, &m->cpu[m->turn]->v, bounded_slice(m, running, to_timer));
}

static void milestones(struct machine *m)
{
	if (m->next_hash && m->insns >= m->next_hash) {
		print_hash(m);
		m->next_hash += m->cfg.hash_every;
	}
	if (m->cfg.max_insns && m->insns >= m->cfg.max_insns)
		machine_stop(m, EXIT_TIME_LIMIT);
	if (m->cfg.max_ns && m->ticks / TICKS_PER_NS >= m->cfg.max_ns)
		machine_stop(m, EXIT_TIME_LIMIT);
}

static void do_reset(struct machine *m)
{
	char err[256];

	m->reset_wanted = m->sleep_wanted = m->asleep = false;
	if (m->stopping)
		return;
	if (m->cfg.no_reboot) {
		if (m->panic_seen)
			machine_print_ring(m, stderr);
		machine_stop(m, m->panic_seen ? EXIT_GUEST_PANIC : EXIT_OK);
		return;
	}
	m->panic_seen = false;
	board_reset(m);
	if (!boot_setup(m, err, sizeof(err))) {
		fprintf(stderr, "gigogne: reboot: %s\n", err);
		machine_stop(m, EXIT_BAD_IMAGE);
	}
}

int machine_run(struct machine *m)
{
	unsigned skips = 0;
	u64 polled = 0;

	while (!m->stopping) {
		bool is_ready[MACHINE_MAX_CPUS];
		unsigned running = 0;
		u64 to_timer;

		clock_run(&m->clock);
		sleep_step(m);
		for (unsigned n = 0; n < m->cfg.cpus; n++)
			running += is_ready[n] = !m->asleep && ready(m, &m->cpu[n]->v);
		to_timer = ticks_to_timer(m);
		if (running)
			run_next(m, is_ready, running, to_timer);
		else
			idle(m, to_timer, &skips);
		milestones(m);
		if (m->reset_wanted) {
			do_reset(m);
			polled = m->insns - SLICE_ALONE; /* a guest may do nothing but reset */
		}
		if (m->insns - polled >= SLICE_ALONE) {
			polled = m->insns;
			m->cfg.poll(m->cfg.poll_owner, false, 0);
		}
	}
	if (m->cfg.hash_every)
		print_hash(m);
	return m->exit_code;
}
