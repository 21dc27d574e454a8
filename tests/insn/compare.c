/*
 * What must agree between two runs of a case, and how a disagreement is printed. Flags that an
 * instruction leaves undefined are masked; RF in the saved flags is the fault's, not the program's.
 */
#include "tests/insn/hostcmp.h"

#define COMPARED_FLAGS (RFLAGS_ARITH | RFLAGS_DF | RFLAGS_TF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID)
#define LINUX_END 0x7ffffffff000ull /* of user addresses */
#define FSW_TOP 0x3800

enum known_field {
	KNOWN_TOP = 1, /* and the x87 tags */
	KNOWN_CR2 = 2, /* and the error code of the page fault */
	KNOWN_MXCSR = 4,
	KNOWN_DATA = 8,
	KNOWN_ORDER = 32,      /* which of two faults is seen */
	KNOWN_ALL = 64,	       /* nothing is compared */
	KNOWN_STEP_FLAGS = 16, /* when the interpreter runs one iteration at a time */
	KNOWN_YMM = 128,
	KNOWN_FLAGS = 512,
	KNOWN_NOT_RUN = 256, /* the row is left out */
};

static const struct {
	const char *name;
	u32 ignored;
} known[] = {
#define KNOWN(name, ignored, reason) {name, ignored},
#define OTHERS(name, opcode, ignored, reason)
#include "tests/insn/known.def"
};

/* The same on processors that Intel did not make; opcode 0: all of that name. */
static const struct {
	const char *name;
	u8 opcode;
	u32 ignored;
} others[] = {
#define KNOWN(name, ignored, reason)
#define OTHERS(name, opcode, ignored, reason) {name, opcode, ignored},
#include "tests/insn/known.def"
};

enum field {
	F_VECTOR,
	F_ERROR,
	F_CR2,
	F_RIP,
	F_FLAGS,
	F_REG,
	F_MXCSR,
	F_X87,
	F_YMM,
	F_DATA,
	FIELDS
};

/* Instructions that came to their end, as far as the place of the fault tells. */
static unsigned done(const struct hc_case *c, const struct hc_result *r)
{
	for (unsigned k = 0; r->vector != HC_NO_FAULT && k < c->n; k++)
		if (r->s.rip == (u64)HC_CODE + c->start + c->insn[k].off)
			return k;
	return c->n;
}

static u32 ignored_elsewhere(const struct insn_row *r)
{
	if (host_is_intel())
		return 0;
	for (unsigned j = 0; j < ARRAY_SIZE(others); j++)
		if (!strcmp(others[j].name, r->name) &&
		    (!others[j].opcode || others[j].opcode == r->opcode))
			return others[j].ignored;
	return 0;
}

bool hc_of_other_maker(const struct insn_row *r)
{
	return ignored_elsewhere(r) & KNOWN_NOT_RUN;
}

/* enum known_field bits for the instruction that faulted, if one did. */
static u32 ignored(const struct hc_case *c, const struct hc_result *r)
{
	unsigned k = done(c, r);
	const struct insn_row *row = &insn_rows[c->insn[k < c->n ? k : 0].row];

	if (k == c->n)
		return 0;
	for (unsigned j = 0; j < ARRAY_SIZE(known); j++)
		if (!strcmp(known[j].name, row->name))
			return known[j].ignored | ignored_elsewhere(row);
	return ignored_elsewhere(row);
}

static u64 flags_mask(const struct hc_case *c, const struct hc_result *host)
{
	return COMPARED_FLAGS & ~(u64)c->undef[done(c, host)];
}

/* Linux reports every fault beyond user addresses as a protection violation. */
static u32 error_code(const struct hc_result *r)
{
	const u32 with_error = 1u << 8 | 0x1fu << 10 | 1u << 17 | 1u << 21;

	if (r->vector >= 32 || !(with_error >> r->vector & 1))
		return 0;
	return r->vector == VEC_PF && r->cr2 >= LINUX_END ? r->error & ~1u : r->error;
}

