/*
 * What the host side offers to chips, implemented in frontend/. None of these may block.
 */
#ifndef DEVICES_HOST_H
#define DEVICES_HOST_H

#include "base/types.h"

/* A byte stream: serial ports, consoles. */
struct host_chardev {
	/* Takes all bytes (buffers what the host cannot take at once). NULL: discard. */
	void (*write)(void *owner, const u8 *data, size_t len);
	void *owner;
	/* Set by the chip: input arrives here; can_receive returns how many bytes it takes now. */
	void (*receive)(void *chip, const u8 *data, size_t len);
	size_t (*can_receive)(void *chip);
	void *chip;
};

/* A disk image. Offsets and lengths in bytes, multiples of 512, checked by the chip against size. */
struct host_block {
	u64 size; /* bytes */
	bool read_only;
	/* Return 0 or a negative errno. */
	int (*read)(void *owner, u64 offset, void *buf, size_t len);
	int (*write)(void *owner, u64 offset, const void *buf, size_t len);
	int (*flush)(void *owner);
	int (*discard)(void *owner, u64 offset, u64 len); /* may be NULL */
	void *owner;
};

/* Random bytes for rng devices. Deterministic mode supplies a seeded generator. */
struct host_entropy {
	void (*fill)(void *owner, void *buf, size_t len);
	void *owner;
};

#endif
