// What the guests of tiny.S must say, in their order, and the comparison.

#include "tiny.h"

#include <stdio.h>
#include <string.h>

extern const uint8_t tiny_image[], tiny_image_end[];
extern const uint8_t tiny_real[], tiny_unreal[], tiny_switch[], tiny_flat32[], tiny_pae[];

enum {
	SUM_TO_100 = 100 * 101 / 2,
	SUM_TO_200 = 200 * 201 / 2,
	WORDS_OF_3 = 3 * 999 * 1000 / 2,
	FAR_SUM = 0x12340000 + (IMAGE_BASE >> 4),
	FOUR_READS = 3 * (0 + 1 + 2 + 3),
	TICKS = 5,
	UNREAL = 0x10000000 + 3 * 1000,
	ALIASED = 0x5eedf00d,
	DEMAND_PAGES = 64,
	// page-fault error codes
	WRITE_NOT_PRESENT = 2,
	WRITE_PROTECTED = 3,
	USER_PROTECTED = 5,
	FETCH_PROTECTED = 0x11,
	FAULTS = DEMAND_PAGES * (1000 + WRITE_NOT_PRESENT),
	FRAMES_SUM = DEMAND_PAGES * (DEMAND_PAGES - 1) / 2,
	ACCESSED_DIRTY = DEMAND_PAGES * 0x60,
	STORED = 77,
	SPARE = 0xabcd,
	USER_READ = 7,
};

// Step 10000 of the ANSI C generator, from 1.
#define RANDOM_10000 0xf1d8ec71u

#define PAGING                                                                                     \
	RANDOM_10000, ALIASED, FAULTS, FRAMES_SUM, ACCESSED_DIRTY, WRITE_PROTECTED, STORED, SPARE, \
		USER_READ, USER_PROTECTED

static const struct tiny guests[] = {
	{"real", tiny_real, {SUM_TO_100, WORDS_OF_3, FAR_SUM, FOUR_READS, TICKS}, 5},
	{"unreal", tiny_unreal, {UNREAL}, 1},
	{"switch", tiny_switch, {SUM_TO_200}, 1},
	{"flat32", tiny_flat32, {PAGING}, 10},
	{"pae", tiny_pae, {PAGING, FETCH_PROTECTED, ALIASED}, 12},
};

const struct tiny *tiny_find(const char *name)
{
	for (unsigned i = 0; i < sizeof(guests) / sizeof(guests[0]); i++)
		if (strcmp(guests[i].name, name) == 0)
			return &guests[i];
	return NULL;
}

void tiny_load(uint8_t *ram)
{
	memcpy(ram + IMAGE_BASE, tiny_image, (size_t)(tiny_image_end - tiny_image));
}

uint64_t tiny_address(const uint8_t *entry)
{
	return IMAGE_BASE + (uint64_t)(entry - tiny_image);
}

void tiny_say(struct tiny_run *run, uint32_t value)
{
	const struct tiny *g = run->guest;
	unsigned n = run->said++;

	if (n < g->count && value == g->expected[n])
		return;
	run->wrong++;
	printf("vmm: tiny guest %s said %x as word %u\n", g->name, value, n);
}

bool tiny_right(const struct tiny_run *run)
{
	bool right = !run->wrong && run->said == run->guest->count;

	printf("vmm: tiny guest %s is %s\n", run->guest->name, right ? "right" : "wrong");
	return right;
}