static bool same_x87(const struct hc_state *a, const struct hc_state *b, bool but_top)
{
	for (unsigned k = 0; k < 8; k++)
		if (a->st[k].sig != b->st[k].sig || a->st[k].se != b->st[k].se)
			return false;
	if (but_top)
		return a->fcw == b->fcw && !((a->fsw ^ b->fsw) & ~FSW_TOP);
	return a->fcw == b->fcw && a->fsw == b->fsw && a->tags == b->tags;
}

static u32 differing(const struct hc_case *c, const struct hc_result *h, const struct hc_result *o)
{
	const struct hc_state *a = &h->s, *b = &o->s;
	u32 d = 0, skip = ignored(c, h);
	bool order = skip & KNOWN_ORDER && o->vector != HC_NO_FAULT && h->vector != o->vector;
	bool cr2 = h->vector == VEC_PF && !(skip & KNOWN_CR2) && !order;

	if (skip & KNOWN_ALL)
		return 0;
	d |= (u32)(!order && h->vector != o->vector) << F_VECTOR;
	d |= (u32)(!order && (cr2 || h->vector != VEC_PF) && error_code(h) != error_code(o))
	     << F_ERROR;
	d |= (u32)(cr2 && h->cr2 != o->cr2) << F_CR2;
	d |= (u32)(a->rip != b->rip) << F_RIP;
	d |= (u32)(!(skip & KNOWN_FLAGS) && ((a->rflags ^ b->rflags) & flags_mask(c, h)) != 0)
	     << F_FLAGS;
	d |= (u32)(memcmp(a->reg, b->reg, sizeof(a->reg)) != 0) << F_REG;
	d |= (u32)(!(skip & KNOWN_MXCSR) && a->mxcsr != b->mxcsr) << F_MXCSR;
	d |= (u32)!same_x87(a, b, skip & KNOWN_TOP) << F_X87;
	d |= (u32)(!(skip & KNOWN_YMM) && memcmp(a->ymm, b->ymm, sizeof(a->ymm)) != 0) << F_YMM;
	d |= (u32)(!(skip & KNOWN_DATA) && memcmp(h->data, o->data, sizeof(h->data)) != 0)
	     << F_DATA;
	return d;
}

bool hc_differ(const struct hc_case *c, const struct hc_result *host, const struct hc_result *own,
	       bool stepped)
{
	u32 d = differing(c, host, own);

	if (stepped && ignored(c, host) & KNOWN_STEP_FLAGS)
		d &= ~(1u << F_FLAGS);
	return d != 0;
}

/* --- printing --- */

