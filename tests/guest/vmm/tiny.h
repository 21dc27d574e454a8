// The tiny guests of tiny.S, what they must say, and how they say it.

#ifndef GUEST_TINY_H
#define GUEST_TINY_H

#define IMAGE_BASE 0x1000
#define PORT_TINY_SAY 0x5c0 // reads as 3 times the number of words read before
#define PORT_TINY_END 0x5c4

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

struct tiny {
	const char *name;
	const uint8_t *entry;
	uint32_t expected[16];
	unsigned count;
};

struct tiny_run {
	const struct tiny *guest;
	unsigned said, wrong;
	uint32_t reads;
};

// NULL: there is no guest of that name.
const struct tiny *tiny_find(const char *name);
// Copies the image into the guest's memory.
void tiny_load(uint8_t *ram);
// Where the copy of an entry is.
uint64_t tiny_address(const uint8_t *entry);
void tiny_say(struct tiny_run *run, uint32_t value);
// Prints the verdict and returns it.
bool tiny_right(const struct tiny_run *run);
#endif

#endif
