/*
 * Multiboot 1: ELF or flat (address fields) kernels, command line, modules, memory map.
 * "The Multiboot Specification", version 0.6.96.
 */
#include <stdlib.h>

#include "machine/loader.h"

#define MAGIC 0x1badb002u
#define BOOT_MAGIC 0x2badb002u
#define INFO 0x90000 /* information structure, then strings and lists up to 9F000H */
#define INFO_END 0x9f000

enum { MB_ALIGN = 1, MB_MEMINFO = 2, MB_VIDEO = 4, MB_ADDRESSES = 0x10000 };
enum { INFO_MEMORY = 1, INFO_CMDLINE = 4, INFO_MODS = 8, INFO_MMAP = 64, INFO_LOADER = 512 };

/* The header lies in the first 8192 bytes, 32-bit aligned. */
static const u8 *find_header(const struct blob *b)
{
	size_t end = b->size < 8192 ? b->size : 8192;

	for (size_t at = 0; at + 12 <= end; at += 4) {
		const u8 *h = b->data + at;

		if (load_le32(h) == MAGIC &&
		    load_le32(h) + load_le32(h + 4) + load_le32(h + 8) == 0)
			return h;
	}
	return NULL;
}

static bool load_flat(struct loader *l, const u8 *h, u64 *entry)
{
	u64 header = load_le32(h + 12), start = load_le32(h + 16), end = load_le32(h + 20);
	u64 bss = load_le32(h + 24), at = (u64)(h - l->kernel.data), from, len;

	*entry = load_le32(h + 28);
	if ((size_t)(h - l->kernel.data) + 32 > l->kernel.size || start > header ||
	    header - start > at)
		return loader_fail(l, "kernel", l->name, "has a bad multiboot header");
	from = at - (header - start);
	len = end ? end - start : l->kernel.size - from;
	if ((end && end < start) || len > l->kernel.size - from || (bss && bss < start + len))
		return loader_fail(l, "kernel", l->name, "has a bad multiboot header");
	if (!loader_copy(l, start, l->kernel.data + from, len) ||
	    (bss && !loader_zero(l, start + len, bss - (start + len))))
		return loader_fail(l, "kernel", l->name, "does not fit into memory (-m)");
	l->top = bss ? bss : start + len;
	return true;
}

/* Grows from INFO: strings, module list, memory map. */
struct info {
	struct loader *l;
	u64 at;
	bool full;
};

static u64 add(struct info *i, const void *data, u64 len)
{
	u64 here = i->at;

	if (len > INFO_END - i->at) {
		i->full = true;
		return here;
	}
	dma_write(&i->l->m->mem, here, data, len);
	i->at = (i->at + len + 7) & ~7ull;
	return here;
}

static u64 add_line(struct info *i, const char *a, size_t an, const char *b)
{
	size_t n = an + strlen(b) + 2;
	char *line = malloc(n);
	u64 where;

	if (!line) {
		i->full = true;
		return 0;
	}
	snprintf(line, n, "%.*s%s%s", (int)an, a, *b ? " " : "", b);
	where = add(i, line, strlen(line) + 1);
	free(line);
	return where;
}

/* One "file args" of the list. */
static bool load_module(struct loader *l, struct info *i, const char *spec, size_t n, u8 *entry)
{
	size_t name_len = 0;
	char name[4096];
	struct blob b;
	u64 at;
	bool ok;

	while (name_len < n && spec[name_len] != ' ')
		name_len++;
	snprintf(name, sizeof(name), "%.*s", (int)name_len, spec);
	if (!loader_read(l, "initrd", name, &b))
		return false;
	at = (l->top + PAGE_SIZE - 1) & PAGE_MASK;
	ok = loader_copy(l, at, b.data, b.size);
	store_le32(entry, (u32)at);
	store_le32(entry + 4, (u32)(at + b.size));
	l->top = at + b.size;
	blob_free(&b);
	if (!ok)
		return loader_fail(l, "initrd", name, "does not fit into memory (-m)");
	store_le32(entry + 8, (u32)add_line(i, spec, n, ""));
	store_le32(entry + 12, 0);
	return true;
}

