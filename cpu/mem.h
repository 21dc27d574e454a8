/*
 * The parts of memory access that only the run loop and vcpu_recompute use; the rest is in cpu.h.
 */
#ifndef CPU_MEM_H
#define CPU_MEM_H

#include "cpu/cpu.h"

/* Which TLB table explicit accesses use now. */
enum tlb_way mem_way(const struct vcpu *v);
/* Physical address of the code byte at a linear address; 0, EXEC_FAULT or EXEC_VMEXIT. */
int mem_fetch_page(struct vcpu *v, u64 laddr, u64 *paddr);

/* Host address of RAM at laddr for bulk work up to the end of its page, or NULL where each access
 * needs a look of its own (MMIO, faults, decoded code). access: READ, or READ | WRITE. */
u8 *mem_host(struct vcpu *v, u64 laddr, unsigned access);

#endif
