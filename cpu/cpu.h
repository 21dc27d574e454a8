/*
 * What instruction handlers (ops_*.c), event delivery and VMX use of the CPU core.
 *
 * Rules. A handler has the type exec_fn: it returns an enum exec_result. It changes architectural
 * state only after its last access that can fault. v->rip is the address of the instruction while it
 * runs; `rip + i->len` is the next. A fault is `return raise_xx(...)`: it records the exception in
 * v->exc and returns EXEC_FAULT; the run loop delivers it. Every memory function returns 0 or the
 * result to return at once (EXEC_FAULT, EXEC_VMEXIT).
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "base/bits.h"
#include "base/clock.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/vcpu.h"

enum cpu_mode { MODE_REAL, MODE_VM86, MODE_PROT, MODE_COMPAT, MODE_64 };

static inline bool mode_long(const struct vcpu *v)
{
	return v->mode >= MODE_COMPAT; /* IA-32e mode */
}

static inline bool mode_protected(const struct vcpu *v)
{
	return v->mode >= MODE_PROT; /* PE = 1 and not virtual-8086 */
}

/* --- exceptions: all return EXEC_FAULT --- */
int raise_fault(struct vcpu *v, u8 vector);	       /* without error code */
int raise_error(struct vcpu *v, u8 vector, u32 error); /* with error code */
int raise_pf(struct vcpu *v, u64 laddr, u32 error);
int raise_db(struct vcpu *v, u64 dr6_bits); /* fault-like #DB */
/* INT n, INT3, INTO, INT1: type is a software event_type; delivered with rip + len pushed. */
int raise_soft(struct vcpu *v, u8 vector, u8 type, u8 len);
static inline int raise_ud(struct vcpu *v)
{
	return raise_fault(v, VEC_UD);
}
static inline int raise_gp(struct vcpu *v, u32 error)
{
	return raise_error(v, VEC_GP, error);
}
static inline int raise_nm(struct vcpu *v)
{
	return raise_fault(v, VEC_NM);
}
/* Logs `unimplemented` and answers #UD. */
int raise_unimplemented(struct vcpu *v, const char *what);

/* --- registers. size 1, 2, 4, 8; writing 4 bytes clears the upper half --- */
static inline u64 *reg8_slot(struct vcpu *v, const struct insn *i, unsigned n, unsigned *shift)
{
	bool high = n >= 4 && n < 8 && !(i->prefix & (P_REX | P_VEX));

	*shift = high ? 8 : 0;
	return &v->reg[high ? n - 4 : n];
}

static inline u64 reg_read(struct vcpu *v, const struct insn *i, unsigned n, unsigned size)
{
	unsigned shift;

	if (size == 1)
		return (u8)(*reg8_slot(v, i, n, &shift) >>
			    (n >= 4 && n < 8 && !(i->prefix & (P_REX | P_VEX)) ? 8 : 0));
	return v->reg[n] & size_mask(size);
}

static inline void reg_write(struct vcpu *v, const struct insn *i, unsigned n, unsigned size,
			     u64 value)
{
	unsigned shift;
	u64 *r;

	switch (size) {
	case 1:
		r = reg8_slot(v, i, n, &shift);
		*r = (*r & ~(0xffull << shift)) | (u64)(u8)value << shift;
		break;
	case 2:
		v->reg[n] = (v->reg[n] & ~0xffffull) | (u16)value;
		break;
	case 4:
		v->reg[n] = (u32)value;
		break;
	default:
		v->reg[n] = value;
	}
}

/* --- memory by segment and offset: segment checks, canonical checks, paging, VMX, MMIO --- */
/* Effective address (offset within the segment) of the instruction's memory operand, truncated to
 * the address size. */
u64 insn_offset(const struct vcpu *v, const struct insn *i);
int mem_read(struct vcpu *v, unsigned seg, u64 off, unsigned size, u64 *value); /* 1,2,4,8 */
int mem_write(struct vcpu *v, unsigned seg, u64 off, unsigned size, u64 value);
int mem_read_bytes(struct vcpu *v, unsigned seg, u64 off, void *buf, unsigned n); /* n <= 4096 */
int mem_write_bytes(struct vcpu *v, unsigned seg, u64 off, const void *buf, unsigned n);
/* Fails exactly as a write would, but writes nothing. */
int mem_probe_write(struct vcpu *v, unsigned seg, u64 off, unsigned n);
/* Read-modify-write: read with write rights checked; then a write that cannot fail. */
struct memref {
	u64 laddr;
	u8 *host[2]; /* pieces in RAM; NULL: MMIO at paddr */
	u64 paddr[2];
	u8 size, first; /* bytes, bytes in the first piece */
	bool vapic;	/* in the APIC-access page, virtualized */
};
int mem_rmw(struct vcpu *v, unsigned seg, u64 off, unsigned size, struct memref *ref, u64 *value);
void mem_rmw_write(struct vcpu *v, const struct memref *ref, u64 value);
/* Linear address after segmentation, or a fault. write: checked as a store. */
int seg_to_laddr(struct vcpu *v, unsigned seg, u64 off, unsigned size, bool write, u64 *laddr);

