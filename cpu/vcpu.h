/*
 * The virtual CPU: arch (what the SDM names; saved, listed in state.def), derived (recomputed by
 * vcpu_recompute, never saved) and fixed (model, wiring). Hot fields come first: operands of fast
 * handlers are byte offsets below 256 from the start of this struct.
 */
#ifndef CPU_VCPU_H
#define CPU_VCPU_H

#include "base/log.h"
#include "base/types.h"
#include "cpu/insn.h"
#include "cpu/pmu.h"
#include "mmu/bus.h"
#include "mmu/physmem.h"
#include "mmu/tlb.h"
#include "mmu/walk.h"
#include "vmx/vmx_state.h"

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

enum segreg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEGS };

/* Access rights as the VMCS holds them (SDM "Guest Register State"). */
enum {
	AR_TYPE = 0xf,
	AR_A = 1,
	AR_RW = 2,
	AR_DC = 4,
	AR_CODE = 8,
	AR_S = 0x10,
	AR_DPL_SHIFT = 5,
	AR_DPL = 0x60,
	AR_P = 0x80,
	AR_AVL = 0x1000,
	AR_L = 0x2000,
	AR_DB = 0x4000,
	AR_G = 0x8000,
	AR_UNUSABLE = 0x10000,
};

struct seg {
	u64 base;
	u32 limit; /* bytes, granularity applied */
	u32 ar;
	u16 sel;
};

struct dtr {
	u64 base;
	u16 limit;
};

#define CR0_PE 0x1ull
#define CR0_MP 0x2ull
#define CR0_EM 0x4ull
#define CR0_TS 0x8ull
#define CR0_ET 0x10ull
#define CR0_NE 0x20ull
#define CR0_WP 0x10000ull
#define CR0_AM 0x40000ull
#define CR0_NW 0x20000000ull
#define CR0_CD 0x40000000ull
#define CR0_PG 0x80000000ull
#define CR4_VME 0x1ull
#define CR4_PVI 0x2ull
#define CR4_TSD 0x4ull
#define CR4_DE 0x8ull
#define CR4_PSE 0x10ull
#define CR4_PAE 0x20ull
#define CR4_MCE 0x40ull
#define CR4_PGE 0x80ull
#define CR4_PCE 0x100ull
#define CR4_OSFXSR 0x200ull
#define CR4_OSXMMEXCPT 0x400ull
#define CR4_UMIP 0x800ull
#define CR4_LA57 0x1000ull
#define CR4_VMXE 0x2000ull
#define CR4_SMXE 0x4000ull
#define CR4_FSGSBASE 0x10000ull
#define CR4_PCIDE 0x20000ull
#define CR4_OSXSAVE 0x40000ull
#define CR4_SMEP 0x100000ull
#define CR4_SMAP 0x200000ull
#define CR4_PKE 0x400000ull
#define CR4_CET 0x800000ull
#define CR4_PKS 0x1000000ull
#define EFER_SCE 0x1ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define EFER_NXE 0x800ull
#define RFLAGS_CF 0x1ull
#define RFLAGS_FIXED 0x2ull
#define RFLAGS_PF 0x4ull
#define RFLAGS_AF 0x10ull
#define RFLAGS_ZF 0x40ull
#define RFLAGS_SF 0x80ull
#define RFLAGS_TF 0x100ull
#define RFLAGS_IF 0x200ull
#define RFLAGS_DF 0x400ull
#define RFLAGS_OF 0x800ull
#define RFLAGS_IOPL 0x3000ull
#define RFLAGS_NT 0x4000ull
#define RFLAGS_RF 0x10000ull
#define RFLAGS_VM 0x20000ull
#define RFLAGS_AC 0x40000ull
#define RFLAGS_VIF 0x80000ull
#define RFLAGS_VIP 0x100000ull
#define RFLAGS_ID 0x200000ull
#define RFLAGS_ARITH 0x8d5ull
#define DEBUGCTL_LBR 0x1ull
#define DEBUGCTL_BTF 0x2ull
#define DEBUGCTL_FREEZE_PERFMON_ON_PMI 0x1000ull
#define DEBUGCTL_FREEZE_WHILE_SMM 0x4000ull
#define DR6_BD 0x2000ull
#define DR6_BS 0x4000ull

enum vector {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_MC = 18,
	VEC_XM = 19,
	VEC_VE = 20,
	VEC_CP = 21
};

