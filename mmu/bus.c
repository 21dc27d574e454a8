/*
 * Memory-mapped and port address spaces. See bus.h.
 */
#include <inttypes.h>

#include "base/bits.h"
#include "mmu/bus.h"

void bus_init(struct bus *b, const char *name, struct log *log)
{
	memset(b, 0, sizeof(*b));
	b->name = name;
	b->log = log;
}

bool bus_attach(struct bus *b, struct io_region *r)
{
	unsigned i = 0;

	if (b->count == BUS_MAX_REGIONS || r->len == 0 || r->base + r->len - 1 < r->base)
		return false;
	while (i < b->count && b->region[i]->base < r->base)
		i++;
	if ((i < b->count && b->region[i]->base - r->base < r->len) ||
	    (i > 0 && r->base - b->region[i - 1]->base < b->region[i - 1]->len)) {
		LOG(b->log, guest_error, "%s: region %s at %" PRIx64 " overlaps another", b->name,
		    r->name, r->base);
		return false;
	}
	memmove(&b->region[i + 1], &b->region[i], (b->count - i) * sizeof(b->region[0]));
	b->region[i] = r;
	b->count++;
	b->generation++;
	return true;
}

void bus_detach(struct bus *b, struct io_region *r)
{
	for (unsigned i = 0; i < b->count; i++) {
		if (b->region[i] != r)
			continue;
		b->count--;
		memmove(&b->region[i], &b->region[i + 1], (b->count - i) * sizeof(b->region[0]));
		b->generation++;
		b->last = NULL;
		return;
	}
}

struct io_region *bus_find(struct bus *b, u64 addr)
{
	unsigned lo = 0, hi = b->count;

	if (b->last && addr - b->last->base < b->last->len)
		return b->last;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		struct io_region *r = b->region[mid];

		if (addr < r->base) {
			hi = mid;
		} else if (addr - r->base >= r->len) {
			lo = mid + 1;
		} else {
			b->last = r;
			return r;
		}
	}
	return NULL;
}

/* Largest power-of-two piece at addr that is aligned, within size and within the region. */
static unsigned piece(const struct io_region *r, u64 addr, unsigned size)
{
	unsigned n = r ? r->max : 8;

	while (n > size || (addr & (n - 1)) || (r && addr - r->base + n > r->len))
		n >>= 1;
	return n;
}

static u64 read_piece(struct bus *b, struct io_region *r, u64 addr, unsigned n)
{
	u64 off, down;

	if (!r || !r->read) {
		LOG(b->log, dev, "%s: read of %u at %" PRIx64 ": nothing there", b->name, n, addr);
		return size_mask(n);
	}
	off = addr - r->base;
	if (n >= r->min)
		return r->read(r->owner, off, n);
	down = off & ~(u64)(r->min - 1);
	return r->read(r->owner, down, r->min) >> (8 * (off - down)) & size_mask(n);
}

static void write_piece(struct bus *b, struct io_region *r, u64 addr, u64 value, unsigned n)
{
	u64 off;

	if (!r || !r->write) {
		LOG(b->log, dev, "%s: write of %u at %" PRIx64 ": nothing there", b->name, n, addr);
		return;
	}
	off = addr - r->base;
	if (n < r->min) { /* byte lanes that are not driven read as zero on the chips modelled */
		u64 down = off & ~(u64)(r->min - 1);

		value <<= 8 * (off - down);
		off = down;
		n = r->min;
	}
	r->write(r->owner, off, value & size_mask(n), n);
}

u64 bus_read(struct bus *b, u64 addr, unsigned size)
{
	u64 v = 0;

	for (unsigned done = 0; done < size;) {
		struct io_region *r = bus_find(b, addr + done);
		unsigned n = piece(r, addr + done, size - done);

		v |= (read_piece(b, r, addr + done, n) & size_mask(n)) << (8 * done);
		done += n;
	}
	return v;
}

void bus_write(struct bus *b, u64 addr, u64 value, unsigned size)
{
	for (unsigned done = 0; done < size;) {
		struct io_region *r = bus_find(b, addr + done);
		unsigned n = piece(r, addr + done, size - done);

		write_piece(b, r, addr + done, value >> (8 * done), n);
		done += n;
	}
}