/* --- memory by linear address. flags: enum access, plus LIN_SUPER for implicit supervisor
 * accesses (descriptor tables, TSS), which ignore CPL; LIN_SHADOW for shadow-stack accesses, a
 * supervisor's but for LIN_USER --- */
enum { LIN_SUPER = 0x10, LIN_SHADOW = 0x20, LIN_USER = 0x40 };
int lin_read(struct vcpu *v, u64 laddr, unsigned size, unsigned flags, u64 *value);
int lin_write(struct vcpu *v, u64 laddr, unsigned size, unsigned flags, u64 value);
int lin_read_bytes(struct vcpu *v, u64 laddr, void *buf, unsigned n, unsigned flags);
int lin_write_bytes(struct vcpu *v, u64 laddr, const void *buf, unsigned n, unsigned flags);
int lin_probe(struct vcpu *v, u64 laddr, unsigned n, unsigned flags);
/* Read-modify-write by linear address (descriptor accessed and busy bits). */
int lin_rmw(struct vcpu *v, u64 laddr, unsigned size, unsigned flags, struct memref *ref,
	    u64 *value);

/* --- memory by physical address (VMX structures, SMRAM): RAM or MMIO; 1-8 bytes --- */
u64 phys_read(struct vcpu *v, u64 paddr, unsigned size);
void phys_write(struct vcpu *v, u64 paddr, u64 value, unsigned size);
/* Through the current EPT first if the CPU is in VMX non-root with EPT (PDPTE loads): 0 or fault. */
int guest_phys_read64(struct vcpu *v, u64 gpa, u64 *value);

/* --- r/m operands --- */
static inline int rm_read(struct vcpu *v, const struct insn *i, unsigned size, u64 *value)
{
	if (!insn_is_mem(i)) {
		*value = reg_read(v, i, i->rm, size);
		return 0;
	}
	return mem_read(v, i->seg, insn_offset(v, i), size, value);
}

static inline int rm_write(struct vcpu *v, const struct insn *i, unsigned size, u64 value)
{
	if (!insn_is_mem(i)) {
		reg_write(v, i, i->rm, size, value);
		return 0;
	}
	return mem_write(v, i->seg, insn_offset(v, i), size, value);
}

/* --- stack: by SS.B / 64-bit mode; size 2, 4 or 8 --- */
u64 stack_mask(const struct vcpu *v);			  /* 0xffff, 0xffffffff or all-ones */
int stack_push(struct vcpu *v, unsigned size, u64 value); /* moves RSP only on success */
int stack_pop(struct vcpu *v, unsigned size, u64 *value);
void rsp_set(struct vcpu *v, u64 value); /* writes SP, ESP or RSP by stack_mask */

/* --- mode and translation changes --- */
/* Recomputes everything derived after CR0, CR3, CR4, EFER, CS, SS, CPL, RFLAGS.VM/AC/TF, DR7, PKRU or
 * VMX state changed. Cheap enough for every VM entry and exit. */
void vcpu_recompute(struct vcpu *v);
/* Only CPL or RFLAGS.AC changed (SYSCALL, SYSRET, IRET, STAC): switches the TLB way and mode key. */
void vcpu_recompute_cpl(struct vcpu *v);
/* Control register writes with all checks done elsewhere: set, flush what the SDM says, recompute. */
/* PKRU, and the TLB context that goes with it. */
void pkru_set(struct vcpu *v, u32 value);
void vcpu_reset(struct vcpu *v, bool init); /* RESET or INIT values */

/* --- time --- */
/* Instructions retired so far, exact inside a generic handler (the current one not counted). */
static inline u64 vcpu_icount(const struct vcpu *v)
{
	return v->icount_end - v->budget - v->cur_left - 1;
}
#define TICKS_PER_NS 2 /* one instruction is one tick: a 2 GHz TSC */
/* of the core crystal clock */
#define CRYSTAL_TICKS (TICKS_PER_NS * (1000000000u / CORE_CRYSTAL_HZ))
/* IA32_TIME_STAMP_COUNTER now, without VMX offsetting. */
static inline u64 vcpu_ticks(const struct vcpu *v)
{
	return vcpu_icount(v) + v->skipped;
}
static inline u64 vcpu_tsc(const struct vcpu *v)
{
	return vcpu_ticks(v) + (u64)v->tsc_offset_host;
}

/* Ticks on which no instruction retires. */
static inline void vcpu_no_retire(struct vcpu *v, u64 ticks)
{
	v->pmu.unretired += ticks;
	v->pmu.gaps += ticks != 0;
}