/* Interruption types as in VM-entry/VM-exit interruption information. */
enum event_type {
	EVENT_EXT_INT = 0,
	EVENT_NMI = 2,
	EVENT_HW_EXC = 3,
	EVENT_SW_INT = 4,
	EVENT_PRIV_SW_EXC = 5,
	EVENT_SW_EXC = 6,
	EVENT_OTHER = 7
};

/* An exception or interrupt on its way to the guest. */
struct event {
	bool valid;
	u8 vector;
	u8 type; /* enum event_type */
	bool has_error;
	u32 error;
	u8 len;	 /* instruction length: software events push rip + len */
	u64 cr2; /* #PF: linear address */
	u64 dr6; /* #DB: bits to set in DR6 */
};

/* One exception or interrupt delivered, for the ring printed when a guest dies. */
#define EVENT_RING 32
struct event_record {
	u64 icount, rip, cr2;
	u32 error;
	u16 cs;
	u8 vector, type;
	bool non_root;
};

enum activity { ACT_ACTIVE, ACT_HLT, ACT_SHUTDOWN, ACT_WAIT_SIPI, ACT_MWAIT };

/* Blocking by STI or MOV SS lasts until the instruction count moves past shadow_at. */
enum shadow { SHADOW_NONE, SHADOW_STI = 1, SHADOW_MOV_SS = 2 };

union vreg {
	u8 b[32];
	u16 w[16];
	u32 d[8];
	u64 q[4];
	s8 sb[32];
	s16 sw[16];
	s32 sd[8];
	s64 sq[4];
};

struct f80_reg {
	u64 sig;
	u16 se;
};

struct x87 {
	struct f80_reg st[8]; /* physical registers; MMi is st[i].sig */
	u16 fcw, fsw;	      /* fsw with TOP in bits 13:11 */
	u8 tag_valid; /* bit per physical register: 1 not empty (FXSAVE form of the tag word) */
	u16 fop, fcs, fds;
	u64 fip, fdp;
};

struct op;
struct block;

/* The decoded form of an op with a specialised handler that could not do it. Ops stay what they are
 * until the block cache starts anew (epoch). */
struct slow_insn {
	const struct op *op;
	u64 epoch;
	struct insn insn;
};
#define SLOW_INSNS 64

struct vcpu {
	/* --- arch, hot: byte offsets 0-255 --- */
	u64 reg[16];
	u64 zero;	    /* always 0: "no base", "no index" */
	u64 ripbase;	    /* derived: RIP of byte 0 of the current block's page */
	u64 fl_res, fl_aux; /* lazy CF PF AF ZF SF OF */
	u64 segbase[8];	    /* derived: what fast handlers add: 0 for flat segments */
	u64 lin_mask;	    /* derived: all-ones in 64-bit mode, else 32 bits */
	u64 slow_ea;	    /* scratch: linear address of a fast access that missed */
	u64 budget;	    /* while outside handlers: instructions that may still run */

	/* --- arch --- */
	u64 rip;
	u64 rflags; /* without the arithmetic flags: use flags_get/flags_set */
	struct seg seg[SEGS];
	struct dtr gdtr, idtr;
	u64 cr0, cr2, cr3, cr4, xcr0;
	u64 dr[4], dr6, dr7;
	u64 efer, star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, misc_enable, debugctl, xss, spec_ctrl, umwait_control, tsc_adjust, mtrr_def;
	u64 mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
	u64 mcg_status, mcg_ctl, mc_bank[32][4];
	u64 smbase, feature_control_pad;
	u64 pdpte[4];
	u32 pkru, mxcsr;
	u64 pkrs;
	u64 cet[2]; /* IA32_S_CET, IA32_U_CET */
	u64 ssp, pl_ssp[4], int_ssp_table;
	struct x87 x87;
	union vreg ymm[16];
	u64 monitor_addr;
	bool monitor_armed;
	u8 cpl;
	u8 activity; /* enum activity */
	u8 shadow;   /* enum shadow, in force while icount == shadow_at */
	bool nmi_blocked, in_smm, smm_nmi, nmi_pending, smi_pending, init_pending;
	bool sipi_pending, a20_masked;
	u8 sipi_vector;
	u64 shadow_at;
	/* Debug exceptions (DR6 form) to be delivered before the next instruction. A VM entry may ask
	 * for one without a cause: PENDING_DBG_ENABLED, which is no bit of DR6. */
#define PENDING_DBG_ENABLED BIT(12)
	u64 pending_dbg;
	struct event inject; /* set by VM entry: delivered before anything else */
	u64 icount;	     /* instructions retired at the last point outside a block */
	u64 skipped;	     /* ticks of virtual time not spent on instructions */
	s64 tsc_offset_host; /* IA32_TSC = ticks + this, writable by WRMSR */
	struct pmu pmu;
	struct vmx_state vmx;

