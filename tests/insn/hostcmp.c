/*
 * Compares the interpreter with the processor under it: random short instruction sequences made from
 * the instruction table run natively in a child process, in the interpreter through its block cache
 * and fast handlers, and in the interpreter one generic instruction at a time. All three must agree.
 *
 *   hostcmp [-n COUNT] [-s SEED] [-r MNEMONIC]... [-j JOBS] [-c INDEX] [-l] [-v]
 *   hostcmp -z [-n COUNT] [-s SEED] [-v]
 *
 * Case number INDEX of a seed and a set of mnemonics is always the same. -l lists the rows, -z
 * compares the decoder with Zydis instead, which works on any host. Exit 0: no difference, or not an x86-64 host;
 * 1: differences; 2: the harness failed.
 */
#include "cpu/model.h"
#include "tests/insn/hostcmp.h"
#undef REG_RIP /* <sys/wait.h> brings another */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_JOBS 16
#define MAX_FILTERS 32
#define MAX_ROWS 4096
#define SHOWN 20
#define ATTEMPTS 3 /* to get another answer from the processor */
#define DIED 0xfe

struct options {
	u64 count, seed, only; /* only: one case, ~0 all */
	const char *filter[MAX_FILTERS];
	unsigned filters, jobs;
	bool verbose, list, zydis;
};

/* Per job, in shared memory. */
struct totals {
	u64 compared, faults, differences, shown;
	u64 unsteady; /* the processor did otherwise when asked again */
	bool failed;
	u32 row[MAX_ROWS], row_differs[MAX_ROWS];
};

struct job {
	const struct options *opt;
	struct totals *t;
	struct native *native, *again; /* again: for one case, made when needed */
	const u8 *ro_page;
	struct interp *interp;
	struct gen gen;
	struct hc_result fast, slow;
	bool pending[2];
	u64 first[2]; /* number of a batch's first case */
};

/* --- rows --- */

struct row_list {
	u16 row[MAX_ROWS];
	bool can_run[MAX_ROWS];
	unsigned n, no_feature, other_maker;
};

static bool wanted(const struct options *o, const char *name)
{
	for (unsigned k = 0; k < o->filters; k++)
		if (!strcmp(o->filter[k], name))
			return true;
	return !o->filters;
}

static void choose_rows(const struct options *o, const struct cpu_model *m, struct row_list *l)
{
	for (unsigned k = 0; k < insn_row_count && k < MAX_ROWS; k++) {
		const struct insn_row *r = &insn_rows[k];

		if (!gen_row_usable(r) || !model_has(m, r->feature))
			continue;
		l->can_run[k] = host_has(r->feature) && !hc_of_other_maker(r);
		if (!wanted(o, r->name))
			continue;
		l->other_maker += hc_of_other_maker(r);
		if (l->can_run[k])
			l->row[l->n++] = (u16)k;
		else if (!host_has(r->feature) && l->no_feature++ < SHOWN)
			printf("insn: this processor has no %s (%s)\n", r->name,
			       cpu_feature_name(r->feature));
	}
	if (l->no_feature)
		printf("insn: %u rows skipped, their feature is missing here\n", l->no_feature);
	if (l->other_maker)
		printf("insn: %u rows are compared on processors of Intel only\n", l->other_maker);
	if (!host_fsgsbase())
		printf("insn: FS and GS prefixes skipped, their bases cannot be set here\n");
}

/* --- one job --- */

static void count_rows(struct job *j, const struct hc_case *c, bool differs)
{
	for (unsigned k = 0; k < c->n; k++) {
		j->t->row[c->insn[k].row]++;
		j->t->row_differs[c->insn[k].row] += differs;
	}
}

static void report(struct job *j, u64 number, const struct hc_case *c, const struct hc_result *host,
		   bool fast, bool slow)
{
	if (j->t->shown++ >= SHOWN && j->opt->only == ~0ull)
		return;
	printf("case %llu (-s %llu -c %llu):", (unsigned long long)number,
	       (unsigned long long)j->opt->seed, (unsigned long long)number);
	for (unsigned k = 0; k < c->n; k++)
		printf(" %s", insn_rows[c->insn[k].row].name);
	printf(": %s\n", host->vector == DIED ? "the native run died or hung"
			 : fast && slow	      ? "differs"
			 : fast		      ? "only the fast handlers differ"
					      : "only the generic handlers differ");
	if (!j->opt->verbose)
		return;
	hc_print_case(stdout, c);
	if (host->vector != DIED && fast)
		hc_print_diff(stdout, c, "fast", host, &j->fast);
	if (host->vector != DIED && slow)
		hc_print_diff(stdout, c, "generic", host, &j->slow);
}

