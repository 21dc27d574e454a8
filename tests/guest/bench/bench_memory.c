// Benchmarks of memory: a chain of pointers that misses every TLB, block copies, page faults.

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHASE_SLOTS = 1 << 18, SLOT_WORDS = 16, COPY_SIZE = 8 << 20, FAULT_SIZE = 8 << 20 };

static void *get_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("bench: mmap");
		exit(1);
	}
	return p;
}

// 32 MiB in slots of 128 bytes, linked in one random cycle.
uint64_t bench_chase(unsigned percent)
{
	uint64_t(*slot)[SLOT_WORDS] = get_memory(sizeof(*slot) * CHASE_SLOTS);
	uint64_t state = 9, at = 0, sum = 0;

	for (uint64_t i = 0; i < CHASE_SLOTS; i++)
		slot[i][0] = i;
	for (uint64_t i = CHASE_SLOTS - 1; i > 0; i--) { // Sattolo: one cycle through all
		uint64_t j = bench_random(&state) % i, keep = slot[i][0];

		slot[i][0] = slot[j][0];
		slot[j][0] = keep;
	}
	for (unsigned i = 0; i < 100000 * percent; i++) {
		at = slot[at][0];
		sum += at ^ i;
	}
	munmap(slot, sizeof(*slot) * CHASE_SLOTS);
	return sum;
}

// The C library's memcpy, memmove and memset in sizes from words to megabytes.
uint64_t bench_memcpy(unsigned percent)
{
	uint8_t *a = get_memory(COPY_SIZE), *b = get_memory(COPY_SIZE);
	uint64_t state = 11, sum = 0;

	for (unsigned i = 0; i < COPY_SIZE; i++)
		a[i] = (uint8_t)bench_random(&state);
	for (unsigned round = 0; round < percent; round++) {
		memcpy(b, a, COPY_SIZE);
		memmove(a + 1 + round % 16, b, COPY_SIZE / 2);
		for (unsigned i = 0; i < 60000; i++) {
			unsigned size = (unsigned)bench_random(&state) % 500;

			memcpy(b + i * 64, a + i * 65, size);
		}
		for (unsigned i = 0; i < 2000; i++)
			memcpy(b + i * 1024, a + i * 4000 % (COPY_SIZE / 2), 4096);
		memset(a + round * 4096, (int)round, 4096);
		sum = sum * 31 + b[bench_random(&state) % COPY_SIZE] + a[round * 5000 % COPY_SIZE];
	}
	munmap(a, COPY_SIZE);
	munmap(b, COPY_SIZE);
	return sum;
}

// First touches of anonymous pages, by read of half of them and by write of all, then unmapped.
uint64_t bench_faults(unsigned percent)
{
	uint64_t sum = 0;

	for (unsigned round = 0; round < percent; round++) {
		uint8_t *p = get_memory(FAULT_SIZE);

		madvise(p, FAULT_SIZE, MADV_NOHUGEPAGE);
		for (unsigned i = 0; i < FAULT_SIZE; i += 8192)
			sum += p[i];
		for (unsigned i = 0; i < FAULT_SIZE; i += 4096)
			sum += ++p[i];
		munmap(p, FAULT_SIZE);
	}
	return sum;
}