/* What PAUSE takes: less than the gap that hypervisors give a loop of them. */
#define PAUSE_TICKS 100
#define PORT_TICKS 1000	 /* an access to a port, as on the bus that is behind most of them */
#define SERIAL_TICKS 100 /* CPUID, MOV to CR0, CR3 and CR4, INVLPG: they wait for all before them */

/* Lets virtual time pass without instructions, out of the CPU's budget; at an instruction boundary
 * (icount counts) or inside a handler (the budget does). */
static inline void vcpu_charge(struct vcpu *v, u64 ticks)
{
	v->icount += ticks;
	v->budget -= ticks;
	vcpu_no_retire(v, ticks);
}

/* --- interrupt shadow --- */
static inline void shadow_set(struct vcpu *v, u8 kind)
{
	v->shadow = kind;
	v->shadow_at = vcpu_icount(v) + 1;
}
/* At an instruction boundary (run loop, VM entry/exit): 0 or enum shadow. */
static inline u8 shadow_at_boundary(const struct vcpu *v)
{
	return v->shadow && v->icount == v->shadow_at ? v->shadow : 0;
}

/* --- pieces of the CPU, each in its file --- */
/* segment.c */
int seg_load(struct vcpu *v, unsigned seg,
	     u16 sel); /* MOV/POP/Lxx to ES SS DS FS GS with all checks */
void seg_load_real(struct vcpu *v, unsigned seg, u16 sel); /* real and virtual-8086 mode */
int far_call(struct vcpu *v, u16 sel, u64 off, unsigned opsize, u64 next_rip);
int far_return(struct vcpu *v, unsigned opsize, u16 pop);
/* descriptor bytes -> struct seg */
void seg_from_descriptor(struct seg *s, u16 sel, u64 desc);
/* task.c. source: 0 CALL, 1 IRET, 2 JMP, 3 gate (as in the exit qualification) */
int task_switch(struct vcpu *v, u16 sel, unsigned source, bool has_error, u32 error, u64 next_rip);
/* event.c: delivers through the IVT or IDT; 0 delivered, EXEC_FAULT (v->exc holds the new fault),
 * EXEC_VMEXIT. Nothing is changed when it fails. */
int event_deliver_idt(struct vcpu *v, const struct event *e);
/* Takes v->exc all the way: exception bitmap, double and triple fault, VM exits. */
void event_deliver(struct vcpu *v, struct event e);
/* Delivers v->inject as VM entry asks: no exception bitmap, CR2 untouched. */
void event_inject(struct vcpu *v);
/* cr.c: false/EXEC_FAULT with #GP raised where the SDM says so. Values after VMX masks. */
int cr0_write(struct vcpu *v, u64 value);
int cr3_write(struct vcpu *v, u64 value);
int cr4_write(struct vcpu *v, u64 value);
int efer_write(struct vcpu *v, u64 value);
int xcr0_write(struct vcpu *v, u64 value);
/* Loads the PDPTE registers from CR3 (PAE paging); 0 or #GP or an EPT exit. */
int pdpte_load(struct vcpu *v, u64 cr3, u64 cr0, u64 cr4);
u64 cr4_reserved(const struct vcpu *v);
u64 cr0_fixed_reserved(const struct vcpu *v);
/* msr.c: true ok; false: #GP is due (not raised). Used by RDMSR/WRMSR and VMX MSR lists. */
bool msr_read(struct vcpu *v, u32 msr, u64 *value);
bool msr_write(struct vcpu *v, u32 msr, u64 value);
/* Bits of IA32_DEBUGCTL and of IA32_SPEC_CTRL that may be 1. */
u64 spec_ctrl_valid(const struct vcpu *v);
u64 debugctl_valid(const struct vcpu *v);
void debugctl_set(struct vcpu *v, u64 value); /* a valid value */
/* cpuid.c */
void cpuid_query(const struct vcpu *v, u32 leaf, u32 sub, u32 out[4]);
bool cpu_has(const struct vcpu *v, enum feature f);
/* fpu_state.c */
int fpu_check_x87(struct vcpu *v, bool wait_mf); /* #NM, #MF */
/* smm.c */
void smi_enter(struct vcpu *v);

/* The CPU model chosen by -cpu: features and identity. */
struct cpu_model {
	const char *name;
	u64 features[(FEATURES + 63) / 64];
	u32 signature; /* CPUID.1:EAX */
	u8 maxphyaddr; /* bits */
	struct vmx_model_mask *vmx_mask;
	unsigned ncpus;
};

static inline bool model_has(const struct cpu_model *m, enum feature f)
{
	return f == FEAT_ALWAYS || (m->features[f / 64] >> (f % 64) & 1);
}

/* What is only stored (table and segment bases, INVPCID) must be canonical for the widest paging the
 * processor has; v->width_laddr is for addresses that are used now. */
static inline unsigned laddr_width_max(const struct vcpu *v)
{
	return model_has(v->model, FEAT_LA57) ? 57 : 48;
}

#endif
