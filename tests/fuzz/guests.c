/*
 * Runs random guests in this process, each for a bounded number of instructions:
 *
 *   fuzz [-n COUNT] [-s SEED] [-i INSTRUCTIONS] [-k KIND] [-v] [-d LOGS]
 *
 * Guest N is made from SEED + N alone, so `fuzz -n 1 -s THAT` repeats one. The sanitizers of the build
 * judge; besides, one guest in eight runs twice and must end in the same state, and one that makes no
 * progress for two minutes is a hang. Before each guest its seed goes to standard error, where the
 * machine also reports triple faults. KIND is a number of fuzz.h, LOGS what gigogne's -d takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/model.h"
#include "machine/machine.h"
#include "tests/fuzz/fuzz.h"

enum { HANG_SECONDS = 120, IDLE_POLLS = 50, DISK_SIZE = 256 * 1024, OUTCOMES = 256 };

struct guest {
	u64 seed, insns;
	enum fuzz_kind kind;
	struct image image;
	struct machine *machine;
	struct host_chardev chr;
	struct host_entropy entropy;
	struct host_block block[2];
	struct cpu_model model;
	struct vmx_model_mask mask;
	struct rng noise;
	u32 logs;
	unsigned idle;
	u8 disk[2][DISK_SIZE];
};

#define EXIT_REASONS ARRAY_SIZE(((struct vmx_state *)0)->exits)

struct result {
	bool refused;
	int code;
	u64 hash;
	u64 entries, exits[EXIT_REASONS];
};

/* --- the host that the guest has --- */

static int disk_read(void *owner, u64 offset, void *buf, size_t len)
{
	memcpy(buf, (u8 *)owner + offset, len);
	return 0;
}

static int disk_write(void *owner, u64 offset, const void *buf, size_t len)
{
	memcpy((u8 *)owner + offset, buf, len);
	return 0;
}

static int disk_flush(void *owner)
{
	(void)owner;
	return 0;
}

static void discard(void *owner, const u8 *data, size_t len)
{
	(void)owner;
	(void)data;
	(void)len;
}

static void entropy_fill(void *owner, void *buf, size_t len)
{
	struct guest *g = owner;

	for (size_t i = 0; i < len; i++)
		((u8 *)buf)[i] = (u8)rng_next(&g->noise);
}

/* A guest that only waits is over. */
static void poll_host(void *owner, bool idle, int max_ms)
{
	struct guest *g = owner;

	if (idle && (max_ms || ++g->idle == IDLE_POLLS))
		machine_stop(g->machine, EXIT_TIME_LIMIT);
}

static void add_disks(struct guest *g, struct machine_config *cfg)
{
	memset(g->disk, 0x5a, sizeof(g->disk));
	for (unsigned n = 0; n < 2; n++) {
		g->block[n] = (struct host_block){.size = DISK_SIZE,
						  .read = disk_read,
						  .write = disk_write,
						  .flush = disk_flush,
						  .owner = g->disk[n]};
		cfg->drive[n] = (struct drive){.kind = n ? DRIVE_VIRTIO : DRIVE_NVME,
					       .file = "disk",
					       .block = &g->block[n]};
	}
	cfg->drives = 2;
}

static void type_something(struct guest *g, struct rng *r)
{
	u8 byte;

	for (unsigned n = rng_below(r, 8); n && g->chr.receive && g->chr.can_receive; n--) {
		byte = (u8)rng_next(r);
		if (g->chr.can_receive(g->chr.chip))
			g->chr.receive(g->chr.chip, &byte, 1);
	}
}

static void choose_machine(struct guest *g, struct machine_config *cfg, struct rng *r)
{
	static const char *const model[] = {"max",
					    "max",
					    "max",
					    "max",
					    "base",
					    "max,vmx=off",
					    "max,vmx-ept=off",
					    "max,-la57,-pcid"};
	static const char *const append[] = {
		"depth=1", "depth=2", "depth=3", "depth=4", "depth=6,shadow=off", ""};
	unsigned n = rng_below(r, ARRAY_SIZE(model));
	char err[256];

	if (!cpu_model_parse(&g->model, &g->mask, model[g->kind == FUZZ_VMCS ? 0 : n], err,
			     sizeof(err))) {
		fprintf(stderr, "fuzz: %s\n", err);
		exit(3);
	}
	cfg->ram = (u64)(g->kind >= FUZZ_NEST_BITS ? 64 : 16) << 20;
	cfg->cpus = rng_chance(r, 6) ? 1 + rng_below(r, 4) : 1;
	g->model.ncpus = cfg->cpus;
	cfg->model = &g->model;
	cfg->append = append[rng_below(r, 6)];
	cfg->rng = rng_chance(r, 2);
	cfg->testdev = rng_chance(r, 8);
	cfg->pvpanic = rng_chance(r, 8);
	cfg->serial[0] = &g->chr;
	cfg->console = rng_chance(r, 2) ? &(g->chr) : NULL;
	if (cfg->console)
		cfg->serial[0] = NULL;
	if (rng_chance(r, 2))
		add_disks(g, cfg);
}

