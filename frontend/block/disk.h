/*
 * Disk images behind devices/host.h.
 */
#ifndef FRONTEND_BLOCK_DISK_H
#define FRONTEND_BLOCK_DISK_H

#include "devices/host.h"

struct overlay;

struct disk {
	struct host_block block;
	int fd;
	struct overlay *overlay; /* with snapshot: holds what was written */
};

/* False: one line in err. snapshot: the file is not written to. */
bool disk_open(struct disk *d, const char *path, bool read_only, bool snapshot, char *err,
	       size_t errlen);
void disk_close(struct disk *d);

/* raw.c: all bytes or a negative errno; reading behind the end gives zeros. */
int raw_read(const struct disk *d, u64 offset, void *buf, size_t len);
int raw_write(const struct disk *d, u64 offset, const void *buf, size_t len);

/* overlay.c */
struct overlay *overlay_new(const struct disk *d);
void overlay_free(struct overlay *o);
int overlay_read(void *owner, u64 offset, void *buf, size_t len);
int overlay_write(void *owner, u64 offset, const void *buf, size_t len);
int overlay_flush(void *owner);
int overlay_discard(void *owner, u64 offset, u64 len);

#endif
