/*
 * Address spaces for devices: memory-mapped registers and I/O ports. A region is a descriptor
 * attached in one call; an overlap is refused aloud. Unclaimed reads answer all-ones, unclaimed
 * writes are dropped; both are logged. Accesses are split or widened here, once, to the sizes that
 * the region accepts. Regions may be moved or detached at run time (PCI BARs).
 */
#ifndef MMU_BUS_H
#define MMU_BUS_H

#include "base/log.h"
#include "base/types.h"

struct io_region {
	const char *name;
	u64 base, len; /* bytes (or ports) */
	u8 min, max;   /* access sizes that read/write accept: 1, 2, 4 or 8 bytes */
	u64 (*read)(void *owner, u64 offset, unsigned size);
	void (*write)(void *owner, u64 offset, u64 value, unsigned size);
	void *owner;
};

#define BUS_MAX_REGIONS 128

struct bus {
	const char *name;
	struct io_region *region[BUS_MAX_REGIONS]; /* sorted by base */
	unsigned count;
	struct io_region *last; /* most recent hit */
	u32 generation;		/* changes whenever the map changes */
	struct log *log;
};

void bus_init(struct bus *b, const char *name, struct log *log);
/* False, with a log line naming both regions, if it overlaps or the table is full. The region must
 * stay alive until detached. */
bool bus_attach(struct bus *b, struct io_region *r);
void bus_detach(struct bus *b, struct io_region *r);
struct io_region *bus_find(struct bus *b, u64 addr);
/* size 1, 2, 4 or 8; need not be aligned. */
u64 bus_read(struct bus *b, u64 addr, unsigned size);
void bus_write(struct bus *b, u64 addr, u64 value, unsigned size);

#endif
