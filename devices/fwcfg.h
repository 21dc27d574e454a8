/*
 * QEMU's firmware configuration device, port interface: selector 510h, data 511h. What test kernels
 * and firmware ask it for: signature, RAM size, CPU counts, boot files. The DMA interface is not
 * built and not announced.
 */
#ifndef DEVICES_FWCFG_H
#define DEVICES_FWCFG_H

#include "devices/device.h"

#define FWCFG_ITEMS 32
#define FWCFG_DATA 16

struct fwcfg_item {
	u16 key;
	u16 len;
	u8 data[FWCFG_DATA];
};

struct fwcfg {
	struct device device;
	struct io_region io; /* 510h (2) */
	struct fwcfg_item item[FWCFG_ITEMS];
	unsigned items;
	u16 selected;
	u32 offset;
};

extern const struct device_class fwcfg_class;

/* An item of `bytes` (at most 8) little-endian bytes. */
void fwcfg_add(struct fwcfg *f, u16 key, u64 value, unsigned bytes);

enum {
	FWCFG_SIGNATURE = 0x00,
	FWCFG_ID = 0x01,
	FWCFG_RAM_SIZE = 0x03,
	FWCFG_NB_CPUS = 0x05,
	FWCFG_MAX_CPUS = 0x0f,
	FWCFG_FILE_DIR = 0x19,
};

#endif
