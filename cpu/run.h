/*
 * Running a vCPU. The machine calls vcpu_run for a number of instructions; the vCPU stops earlier
 * when it halts, shuts down or is told to.
 */
#ifndef CPU_RUN_H
#define CPU_RUN_H

#include "cpu/block.h"
#include "cpu/cpu.h"

/* Runs up to `count` instructions. v->stop_reason says why it came back; v->icount has advanced. */
void vcpu_run(struct vcpu *v, u64 count);
/* events.c: looks at everything that can happen at an instruction boundary, in the SDM's order.
 * True if something was delivered or changed (the loop looks again). */
bool vcpu_events(struct vcpu *v);
/* A halted vCPU: would an event wake it now? */
bool vcpu_wakes(struct vcpu *v);
/* mem.c: fills the TLB for RAM at laddr; false: the generic path has to look. */
bool mem_refill(struct vcpu *v, u64 laddr, unsigned access);

/* vcpu.c */
bool vcpu_init(struct vcpu *v, unsigned id, const struct cpu_model *model, struct physmem *mem,
	       struct bus *mmio, struct bus *pio, struct log *log, struct cpu_wires *wires,
	       struct block_cache *blocks, const struct decoder *decoder);
void vcpu_free(struct vcpu *v);
/* From the machine: an interrupt wire or pending flag changed. */
static inline void vcpu_notify(struct vcpu *v)
{
	v->recheck = true;
}
/* The ring of events delivered, oldest first. */
void vcpu_print_events(const struct vcpu *v, FILE *out);
void vcpu_dump(const struct vcpu *v, FILE *out);
u64 vcpu_hash(const struct vcpu *v, u64 seed);

#endif