#define MAX_MODULES 32

size_t machine_next_module(const char **s, char *out, size_t room)
{
	const char *p = *s;
	size_t n = 0;

	while (*p && (p[0] != ',' || p[1] == ',') && n < room) {
		p += *p == ',';
		out[n++] = *p++;
	}
	*s = p + (*p == ',');
	return n;
}

static bool load_modules(struct loader *l, struct info *i, u8 *mbi)
{
	const char *s = l->m->cfg.initrd;
	u8 list[MAX_MODULES * 16];
	char spec[8192];
	unsigned count = 0;

	while (s && *s) {
		size_t n = machine_next_module(&s, spec, sizeof(spec));

		if (count == MAX_MODULES)
			return loader_fail(l, "initrd", s, "too many modules");
		if (n == sizeof(spec))
			return loader_fail(l, "initrd", s, "a module's line is too long");
		if (!load_module(l, i, spec, n, list + 16 * count++))
			return false;
	}
	if (count) {
		store_le32(mbi + 20, count);
		store_le32(mbi + 24, (u32)add(i, list, 16 * count));
		store_le32(mbi, load_le32(mbi) | INFO_MODS);
	}
	return true;
}

static void memory_map(struct loader *l, struct info *i, u8 *mbi)
{
	struct ram_range r[8];
	unsigned n = loader_ranges(l->m, r);
	u8 map[8 * 24];

	for (unsigned k = 0; k < n; k++) {
		store_le32(map + 24 * k, 20);
		store_le64(map + 24 * k + 4, r[k].base);
		store_le64(map + 24 * k + 12, r[k].len);
		store_le32(map + 24 * k + 20, r[k].usable ? 1 : 2);
	}
	store_le32(mbi + 44, 24 * n);
	store_le32(mbi + 48, (u32)add(i, map, 24 * n));
}

static bool load(struct loader *l, const u8 *h)
{
	struct info i = {.l = l, .at = INFO + 128};
	u8 mbi[120] = {0};
	u64 entry;
	u32 flags = load_le32(h + 4);

	if (l->m->mem.low < 0x100000)
		return loader_fail(l, "kernel", l->name, "does not fit into memory (-m)");
	if (flags & 0xfff8)
		return loader_fail(l, "kernel", l->name,
				   "asks for multiboot features that are not there");
	if (!(flags & MB_ADDRESSES && !elf_is(&l->kernel) ? load_flat(l, h, &entry)
							  : elf_load(l, &entry)))
		return false;
	store_le32(mbi, INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_LOADER);
	store_le32(mbi + 4, 639);
	store_le32(mbi + 8, (u32)((l->m->mem.low - 0x100000) >> 10));
	store_le32(mbi + 16, (u32)add_line(&i, l->name, strlen(l->name),
					   l->m->cfg.append ? l->m->cfg.append : ""));
	memory_map(l, &i, mbi);
	store_le32(mbi + 64, (u32)add(&i, "gigogne", 8));
	if (!load_modules(l, &i, mbi))
		return false;
	if (i.full)
		return loader_fail(l, "kernel", l->name, "the command lines are too long");
	acpi_build(l->m);
	dma_write(&l->m->mem, INFO, mbi, sizeof(mbi));
	loader_flat32(l->m, (u32)entry, BOOT_MAGIC, INFO);
	return true;
}

int boot_multiboot(struct loader *l)
{
	const u8 *h = find_header(&l->kernel);

	if (!h)
		return 0;
	if (!elf_is(&l->kernel) && !(load_le32(h + 4) & MB_ADDRESSES)) {
		loader_fail(l, "kernel", l->name,
			    "is a multiboot kernel that is neither ELF nor has load addresses");
		return -1;
	}
	return load(l, h) ? 1 : -1;
}
