/*
 * Two processors in one memory that run real code through the run loop, in 64-bit mode with the first
 * 2 MiB mapped one to one, and what is needed to put them into VMX operation and guests.
 */
#ifndef TESTS_UNIT_TEST_VMX_RIG_H
#define TESTS_UNIT_TEST_VMX_RIG_H

#include "cpu/run.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmx.h"

enum {
	RIG_CPUS = 2,
	RIG_RAM = 1 << 21,
	RIG_PML4 = 0x1000,
	RIG_PDPT = 0x2000,
	RIG_PD = 0x3000,
	RIG_IDT = 0x4000,
	RIG_OPERAND = 0x8000,
	RIG_HANDLERS = 0x9000, /* 16 bytes for each of the 32 exceptions: HLT */
	RIG_VMXON = 0x10000,   /* one page for each processor */
	RIG_VMCS = 0x12000,    /* four pages */
	RIG_GUEST = 0x20000,
	RIG_HOST = 0x30000,
	RIG_SMBASE = 0x38000, /* SMI handler at 40000H */
	RIG_FREE = 0x50000,
	RIG_BEYOND = 0x4000000, /* no memory, no device */
};

void rig_setup(void);
void rig_teardown(void);
struct vcpu *rig_cpu(unsigned n);
/* A pending interrupt vector of processor n, -1 none. */
void rig_interrupt(unsigned n, int vector);

void rig_code(u64 paddr, const char *bytes, size_t n);
#define RIG_CODE(paddr, text) rig_code((paddr), (text), sizeof(text) - 1)
/* Runs code at rip until it halts, stops otherwise, or the count is used up. */
void rig_run_at(struct vcpu *v, u64 rip, u64 count);
/* The vector of the exception whose handler the processor halted in, -1: none. */
int rig_exception(const struct vcpu *v);

/* The handler of an instruction with a register operand, and of one with a memory operand that holds
 * the pointer. What they return. */
int rig_exec(struct vcpu *v, exec_fn *op);
int rig_pointer(struct vcpu *v, exec_fn *op, u64 ptr);
/* VMXON, and VMPTRLD of a cleared region that is filled so that it can be entered. */
void rig_vmxon(struct vcpu *v);
void rig_load(struct vcpu *v, u64 region);
/* A change of the cached VMCS was made behind VMWRITE's back. */
void rig_touched(struct vcpu *v);
/* VMLAUNCH or VMRESUME; what the launch state asks for. True if the guest was entered. */
bool rig_enter(struct vcpu *v);
/* The basic reason of the last exit. */
u32 rig_reason(const struct vcpu *v);

#endif
