/*
 * PVH: an ELF kernel with a XEN_ELFNOTE_PHYS32_ENTRY note, entered in 32-bit protected mode with EBX
 * pointing at hvm_start_info. Xen's "x86/HVM direct boot ABI".
 */
#include "machine/loader.h"

#define START_INFO 0x6000
#define MEMMAP 0x6080
#define MODLIST 0x6200
#define CMDLINE 0x20000
#define START_MAGIC 0x336ec578u

static void put_low(struct machine *m, u64 at, const void *p, u64 n)
{
	dma_write(&m->mem, at, p, n);
}

static unsigned memory_map(struct machine *m)
{
	struct ram_range r[8];
	unsigned n = loader_ranges(m, r);

	for (unsigned k = 0; k < n; k++) {
		u8 e[24] = {0};

		store_le64(e, r[k].base);
		store_le64(e + 8, r[k].len);
		store_le32(e + 16, r[k].usable ? 1 : 2);
		put_low(m, MEMMAP + 24 * k, e, sizeof(e));
	}
	return n;
}

static bool module(struct loader *l, unsigned *count)
{
	u8 e[32] = {0};
	struct blob b;
	u64 at;
	bool ok;

	*count = 0;
	if (!l->m->cfg.initrd)
		return true;
	if (!loader_read(l, "initrd", l->m->cfg.initrd, &b))
		return false;
	at = (l->m->mem.low - b.size) & PAGE_MASK;
	ok = b.size < l->m->mem.low && at >= l->top && loader_copy(l, at, b.data, b.size);
	store_le64(e, at);
	store_le64(e + 8, b.size);
	blob_free(&b);
	if (!ok)
		return loader_fail(l, "initrd", l->m->cfg.initrd, "does not fit into memory (-m)");
	put_low(l->m, MODLIST, e, sizeof(e));
	*count = 1;
	return true;
}

int boot_pvh(struct loader *l)
{
	const char *text = l->m->cfg.append ? l->m->cfg.append : "";
	u32 start = elf_is(&l->kernel) ? elf_pvh_entry(&l->kernel) : 0;
	unsigned mods, maps;
	u8 info[56] = {0};
	u64 entry;

	if (!start)
		return 0;
	if (!elf_load(l, &entry) || !module(l, &mods))
		return -1;
	if (strlen(text) > 0x8000 || !loader_copy(l, CMDLINE, text, strlen(text) + 1)) {
		loader_fail(l, "kernel", l->name, "the command line (-append) is too long");
		return -1;
	}
	maps = memory_map(l->m);
	store_le32(info, START_MAGIC);
	store_le32(info + 4, 1);
	store_le32(info + 12, mods);
	store_le64(info + 16, mods ? MODLIST : 0);
	store_le64(info + 24, CMDLINE);
	store_le64(info + 32, acpi_build(l->m));
	store_le64(info + 40, MEMMAP);
	store_le32(info + 48, maps);
	put_low(l->m, START_INFO, info, sizeof(info));
	loader_flat32(l->m, start, 0, START_INFO);
	return 1;
}
