/*
 * The decoded instruction and the row of the instruction table (insn.def) it came from.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "base/types.h"

struct vcpu;
struct insn;

/*
 * How an instruction ends. Anything but EXEC_NEXT leaves the block at once.
 */
enum exec_result {
	EXEC_NEXT = 0, /* done; rip is advanced by the caller */
	EXEC_JUMP,     /* done; the handler has set v->rip (branches, mode changes) */
	EXEC_LEAVE,    /* done; rip is advanced by the caller, then events are looked at */
	EXEC_RESTART,  /* part of a repeated instruction done; rip stays, events are looked at */
	EXEC_FAULT,    /* not done: an exception is pending in v->exc; rip stays */
	EXEC_VMEXIT,   /* a VM exit or VM entry happened: all of the state is already the new one */
	EXEC_STOP, /* done; rip is advanced, then the vCPU stops (HLT, shutdown, host request) */
};

typedef int exec_fn(struct vcpu *v, const struct insn *i);

enum insn_prefix {
	P_66 = 1,
	P_67 = 2,
	P_F2 = 4, /* REPNE; the last of F2/F3 counts */
	P_F3 = 8, /* REP/REPE */
	P_LOCK = 16,
	P_REX = 32,
	P_REXW = 64, /* REX.W or VEX.W */
	P_VEX = 128,
};

#define REG_NONE 0xff
#define REG_RIP 16 /* as a base */

/* 64 bytes: two slots of a block. Registers are numbers 0-15 with REX/VEX bits in. */
struct insn {
	exec_fn *exec;
	u64 imm;  /* immediate, sign- or zero-extended as the operand kind says; rel: signed */
	s64 disp; /* displacement; for moffs the whole offset */
	const struct insn_row *row;
	u8 len;	     /* bytes, 1-15 */
	u8 left;     /* instructions of the block behind this one */
	u8 opsize;   /* effective operand size in bytes: 2, 4 or 8 (1 for byte forms) */
	u8 addrsize; /* 2, 4 or 8 */
	u8 prefix;   /* enum insn_prefix */
	u8 opcode, modrm;
	u8 mod;		       /* 3: register form */
	u8 reg, rm;	       /* ModRM.reg and ModRM.rm with extension bits */
	u8 base, index, scale; /* memory form: register number, REG_RIP or REG_NONE; scale 0-3 */
	u8 seg;		       /* segment of the memory operand, overrides and defaults resolved */
	u8 vvvv;	       /* VEX.vvvv */
	u8 vl;		       /* vector length in bytes: 16 or 32 */
	u16 imm2;	 /* second immediate: far selector, ENTER level; is4 register (imm8[7:4]) */
	u8 seg_override; /* explicit segment prefix number + 1, 0 none */
	u8 nbytes_op;	 /* size of the row's memory operand in bytes where fixed, else 0 */
	u32 attr;	 /* the row's, so that checks touch one cache line */
	bool notrack;	 /* prefix 3EH, the last of its group */
	u8 spare[3];
};
_Static_assert(sizeof(struct insn) == 64, "two block slots");

static inline bool insn_is_mem(const struct insn *i)
{
	return i->mod != 3;
}

/* Operand kinds in the SDM's letters, see operand.def. */
enum operand {
#define O(name, kind, size, text) OP_##name,
#include "cpu/operand.def"
	OP_KINDS
};

enum insn_map { M_1B, M_0F, M_0F38, M_0F3A, V_0F, V_0F38, V_0F3A, INSN_MAPS };

/* Mandatory prefix class. ANY rows are the fall-back where no more specific row matches. */
enum insn_pfx { ANY, NP, P66, PF3, PF2 };

/* ModRM constraint. */
#define NOM 0x000u	     /* no ModRM byte */
#define MRM 0x100u	     /* any ModRM */
#define MEM 0x200u	     /* memory form only */
#define REG 0x300u	     /* register form only */
#define SL(n) (0x400u + (n)) /* /n, memory or register */
#define SM(n) (0x500u + (n)) /* /n, memory form only */
#define SR(n) (0x600u + (n)) /* /n, register form only */
#define XB(b) (0x700u + (b)) /* exactly this ModRM byte */

