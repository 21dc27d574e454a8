/*
 * Direct boot without firmware, shared by boot*.c.
 */
#ifndef MACHINE_LOADER_H
#define MACHINE_LOADER_H

#include "machine/board.h"

struct blob {
	u8 *data;
	size_t size;
	bool owned;
};

struct loader {
	struct machine *m;
	struct blob kernel;
	const char *name; /* of the kernel, for messages */
	char *err;
	size_t errlen;
	u64 top; /* low RAM in use ends here: kernels and modules go up from it */
};

/* Nothing is loaded below: boot descriptors lie there. */
#define LOADER_MIN 0x2000
/* Conventional memory ends here. */
#define LOADER_EBDA 0x9fc00

/* False with "what 'name': reason" in err. */
bool loader_fail(struct loader *l, const char *what, const char *name, const char *reason);
bool loader_read(struct loader *l, const char *what, const char *name, struct blob *out);
void blob_free(struct blob *b);
/* Copies into low RAM above LOADER_MIN; false if it does not fit. */
bool loader_copy(struct loader *l, u64 paddr, const void *data, u64 len);
bool loader_zero(struct loader *l, u64 paddr, u64 len);

/* Usable RAM, as every boot protocol reports it. */
struct ram_range {
	u64 base, len;
	bool usable;
};
unsigned loader_ranges(const struct machine *m, struct ram_range out[8]);

/* CPU 0's state at the entry points. */
void loader_flat32(struct machine *m, u32 entry, u32 eax, u32 ebx);
void loader_long64(struct machine *m, u64 entry, u64 rsi);

/* ELF segments into RAM. 32- and 64-bit; *entry is e_entry. */
bool elf_load(struct loader *l, u64 *entry);
/* Physical address of the PVH entry note, 0 if there is none. */
u32 elf_pvh_entry(const struct blob *b);
bool elf_is(const struct blob *b);

/* Each recognises its kernel and boots it: 1 booted, 0 not mine, -1 failed. */
int boot_linux(struct loader *l);
int boot_multiboot(struct loader *l);
int boot_pvh(struct loader *l);

#endif
