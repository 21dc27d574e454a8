// Benchmarks to be run inside a guest: bench [-p PERCENT] NAME...|all|list
//
// Prints "bench NAME begin" and "bench NAME end CHECKSUM" on the console; whoever runs the machine
// takes its own CPU time between the two. At 100 percent (the default) a benchmark is some two
// thousand million instructions, which is four seconds at 500 MIPS. "all" leaves out the three
// that need our VMM below (portout, mmio) or an exit to count (cpuid).

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct benchmark {
	const char *name;
	uint64_t (*run)(unsigned percent);
	int in_all;
};

static const struct benchmark benchmarks[] = {
	{"intmix", bench_intmix, 1},
	{"bytecode", bench_bytecode, 1},
	{"sha256", bench_sha256, 1},
	{"lz", bench_lz, 1},
	{"fp", bench_fp, 1},
	{"chase", bench_chase, 1},
	{"memcpy", bench_memcpy, 1},
	{"faults", bench_faults, 1},
	{"syscalls", bench_syscalls, 1},
	{"pipe", bench_pipe, 1},
	{"forkexec", bench_forkexec, 1},
	{"cpuid", bench_cpuid, 0},
	{"portout", bench_portout, 0},
	{"mmio", bench_mmio, 0},
};

static const unsigned count = sizeof(benchmarks) / sizeof(benchmarks[0]);

static int run(const char *name, unsigned percent)
{
	int all = strcmp(name, "all") == 0, found = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct benchmark *b = &benchmarks[i];
		uint64_t checksum;

		if (all ? !b->in_all : strcmp(name, b->name) != 0)
			continue;
		found = 1;
		printf("bench %s begin\n", b->name);
		fflush(stdout);
		checksum = b->run(percent);
		printf("bench %s end %016llx\n", b->name, (unsigned long long)checksum);
		fflush(stdout);
	}
	if (!found)
		fprintf(stderr, "bench: no benchmark %s\n", name);
	return found ? 0 : 1;
}

int main(int argc, char **argv)
{
	unsigned percent = 100;
	int i = 1, status = 0;

	if (argc == 2 && strcmp(argv[1], "nothing") == 0)
		return 0; // what forkexec executes
	if (i + 1 < argc && strcmp(argv[i], "-p") == 0) {
		percent = (unsigned)strtoul(argv[i + 1], NULL, 10);
		i += 2;
	}
	if (i == argc || percent == 0 || percent > 10000) {
		fputs("usage: bench [-p PERCENT] NAME...|all|list\n", stderr);
		return 2;
	}
	if (strcmp(argv[i], "list") == 0) {
		for (unsigned b = 0; b < count; b++)
			puts(benchmarks[b].name);
		return 0;
	}
	for (; i < argc; i++)
		status |= run(argv[i], percent);
	return status;
}
