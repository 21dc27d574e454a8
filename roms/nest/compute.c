/*
 * What the innermost level is there for: a computation whose result is known. The primes below
 * 200000, by the sieve of Eratosthenes: there are 17984.
 */
#include "level.h"

#define LIMIT 200000
#define PRIMES_BELOW_LIMIT 17984

static u8 composite[LIMIT];

u64 compute_primes(void)
{
	u64 count = 0;

	for (u64 i = 2; i < LIMIT; i++) {
		if (composite[i])
			continue;
		count++;
		for (u64 j = i * i; j < LIMIT; j += i)
			composite[j] = 1;
	}
	return count;
}

bool compute_is_right(u64 answer)
{
	return answer == PRIMES_BELOW_LIMIT;
}