static const char *const reg_name[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
				       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static void print_insns(FILE *out, const struct hc_case *c)
{
	for (unsigned k = 0; k < c->n; k++) {
		const struct hc_insn *h = &c->insn[k];

		fprintf(out, "  %08x ", HC_CODE + c->start + h->off);
		for (unsigned b = 0; b < h->len; b++)
			fprintf(out, "%02x ", c->code[h->off + b]);
		fprintf(out, " %s\n", insn_rows[h->row].name);
	}
}

static void print_vreg(FILE *out, const union vreg *x)
{
	fprintf(out, "%016llx_%016llx_%016llx_%016llx", (unsigned long long)x->q[3],
		(unsigned long long)x->q[2], (unsigned long long)x->q[1],
		(unsigned long long)x->q[0]);
}

void hc_print_case(FILE *out, const struct hc_case *c)
{
	const struct hc_state *s = &c->in;

	print_insns(out, c);
	for (unsigned k = 0; k < 16; k++)
		fprintf(out, "  %-3s %016llx%s", reg_name[k], (unsigned long long)s->reg[k],
			k % 4 == 3 ? "\n" : "");
	fprintf(out, "  flags %06llx mxcsr %04x fcw %04x fsw %04x tags %02x fs %llx gs %llx\n",
		(unsigned long long)s->rflags, s->mxcsr, s->fcw, s->fsw, s->tags,
		(unsigned long long)s->fs_base, (unsigned long long)s->gs_base);
	for (unsigned k = 0; k < 8; k++)
		fprintf(out, "  fp%u %04x_%016llx%s", k, s->st[k].se,
			(unsigned long long)s->st[k].sig, k % 4 == 3 ? "\n" : "");
	for (unsigned k = 0; k < 16; k++) {
		fprintf(out, "  ymm%-2u ", k);
		print_vreg(out, &s->ymm[k]);
		fprintf(out, k % 2 ? "\n" : "");
	}
	for (unsigned k = 0; k < c->patches; k++) {
		fprintf(out, "  [%08x] ", HC_DATA + c->patch[k].off);
		for (unsigned b = 0; b < c->patch[k].n; b++)
			fprintf(out, "%02x ", c->patch[k].bytes[b]);
		fprintf(out, "\n");
	}
}

static void print_x87(FILE *out, const struct hc_state *a, const struct hc_state *b)
{
	fprintf(out, "    fcw %04x | %04x  fsw %04x | %04x  tags %02x | %02x\n", a->fcw, b->fcw,
		a->fsw, b->fsw, a->tags, b->tags);
	for (unsigned k = 0; k < 8; k++)
		if (a->st[k].sig != b->st[k].sig || a->st[k].se != b->st[k].se)
			fprintf(out, "    fp%u %04x_%016llx | %04x_%016llx\n", k, a->st[k].se,
				(unsigned long long)a->st[k].sig, b->st[k].se,
				(unsigned long long)b->st[k].sig);
}

static void print_regs(FILE *out, const struct hc_state *a, const struct hc_state *b)
{
	for (unsigned k = 0; k < 16; k++)
		if (a->reg[k] != b->reg[k])
			fprintf(out, "    %-3s %016llx | %016llx\n", reg_name[k],
				(unsigned long long)a->reg[k], (unsigned long long)b->reg[k]);
}

static void print_ymm(FILE *out, const struct hc_state *a, const struct hc_state *b)
{
	for (unsigned k = 0; k < 16; k++) {
		if (!memcmp(&a->ymm[k], &b->ymm[k], sizeof(a->ymm[k])))
			continue;
		fprintf(out, "    ymm%-2u ", k);
		print_vreg(out, &a->ymm[k]);
		fprintf(out, "\n        | ");
		print_vreg(out, &b->ymm[k]);
		fprintf(out, "\n");
	}
}

static void print_data(FILE *out, const u8 *a, const u8 *b)
{
	unsigned shown = 0;

	for (unsigned k = 0; k < HC_DATA_RW && shown < 32; k++)
		if (a[k] != b[k] && ++shown)
			fprintf(out, "    [%08x] %02x | %02x\n", HC_DATA + k, a[k], b[k]);
}

void hc_print_diff(FILE *out, const struct hc_case *c, const char *who, const struct hc_result *h,
		   const struct hc_result *o)
{
	const struct hc_state *a = &h->s, *b = &o->s;
	u32 d = differing(c, h, o);

	fprintf(out, "  host | %s:\n", who);
	if (d & (1u << F_VECTOR | 1u << F_ERROR | 1u << F_CR2 | 1u << F_RIP))
		fprintf(out, "    vector %02x error %x cr2 %llx rip %llx | %02x %x %llx %llx\n",
			h->vector, h->error, (unsigned long long)h->cr2, (unsigned long long)a->rip,
			o->vector, o->error, (unsigned long long)o->cr2,
			(unsigned long long)b->rip);
	if (d & 1u << F_FLAGS)
		fprintf(out, "    flags %06llx | %06llx, compared %06llx\n",
			(unsigned long long)a->rflags, (unsigned long long)b->rflags,
			(unsigned long long)flags_mask(c, h));
	print_regs(out, a, b);
	if (d & 1u << F_MXCSR)
		fprintf(out, "    mxcsr %04x | %04x\n", a->mxcsr, b->mxcsr);
	if (d & 1u << F_X87)
		print_x87(out, a, b);
	print_ymm(out, a, b);
	print_data(out, h->data, o->data);
}
