/*
 * virtio block device: VIRTIO 1.1, "Block Device". Reads, writes, flush, ID, discard and write
 * zeroes over a host_block. Left out: lifetime, secure erase, zoned, more than one queue.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/host.h"
#include "devices/virtio_pci.h"

#define VIRTIO_BLK_CHUNK 0x20000u

struct virtio_blk {
	struct virtio_pci vpci;
	/* Wires, set before init. serial: up to 20 characters, NULL for none. */
	struct host_block *block;
	const char *serial;

	u8 writeback; /* configuration field: the cache mode that the driver chose */
	u8 buffer[VIRTIO_BLK_CHUNK];
};

extern const struct device_class virtio_blk_class;

#endif
