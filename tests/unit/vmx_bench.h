/*
 * A virtual CPU in 64-bit mode with the memory, chips and instructions that VMX tests need: handlers
 * are called as the run loop calls them, with hand-made instructions. No guest code runs.
 */
#ifndef TESTS_UNIT_VMX_BENCH_H
#define TESTS_UNIT_VMX_BENCH_H

#include <check.h>

#include "cpu/decode.h"
#include "cpu/run.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmx.h"

#define PML4 0x1000ull
#define PDPT 0x2000ull
#define PD 0x3000ull
#define OPERAND 0x8000ull
#define VMXON_REGION 0x10000ull
#define REGION 0x11000ull
#define OTHER_REGION 0x12000ull
#define SHADOW_REGION 0x13000ull
#define BITMAP_A 0x14000ull
#define BITMAP_B 0x15000ull
#define MSR_BITMAP 0x16000ull
#define VAPIC 0x17000ull
#define MSR_LIST 0x18000ull
#define GUEST_RIP 0x20000ull
#define HOST_RIP 0x30000ull

struct fixture {
	struct physmem mem;
	struct bus mmio, pio;
	struct log log;
	struct cpu_wires wires;
	struct cpu_model model;
	struct vcpu v;
	int interrupt; /* pending vector, -1 none */
};

extern struct fixture *f;
extern struct vcpu *v;

void vmx_bench_setup(void);
void vmx_bench_teardown(void);
/* Registers and modes as after setup, whatever a VM exit has made of them; VMX operation stays. */
void enter_long_mode(void);
void put64(u64 paddr, u64 value);
void put_revision(u64 region, u32 revision);
struct insn memory_insn(u64 addr, u8 reg);
extern const struct insn plain;
int on_pointer(exec_fn *op, u64 ptr);
u64 flags(void);

#define SUCCEED 0ull
#define FAIL_INVALID RFLAGS_CF
#define FAIL_VALID RFLAGS_ZF

void must_fail(unsigned error);
void vmx_on_and_current(void);
void set_segments(struct vmcs_guest *g);
/* A VMCS that passes all checks, in the cache of the current one. */
void fill_vmcs(void);
void enter(void);
void start_guest(void);
/* Control changes that take effect at the next entry, as VMWRITE would make them. */
void restart_with(u32 *word, u32 set);
void leave_guest(void);
void exited(u32 reason, u64 qualification);

#endif
