/*
 * snapshot=on: what the guest writes is kept in memory, a cluster at a time, and forgotten at the
 * end. The memory is reserved for the whole disk but only costs what is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "frontend/block/disk.h"

#define CLUSTER 4096ull

struct overlay {
	const struct disk *disk;
	u8 *data;
	u8 *present; /* bit per cluster */
	u64 size;
};

struct overlay *overlay_new(const struct disk *d)
{
	struct overlay *o = calloc(1, sizeof(*o));
	u64 clusters = (d->block.size + CLUSTER - 1) / CLUSTER;

	if (!o)
		return NULL;
	o->disk = d;
	o->size = clusters * CLUSTER;
	o->present = calloc(clusters / 8 + 1, 1);
	o->data = mmap(NULL, o->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (o->data == MAP_FAILED)
		o->data = NULL;
	if (o->present && o->data)
		return o;
	overlay_free(o);
	return NULL;
}

void overlay_free(struct overlay *o)
{
	if (!o)
		return;
	if (o->data)
		munmap(o->data, o->size);
	free(o->present);
	free(o);
}

static bool present(const struct overlay *o, u64 cluster)
{
	return o->present[cluster / 8] >> (cluster % 8) & 1;
}

/* The part of [offset, offset + len) that lies in the cluster of offset. */
static size_t piece(u64 offset, size_t len)
{
	u64 left = CLUSTER - offset % CLUSTER;

	return len < left ? len : (size_t)left;
}

int overlay_read(void *owner, u64 offset, void *buf, size_t len)
{
	struct overlay *o = owner;
	u8 *to = buf;

	while (len) {
		size_t n = piece(offset, len);

		if (present(o, offset / CLUSTER)) {
			memcpy(to, o->data + offset, n);
		} else {
			int r = raw_read(o->disk, offset, to, n);

			if (r)
				return r;
		}
		to += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static int bring_in(struct overlay *o, u64 cluster)
{
	int r = 0;

	if (!present(o, cluster))
		r = raw_read(o->disk, cluster * CLUSTER, o->data + cluster * CLUSTER, CLUSTER);
	if (!r)
		o->present[cluster / 8] |= (u8)(1u << (cluster % 8));
	return r;
}

int overlay_write(void *owner, u64 offset, const void *buf, size_t len)
{
	struct overlay *o = owner;
	const u8 *from = buf;

	while (len) {
		size_t n = piece(offset, len);
		int r = bring_in(o, offset / CLUSTER);

		if (r)
			return r;
		memcpy(o->data + offset, from, n);
		from += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int overlay_flush(void *owner)
{
	(void)owner;
	return 0;
}

int overlay_discard(void *owner, u64 offset, u64 len)
{
	(void)owner;
	(void)offset;
	(void)len;
	return 0; /* only advice: old data may stay */
}