static void count_exits(struct result *result, const struct vcpu *v)
{
	result->entries += v->vmx.entries;
	for (unsigned n = 0; n < EXIT_REASONS; n++)
		result->exits[n] += v->vmx.exits[n];
}

static struct result run(struct guest *g)
{
	struct rng r = {g->seed * 0x2545f4914f6cdd1dull + 1};
	struct log log = {.mask = g->logs};
	struct machine_config cfg = {
		.kernel = "guest", .no_reboot = true, .max_ns = 10000000000ull};
	struct result result = {0};
	char err[512];

	image_make(&g->image, g->kind, &r);
	g->chr = (struct host_chardev){.write = discard};
	g->noise = (struct rng){g->seed};
	g->entropy = (struct host_entropy){.fill = entropy_fill, .owner = g};
	g->idle = 0;
	choose_machine(g, &cfg, &r);
	cfg.image = g->image.byte;
	cfg.image_size = g->image.size;
	cfg.entropy = &g->entropy;
	cfg.max_insns = g->insns;
	cfg.log = &log;
	cfg.poll = poll_host;
	cfg.poll_owner = g;
	g->machine = machine_new(&cfg, err, sizeof(err));
	if (!g->machine) {
		result.refused = true;
		return result;
	}
	type_something(g, &r);
	result.code = machine_run(g->machine);
	result.hash = machine_hash(g->machine);
	for (unsigned n = 0; n < cfg.cpus; n++)
		count_exits(&result, machine_cpu(g->machine, n));
	machine_free(g->machine);
	return result;
}

/* --- many of them --- */

struct tally {
	u64 refused, twice, code[OUTCOMES];
	u64 entries, exits[EXIT_REASONS];
};

static bool one(struct guest *g, struct tally *t, bool verbose)
{
	struct result first, second;

	fprintf(stderr, "fuzz: seed %llu kind %u\n", (unsigned long long)g->seed, g->kind);
	watchdog_restart(HANG_SECONDS);
	first = run(g);
	if (verbose)
		printf("seed %llu kind %u: %s %d, hash %016llx\n", (unsigned long long)g->seed,
		       g->kind, first.refused ? "refused" : "ended with", first.code,
		       (unsigned long long)first.hash);
	t->refused += first.refused;
	t->entries += first.entries;
	for (unsigned n = 0; n < EXIT_REASONS; n++)
		t->exits[n] += first.exits[n];
	t->code[first.code & (OUTCOMES - 1)] += !first.refused;
	if (g->seed % 8)
		return true;
	watchdog_restart(HANG_SECONDS);
	second = run(g);
	t->twice++;
	if (first.refused == second.refused && first.code == second.code &&
	    first.hash == second.hash)
		return true;
	printf("fuzz: seed %llu: two runs differ\n", (unsigned long long)g->seed);
	return false;
}

static void print_tally(const struct tally *t, u64 count)
{
	printf("fuzz: %llu guests, %llu of them refused, %llu run twice; ends:",
	       (unsigned long long)count, (unsigned long long)t->refused,
	       (unsigned long long)t->twice);
	for (unsigned n = 0; n < OUTCOMES; n++)
		if (t->code[n])
			printf(" %u: %llu", n, (unsigned long long)t->code[n]);
	printf("\nfuzz: %llu VM entries; exits:", (unsigned long long)t->entries);
	for (unsigned n = 0; n < EXIT_REASONS; n++)
		if (t->exits[n])
			printf(" %u: %llu", n, (unsigned long long)t->exits[n]);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct tally t = {0};
	u64 count = 300, seed = 1;
	bool verbose = false, good = g != NULL;
	int option, kind = -1;
	u64 insns = 200000;
	u32 logs = 0;
	const char *bad;

	while ((option = getopt(argc, argv, "n:s:i:k:vd:")) != -1) {
		u64 value = optarg ? strtoull(optarg, NULL, 0) : 0;

		if (option == 'n')
			count = value;
		else if (option == 's')
			seed = value;
		else if (option == 'i')
			insns = value;
		else if (option == 'k')
			kind = (int)(value % FUZZ_KIND_COUNT);
		else if (option == 'v')
			verbose = true;
		else if (option == 'd' && log_parse(optarg, &logs, &bad))
			continue;
		else
			return 3;
	}
	for (u64 n = 0; good && n < count; n++) {
		g->seed = seed + n;
		g->logs = logs;
		g->kind = kind < 0 ? (enum fuzz_kind)(g->seed % FUZZ_KIND_COUNT)
				   : (enum fuzz_kind)kind;
		g->insns = g->kind >= FUZZ_NEST_BITS ? insns * 3 : insns;
		good = one(g, &t, verbose);
	}
	print_tally(&t, count);
	free(g);
	return good ? 0 : 1;
}