enum insn_attr {
	A_NONE = 0,
	A_I64 = 1u << 0,     /* invalid in 64-bit mode */
	A_O64 = 1u << 1,     /* valid in 64-bit mode only */
	A_D64 = 1u << 2,     /* operand size defaults to 64 in 64-bit mode */
	A_F64 = 1u << 3,     /* operand size is 64 in 64-bit mode whatever the prefixes */
	A_LOCK = 1u << 4,    /* LOCK allowed with a memory destination */
	A_CPL0 = 1u << 5,    /* #GP(0) unless CPL 0: checked by insn_check before exec */
	A_PROT = 1u << 6,    /* #UD in real and virtual-8086 mode */
	A_END = 1u << 7,     /* ends a block (may change mode, mapping or flow) */
	A_X87 = 1u << 8,     /* #NM on CR0.EM/TS, pending x87 #MF first */
	A_X87C = 1u << 9,    /* x87 control: #NM on EM/TS, no #MF check (FNINIT, FNSTSW...) */
	A_MMX = 1u << 10,    /* #UD on EM, #NM on TS, pending #MF */
	A_SSE = 1u << 11,    /* #UD on EM or CR4.OSFXSR=0, #NM on TS */
	A_AVX = 1u << 12,    /* #UD unless CR4.OSXSAVE and XCR0[2:1]=11b, PE, not VM86; #NM on TS */
	A_W0 = 1u << 13,     /* REX.W/VEX.W must be 0 (64-bit mode for VEX.W where it matters) */
	A_W1 = 1u << 14,     /* REX.W/VEX.W must be 1 */
	A_L0 = 1u << 15,     /* VEX.L must be 0 */
	A_L1 = 1u << 16,     /* VEX.L must be 1 */
	A_NOVVVV = 1u << 17, /* VEX.vvvv must be 1111b */
	A_ALIGN = 1u << 18,  /* memory operand must be aligned to its size, #GP(0) (legacy SSE) */
	A_FLOW = 1u << 19,   /* branch: sets rip */
	A_REGONLY = 1u << 20,  /* ModRM.mod is ignored: always the register form */
	A_USER = 1u << 21,     /* can run in user mode on the host: taken by the test generator */
	A_SIMDFP = 1u << 22,   /* raises SIMD floating-point exceptions through MXCSR */
	A_BNDALLOW = 1u << 23, /* F2 is accepted and ignored (near branches) */
};

/* Flag columns: FW written, FU undefined afterwards, FR read. Bits as in RFLAGS. */
#define FL_C 0x001u
#define FL_P 0x004u
#define FL_A 0x010u
#define FL_Z 0x040u
#define FL_S 0x080u
#define FL_O 0x800u
#define FL_ALL (FL_C | FL_P | FL_A | FL_Z | FL_S | FL_O)
struct insn_flags {
	u16 w, u, r;
};
/* The flags column of a row. */
#define FLG(w, u, r)                                                                               \
	{                                                                                          \
		(w), (u), (r)                                                                      \
	}
#define FLG0                                                                                       \
	{                                                                                          \
		0, 0, 0                                                                            \
	}
/* The operands column of a row. */
#define OPS0                                                                                       \
	{                                                                                          \
		0, 0, 0, 0                                                                         \
	}
#define OPS1(a)                                                                                    \
	{                                                                                          \
		OP_##a, 0, 0, 0                                                                    \
	}
#define OPS2(a, b)                                                                                 \
	{                                                                                          \
		OP_##a, OP_##b, 0, 0                                                               \
	}
#define OPS3(a, b, c)                                                                              \
	{                                                                                          \
		OP_##a, OP_##b, OP_##c, 0                                                          \
	}
#define OPS4(a, b, c, d)                                                                           \
	{                                                                                          \
		OP_##a, OP_##b, OP_##c, OP_##d                                                     \
	}

enum feature {
	FEAT_ALWAYS,
#define FEAT(id, name, leaf, sub, reg, bit, models) FEAT_##id,
#include "cpu/features.def"
	FEATURES
};

struct insn_row {
	u8 map, opcode, pfx;
	u8 feature;
	u16 modrm;
	const char *name; /* mnemonic, SDM spelling */
	u8 operand[4];	  /* enum operand, OP_none behind the last */
	struct insn_flags flags;
	u32 attr;
	exec_fn *exec;
};

extern const struct insn_row insn_rows[];
extern const unsigned insn_row_count;

#endif
