/*
 * The comparison of the interpreter with the processor that runs it: what the generator, the native
 * child, the interpreter's side and the comparison share. A case is one state and 1-4 instructions;
 * the same linear addresses are mapped in the child process and in the guest's page tables.
 */
#ifndef TESTS_INSN_HOSTCMP_H
#define TESTS_INSN_HOSTCMP_H

#include "cpu/cpu.h"
#include "tests/insn/layout.h"
#include "tests/insn/values.h"

#define HC_INSNS 4
#define HC_PATCHES 6
#define HC_BATCH 128

/* x87 registers by physical number, as in struct vcpu. */
struct hc_state {
	u64 reg[16], rip, rflags, fs_base, gs_base;
	u32 mxcsr;
	u16 fcw, fsw;
	u8 tags; /* bit per physical register: 1 not empty */
	struct f80_reg st[8];
	union vreg ymm[16];
};

#define HC_NO_FAULT 0xff

struct hc_result {
	struct hc_state s;
	u8 vector; /* HC_NO_FAULT: the end was reached */
	u32 error;
	u64 cr2;
	u8 data[HC_DATA_RW];
};

/* Bytes put over the batch's data before a case runs. */
struct hc_patch {
	u16 off;
	u8 n;
	u8 bytes[64];
};

struct hc_insn {
	u8 off, len; /* in code[] */
	u16 row;
};

struct hc_case {
	struct hc_state in;
	u8 code[HC_INSNS * INSN_BYTES + HC_JUMP_BYTES];
	u8 code_len, n, patches;
	u16 start; /* of code[], from HC_CODE */
	struct hc_insn insn[HC_INSNS];
	u16 undef[HC_INSNS + 1]; /* flags undefined before instruction k */
	struct hc_patch patch[HC_PATCHES];
};

struct hc_batch {
	u32 n;
	u32 current; /* what the child is at */
	struct hc_case c[HC_BATCH];
	struct hc_result r[HC_BATCH];
	u8 data[HC_DATA_RW];
};

/* --- features.c: what this processor has --- */
bool host_has(enum feature f);
/* Made by Intel: what the SDM leaves to the processor is as the SDM's processors do it. */
bool host_is_intel(void);
/* User code may set the bases of FS and GS. */
bool host_fsgsbase(void);

/* --- gen.c --- */
struct gen {
	struct rng rng;
	const u16 *rows; /* to choose from */
	unsigned nrows;
	const bool *can_run; /* by row: usable and present on this processor */
	bool fsgs;	     /* FS and GS prefixes too */
	bool intel;	     /* Intel's processor: what makers do differently, too */
	const struct decoder *decoder;
};
/* Rows that are compared: marked A_USER, or runnable with the care that recipes.def describes. */
bool gen_row_usable(const struct insn_row *r);
void gen_case(struct gen *g, struct hc_case *c);

/* --- native.c: the child process --- */
struct native;
struct native *native_start(const u8 *ro_page);
void native_stop(struct native *n);
struct hc_batch *native_batch(struct native *n, unsigned which);
void native_run(struct native *n, unsigned which);
/* False: the child died or hung at batch->current; a new one has taken its place. */
bool native_wait(struct native *n, unsigned which);

/* --- interp.c --- */
struct interp;
struct interp *interp_new(const struct cpu_model *model, const u8 *ro_page);
void interp_free(struct interp *p);
const struct decoder *interp_decoder(const struct interp *p);
/* stepping: one generic instruction at a time; else block cache and fast handlers. */
void interp_run(struct interp *p, const struct hc_batch *b, const struct hc_case *c, bool stepping,
		struct hc_result *out);

/* --- decode_cmp.c --- */
/* An exit status: 1 if the decoder and Zydis disagree. */
int decode_compare(u64 count, u64 seed, bool verbose);

/* --- compare.c --- */
/* The row's results are those of one maker's processors, and this one is of another. */
bool hc_of_other_maker(const struct insn_row *r);
/* True if they differ in what is defined. */
bool hc_differ(const struct hc_case *c, const struct hc_result *host, const struct hc_result *own,
	       bool stepped);
void hc_print_case(FILE *out, const struct hc_case *c);
void hc_print_diff(FILE *out, const struct hc_case *c, const char *who,
		   const struct hc_result *host, const struct hc_result *own);

#endif
