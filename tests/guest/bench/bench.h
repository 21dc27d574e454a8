// The benchmarks of a guest. Each takes how much to do, 100 being the full measure, and returns a
// checksum that depends on everything computed and on nothing else, so that two machines can be
// compared for results as well as for time.

#ifndef GUEST_BENCH_H
#define GUEST_BENCH_H

#include <stdint.h>

// bench_cpu.c
uint64_t bench_intmix(unsigned percent);
uint64_t bench_bytecode(unsigned percent);
uint64_t bench_sha256(unsigned percent);
uint64_t bench_lz(unsigned percent);
uint64_t bench_fp(unsigned percent);

// bench_memory.c
uint64_t bench_chase(unsigned percent);
uint64_t bench_memcpy(unsigned percent);
uint64_t bench_faults(unsigned percent);

// bench_system.c
uint64_t bench_syscalls(unsigned percent);
uint64_t bench_pipe(unsigned percent);
uint64_t bench_forkexec(unsigned percent);
uint64_t bench_cpuid(unsigned percent);
uint64_t bench_portout(unsigned percent);
uint64_t bench_mmio(unsigned percent);

// The value of a 64-bit linear congruential generator after `*state`.
static inline uint64_t bench_random(uint64_t *state)
{
	*state = *state * 6364136223846793005U + 1442695040888963407U;
	return *state >> 33;
}

#endif