/* The case once more on the processor, alone; NULL: no child could be had. */
static const struct hc_result *ask_again(struct job *j, const struct hc_batch *b, unsigned k)
{
	struct hc_batch *one;

	if (!j->again)
		j->again = native_start(j->ro_page);
	if (!j->again)
		return NULL;
	one = native_batch(j->again, 0);
	memcpy(one->data, b->data, sizeof(one->data));
	one->c[0] = b->c[k];
	one->n = 1;
	one->current = 0;
	native_run(j->again, 0);
	if (!native_wait(j->again, 0))
		one->r[0].vector = DIED;
	return &one->r[0];
}

static void judge(struct job *j, const struct hc_case *c, const struct hc_result *host, bool *fast,
		  bool *slow)
{
	*fast = host->vector == DIED || hc_differ(c, host, &j->fast, c->in.rflags & RFLAGS_AC);
	*slow = host->vector == DIED || hc_differ(c, host, &j->slow, true);
}

/* Under some hypervisors an instruction is now and then refused that runs the next time: what a
 * processor does only once is not held against the interpreter, but counted. */
static void check_case(struct job *j, const struct hc_batch *b, unsigned k, u64 number)
{
	const struct hc_case *c = &b->c[k];
	const struct hc_result *host = &b->r[k];
	bool fast, slow;

	interp_run(j->interp, b, c, false, &j->fast);
	interp_run(j->interp, b, c, true, &j->slow);
	judge(j, c, host, &fast, &slow);
	if (fast || slow) {
		for (unsigned n = 0; n < ATTEMPTS && (fast || slow); n++) {
			const struct hc_result *again = ask_again(j, b, k);

			if (again)
				judge(j, c, again, &fast, &slow);
		}
		j->t->unsteady += !fast && !slow;
	}
	j->t->compared++;
	j->t->faults += host->vector != HC_NO_FAULT;
	count_rows(j, c, fast || slow);
	if (!fast && !slow)
		return;
	j->t->differences++;
	report(j, number, c, host, fast, slow);
}

static void fill_batch(struct job *j, unsigned which, u64 first)
{
	struct hc_batch *b = native_batch(j->native, which);
	struct rng data = {.s = j->opt->seed * 0x9e3779b97f4a7c15ull + first};

	j->first[which] = first;
	value_fill(&data, b->data, HC_DATA_RW, rnd_below(&data, VALUE_KINDS));
	b->n = HC_BATCH;
	if (first + b->n > j->opt->count)
		b->n = (u32)(j->opt->count - first);
	b->current = 0;
	for (unsigned k = 0; k < b->n; k++) {
		j->gen.rng.s = (j->opt->seed << 40) + (first + k) * 0xd1342543de82ef95ull;
		gen_case(&j->gen, &b->c[k]);
	}
	j->pending[which] = true;
	native_run(j->native, which);
}

static void finish_batch(struct job *j, unsigned which)
{
	struct hc_batch *b = native_batch(j->native, which);

	while (!native_wait(j->native, which)) {
		if (b->current < b->n)
			b->r[b->current++].vector = DIED;
		native_run(j->native, which);
		if (j->pending[!which])
			native_run(j->native, !which);
	}
	j->pending[which] = false;
	for (unsigned k = 0; k < b->n; k++)
		if (j->opt->only == ~0ull || j->opt->only == j->first[which] + k)
			check_case(j, b, k, j->first[which] + k);
}

/* Batch numbers job, job + jobs, ...; the child works on one while the other is checked. */
static void run_batches(struct job *j, unsigned job)
{
	u64 step = (u64)HC_BATCH * j->opt->jobs, at = (u64)HC_BATCH * job;
	unsigned which = 0;

	if (j->opt->only != ~0ull)
		at = j->opt->only / HC_BATCH * HC_BATCH;
	for (; at < j->opt->count; at += step, which ^= 1) {
		fill_batch(j, which, at);
		if (j->pending[!which])
			finish_batch(j, !which);
	}
	if (j->pending[!which])
		finish_batch(j, !which);
}

static bool run_job(const struct options *o, unsigned job, const struct cpu_model *m,
		    const struct row_list *rows, struct totals *t)
{
	struct job *j = calloc(1, sizeof(*j));
	struct rng ro = {.s = o->seed};
	u8 page[HC_DATA_RO];

	if (!j)
		return false;
	value_fill(&ro, page, sizeof(page), VALUE_INT);
	j->opt = o;
	j->t = t;
	j->ro_page = page;
	j->native = native_start(page);
	j->interp = interp_new(m, page);
	if (!j->native || !j->interp)
		return false;
	j->gen = (struct gen){.rows = rows->row,
			      .nrows = rows->n,
			      .can_run = rows->can_run,
			      .fsgs = host_fsgsbase(),
			      .intel = host_is_intel(),
			      .decoder = interp_decoder(j->interp)};
	run_batches(j, job);
	native_stop(j->native);
	if (j->again)
		native_stop(j->again);
	interp_free(j->interp);
	free(j);
	return true;
}

