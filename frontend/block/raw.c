/*
 * Raw disk images: regular files and block devices. A file whose size is no multiple of 512 is seen
 * with zeros up to the next one.
 *
 * Left out: asynchronous I/O; the guest waits for the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/block/disk.h"

int raw_read(const struct disk *d, u64 offset, void *buf, size_t len)
{
	u8 *to = buf;

	while (len) {
		ssize_t n = pread(d->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(to, 0, len);
			return 0;
		}
		to += n;
		offset += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

int raw_write(const struct disk *d, u64 offset, const void *buf, size_t len)
{
	const u8 *from = buf;

	while (len) {
		ssize_t n = pwrite(d->fd, from, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		from += n;
		offset += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

static int block_read(void *owner, u64 offset, void *buf, size_t len)
{
	return raw_read(owner, offset, buf, len);
}

static int block_write(void *owner, u64 offset, const void *buf, size_t len)
{
	return raw_write(owner, offset, buf, len);
}

static int block_flush(void *owner)
{
	struct disk *d = owner;

	return fdatasync(d->fd) ? -errno : 0;
}

static int block_discard(void *owner, u64 offset, u64 len)
{
	struct disk *d = owner;

	if (!fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		       (off_t)len))
		return 0;
	return errno == EOPNOTSUPP || errno == ENODEV ? 0 : -errno; /* a discard is only advice */
}

static bool refuse(char *err, size_t errlen, const char *path, const char *why)
{
	snprintf(err, errlen, "disk '%s': %s", path, why);
	return false;
}

static bool find_size(struct disk *d, const char **why)
{
	struct stat st;
	off_t size;

	*why = "not a file or a block device";
	if (fstat(d->fd, &st))
		*why = strerror(errno);
	if (S_ISDIR(st.st_mode))
		*why = "Is a directory";
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return false;
	size = lseek(d->fd, 0, SEEK_END);
	*why = size < 0 ? strerror(errno) : "the file is empty";
	if (size <= 0)
		return false;
	d->block.size = ((u64)size + 511) & ~511ull;
	return true;
}

bool disk_open(struct disk *d, const char *path, bool read_only, bool snapshot, char *err,
	       size_t errlen)
{
	bool reads = read_only || snapshot;
	const char *why;

	memset(d, 0, sizeof(*d));
	d->fd = open(path, (reads ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	if (d->fd < 0)
		return refuse(err, errlen, path, strerror(errno));
	if (!find_size(d, &why))
		return refuse(err, errlen, path, why);
	if (flock(d->fd, (reads ? LOCK_SH : LOCK_EX) | LOCK_NB) && errno == EWOULDBLOCK)
		return refuse(err, errlen, path, "in use by another process");
	d->block.read_only = read_only;
	d->block.read = block_read;
	d->block.write = block_write;
	d->block.flush = block_flush;
	d->block.discard = block_discard;
	d->block.owner = d;
	if (!snapshot)
		return true;
	d->overlay = overlay_new(d);
	if (!d->overlay)
		return refuse(err, errlen, path, "no memory for its snapshot");
	d->block.read = overlay_read;
	d->block.write = overlay_write;
	d->block.flush = overlay_flush;
	d->block.discard = overlay_discard;
	d->block.owner = d->overlay;
	return true;
}

void disk_close(struct disk *d)
{
	overlay_free(d->overlay);
	if (d->fd >= 0)
		close(d->fd);
	d->overlay = NULL;
	d->fd = -1;
}