	/* --- derived --- */
	struct event exc;  /* raised by the current instruction, waiting for event_deliver */
	u64 icount_end;	   /* icount + budget at the time the handlers were entered */
	u8 cur_left;	   /* instructions of the block behind the current generic one */
	u8 width_laddr;	   /* canonical width now: 48 or 57 */
	u8 mode;	   /* enum cpu_mode */
	u16 mode_key;	   /* block cache mode: see block.h */
	bool recheck;	   /* a wire or flag changed: look at events before the next block */
	bool intr_waiting; /* an interrupt is pending but blocked */
	bool leave;	   /* the host wants run to return */
	bool others_wait;  /* other CPUs could run: a CPU that waits gives its turn to them */
	bool step_mode;	   /* TF, breakpoints or a debugger: one instruction at a time */
	bool debugger;	   /* a debugger wants every instruction boundary */
	bool one_step;	   /* the next instruction alone, then events (interrupt shadow) */
	bool watch;	   /* data breakpoints armed in DR7 */
	bool cur_stale;	   /* the block being executed was invalidated */
	bool delivering;   /* inside event_deliver */
	bool event_ext;	   /* EXT bit of error codes that the delivery of an event raises */
	u8 stop_reason;	   /* enum vcpu_stop */
	u32 events_at;	   /* events ever delivered; ring index modulo EVENT_RING */
	struct event_record events[EVENT_RING];
	bool ibt_wait;	  /* the next instruction must be an ENDBRANCH */
	bool align_check; /* CR0.AM, RFLAGS.AC and CPL 3: misaligned accesses raise #AC */
	u32 attr_trap;	  /* enum insn_attr bits that need a look before exec, see check.c */
	void (*next_fn)(struct vcpu *, struct op *, struct tlb_table *, s64);
	struct op *next_op;	 /* loop dispatcher and leaving: what runs next, NULL none */
	u64 code_page;		 /* physical page of the current block */
	u8 leave_code;		 /* enum leave_code */
	u8 exec_code;		 /* enum exec_result, with LEAVE_EVENT */
	u64 hit_dr6;		 /* data breakpoints hit by the current instruction */
	struct tlb_table *table; /* current way's TLB table */
	struct walk_env walk;
	struct tlb tlb;
	struct slow_insn slow[SLOW_INSNS];

	/* --- fixed --- */
	unsigned id;
	const struct cpu_model *model;
	struct block_cache *blocks;
	const struct decoder *decoder;
	struct physmem *mem;
	struct bus *mmio, *pio;
	struct log *log;
	struct cpu_wires *wires;
	u64 phys_mask; /* address bits below MAXPHYADDR */
};

enum vcpu_stop {
	STOP_NONE,
	STOP_BUDGET,
	STOP_HALT,
	STOP_TRIPLE_FAULT,
	STOP_REQUEST,
	STOP_BREAKPOINT
};

/* How the CPU reaches its local APIC, time and the outside; set by the machine. */
struct cpu_wires {
	void *owner;
	/* Highest-priority interrupt to deliver now, or -1; acknowledge returns the vector. */
	int (*intr_pending)(void *owner);
	int (*intr_acknowledge)(void *owner);
	u64 (*get_cr8)(void *owner);
	void (*set_cr8)(void *owner, u64 value);
	/* APIC MSRs 1BH, 800H-8FFH, 6E0H: false means #GP. */
	bool (*apic_read)(void *owner, u32 msr, u64 *value);
	bool (*apic_write)(void *owner, u32 msr, u64 value);
	/* A write of 0 to the EOI register; a fixed IPI to NDST as posted interrupts name it. */
	void (*apic_eoi)(void *owner);
	void (*apic_notify)(void *owner, u32 ndst, u8 vector);
	/* Host-supplied randomness for RDRAND/RDSEED (seeded in deterministic mode). */
	u64 (*random)(void *owner);
	void (*tsc_changed)(void *owner); /* TSC written: TSC-deadline timers move */
	void (*smi_ack)(void *owner, bool in_smm);
	void (*pmi)(void *owner); /* a performance counter overflowed */
};

#endif