/* --- all of them --- */

static void spawn_jobs(const struct options *o, const struct cpu_model *m,
		       const struct row_list *rows, struct totals *t)
{
	fflush(stdout);
	for (unsigned k = 0; k < o->jobs; k++) {
		pid_t pid = fork();

		if (pid == 0) {
			t[k].failed = true;
			t[k].failed = !run_job(o, k, m, rows, &t[k]);
			fflush(stdout);
			_exit(0);
		}
		if (pid < 0)
			t[k].failed = true;
	}
	while (wait(NULL) > 0)
		;
}

static void print_rows(const struct options *o, const struct totals *sum)
{
	for (unsigned k = 0; k < insn_row_count && k < MAX_ROWS; k++) {
		const struct insn_row *r = &insn_rows[k];

		if (sum->row_differs[k] || (o->list && sum->row[k]))
			printf("  %-12s map %u opcode %02x modrm %03x: %u cases, %u with differences\n",
			       r->name, r->map, r->opcode, r->modrm, sum->row[k],
			       sum->row_differs[k]);
	}
}

/* Adds the jobs' totals up in the first. */
static int summary(const struct options *o, struct totals *t)
{
	unsigned rows = 0;

	for (unsigned k = 1; k < o->jobs; k++) {
		t->compared += t[k].compared;
		t->faults += t[k].faults;
		t->differences += t[k].differences;
		t->unsteady += t[k].unsteady;
		t->failed |= t[k].failed;
		for (unsigned r = 0; r < MAX_ROWS; r++) {
			t->row[r] += t[k].row[r];
			t->row_differs[r] += t[k].row_differs[r];
		}
	}
	for (unsigned r = 0; r < MAX_ROWS; r++)
		rows += t->row[r] != 0;
	print_rows(o, t);
	if (t->failed)
		fprintf(stderr, "insn: the harness failed\n");
	printf("insn: %llu ended in a fault\n", (unsigned long long)t->faults);
	printf("insn: %llu compared, %u rows, %llu differences\n", (unsigned long long)t->compared,
	       rows, (unsigned long long)t->differences);
	if (t->unsteady)
		printf("insn: %llu times this processor did not repeat what it did first\n",
		       (unsigned long long)t->unsteady);
	if (t->unsteady > 10 + t->compared / 10000) {
		fprintf(stderr, "insn: this processor is not steady enough to compare with\n");
		return 2;
	}
	return t->failed ? 2 : t->differences != 0;
}

static bool parse(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){.count = 100000, .seed = 1, .only = ~0ull, .jobs = 1};
	while ((c = getopt(argc, argv, "n:s:r:j:c:lvz")) != -1) {
		switch (c) {
		case 'n':
			o->count = strtoull(optarg, NULL, 0);
			break;
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			o->only = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			o->jobs = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'l':
			o->list = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'z':
			o->zydis = true;
			break;
		case 'r':
			if (o->filters < MAX_FILTERS)
				o->filter[o->filters++] = optarg;
			break;
		default:
			return false;
		}
	}
	if (o->only != ~0ull) {
		o->count = o->only + 1;
		o->jobs = 1;
	}
	return optind == argc && o->jobs >= 1 && o->jobs <= MAX_JOBS;
}

int main(int argc, char **argv)
{
	struct vmx_model_mask mask;
	struct row_list rows = {0};
	struct cpu_model model;
	struct options o;
	struct totals *t;
	char err[128];

	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "usage: hostcmp [-n COUNT] [-s SEED] [-r MNEMONIC]... [-j JOBS] "
				"[-c INDEX] [-l] [-v] [-z]\n");
		return 2;
	}
	if (o.zydis)
		return decode_compare(o.count, o.seed, o.verbose);
	if (!host_has(FEAT_LM) || !host_has(FEAT_AVX)) {
		printf("insn: skipped: this host is not an x86-64 processor with AVX\n");
		return 0;
	}
	if (!cpu_model_parse(&model, &mask, "max", err, sizeof(err)))
		return 2;
	choose_rows(&o, &model, &rows);
	t = mmap(NULL, sizeof(*t) * o.jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		 0);
	if (t == MAP_FAILED || !rows.n) {
		fprintf(stderr, "insn: no such row\n");
		return 2;
	}
	spawn_jobs(&o, &model, &rows, t);
	return summary(&o, t);
}
