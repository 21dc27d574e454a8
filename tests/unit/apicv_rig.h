/*
 * A vCPU in VMX operation that runs guest code: 2 MBytes of flat RAM, 64-bit mode, a VMCS that
 * enters. Every vector has a handler of its own that loops, so that RIP says what was delivered.
 */
#ifndef TESTS_UNIT_APICV_RIG_H
#define TESTS_UNIT_APICV_RIG_H

#include <check.h>

#include "cpu/run.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmx.h"

/* Where things lie. */
enum {
	RIG_VMXON = 0x10000,
	RIG_REGION = 0x11000,
	RIG_MSR_BITMAP = 0x12000, /* all zero: nothing exits */
	RIG_VAPIC = 0x13000,
	RIG_PID = 0x14000,
	RIG_PID_TABLE = 0x15000,
	RIG_EPT = 0x16000, /* four tables: identity, but for apicv_ept_map */
	RIG_CODE = 0x20000,
	RIG_HOST = 0x30000,
	RIG_HANDLERS = 0x40000, /* 16 bytes a vector */
	RIG_APIC = 0x50000,	/* the APIC-access page */
	RIG_STACK = 0x60000,
};

struct apicv_rig {
	struct physmem mem;
	struct bus mmio, pio;
	struct log log;
	struct cpu_wires wires;
	struct cpu_model model;
	struct vcpu v;
	int interrupt; /* pending vector, -1 none */
	unsigned eois; /* writes to the EOI register */
	u32 sent_to;   /* last notification: NDST and vector */
	int sent;      /* -1: none */
	u32 msr;       /* last APIC MSR that was really accessed */
	u64 msr_value;
};

/* Fixtures. The VMCS is current and launches; nothing has been entered. */
void apicv_setup(void);
void apicv_teardown(void);
struct apicv_rig *apicv_rig(void);
struct vcpu *apicv_cpu(void);
struct vmcs *apicv_vmcs(void);

/* Sets a control, and the ones that it needs and that activate it. */
void apicv_control(enum vmx_control control);
/* TPR shadow, virtual-interrupt delivery, external-interrupt exiting. */
void apicv_vid(void);
void apicv_ept_map(u64 gpa, u64 paddr);

/* Guest code at RIG_CODE, run from there. */
void apicv_code(const void *bytes, unsigned n);
#define RIG_CODE(...)                                                                              \
	do {                                                                                       \
		static const u8 bytes[] = {__VA_ARGS__};                                           \
                                                                                                   \
		apicv_code(bytes, sizeof(bytes));                                                  \
	} while (0)
/* VMLAUNCH or VMRESUME, and up to n instructions. */
void apicv_enter(unsigned n);
void apicv_run(unsigned n);

u32 apicv_read(u64 paddr);
void apicv_write(u64 paddr, u64 value, unsigned size);
/* The VM exit that must have happened. */
void apicv_exited(u32 reason, u64 qualification);
/* The guest still runs, in the handler of this vector. */
void apicv_in_handler(unsigned vector);
/* The guest still runs, at RIG_CODE + offset. */
void apicv_at(unsigned offset);

#endif
