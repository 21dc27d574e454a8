/*
 * The Linux/x86 boot protocol, 64-bit entry. Documentation/x86/boot.rst and zero-page.rst.
 */
#include "machine/loader.h"

#define ZERO_PAGE 0x14000
#define CMDLINE 0x20000
#define HDR 0x1f1

enum {
	H_SETUP_SECTS = 0x1f1,
	H_SYSSIZE = 0x1f4,
	H_BOOT_FLAG = 0x1fe,
	H_MAGIC = 0x202,
	H_VERSION = 0x206,
	H_LOADER = 0x210,
	H_LOADFLAGS = 0x211,
	H_RAMDISK = 0x218,
	H_RAMDISK_SIZE = 0x21c,
	H_HEAP_END = 0x224,
	H_CMDLINE = 0x228,
	H_INITRD_MAX = 0x22c,
	H_KERNEL_ALIGNMENT = 0x230,
	H_XLOADFLAGS = 0x236,
	H_CMDLINE_SIZE = 0x238,
	H_PREF_ADDRESS = 0x258,
	H_INIT_SIZE = 0x260,
	H_END = 0x268,
	Z_ACPI_RSDP = 0x070,
	Z_E820_ENTRIES = 0x1e8,
	Z_E820 = 0x2d0,
	Z_SENTINEL = 0x1ef,
};

static bool fail(struct loader *l, const char *reason)
{
	return loader_fail(l, "kernel", l->name, reason);
}

static void put_e820(const struct machine *m, u8 *zp)
{
	struct ram_range r[8];
	unsigned n = loader_ranges(m, r);

	zp[Z_E820_ENTRIES] = (u8)n;
	for (unsigned k = 0; k < n; k++) {
		u8 *e = zp + Z_E820 + 20 * k;

		store_le64(e, r[k].base);
		store_le64(e + 8, r[k].len);
		store_le32(e + 16, r[k].usable ? 1 : 2);
	}
}

static bool put_cmdline(struct loader *l, u8 *zp)
{
	const char *text = l->m->cfg.append ? l->m->cfg.append : "";
	size_t n = strlen(text);
	u32 max = load_le32(zp + H_CMDLINE_SIZE);

	if (n > (max ? max : 255) || n > 0x8000)
		return fail(l, "the command line (-append) is longer than this kernel takes");
	store_le32(zp + H_CMDLINE, CMDLINE);
	return loader_copy(l, CMDLINE, text, n + 1) || fail(l, "not enough memory");
}

/* As high as the kernel allows, page-aligned, below the hole. */
static bool put_initrd(struct loader *l, u8 *zp, u64 kernel_end)
{
	u64 max = load_le32(zp + H_INITRD_MAX), at;
	struct blob b;
	bool ok;

	if (!l->m->cfg.initrd)
		return true;
	if (!loader_read(l, "initrd", l->m->cfg.initrd, &b))
		return false;
	if (max == 0 || max >= l->m->mem.low)
		max = l->m->mem.low - 1;
	at = (max + 1 - b.size) & PAGE_MASK;
	ok = b.size <= max && at >= kernel_end && loader_copy(l, at, b.data, b.size);
	store_le32(zp + H_RAMDISK, (u32)at);
	store_le32(zp + H_RAMDISK_SIZE, (u32)b.size);
	blob_free(&b);
	return ok || loader_fail(l, "initrd", l->m->cfg.initrd, "does not fit into memory (-m)");
}

static bool load(struct loader *l)
{
	const u8 *img = l->kernel.data;
	unsigned sects = img[H_SETUP_SECTS] ? img[H_SETUP_SECTS] : 4;
	u64 setup = (sects + 1) * 512ull, size, at, end;
	u8 zp[4096] = {0};
	unsigned header_len;

	if (load_le16(img + H_VERSION) < 0x20c || !(load_le16(img + H_XLOADFLAGS) & 1))
		return fail(l, "has no 64-bit entry point (boot protocol 2.12)");
	if (setup >= l->kernel.size)
		return fail(l, "is truncated");
	size = l->kernel.size - setup;
	if (size < (u64)load_le32(img + H_SYSSIZE) * 16)
		return fail(l, "is truncated");
	header_len = (unsigned)(img[0x201] + 0x202 - HDR);
	if (HDR + header_len > 0x290)
		header_len = 0x290 - HDR;
	memcpy(zp + HDR, img + HDR, header_len);
	at = load_le64(zp + H_PREF_ADDRESS);
	end = at + load_le32(zp + H_INIT_SIZE);
	if (at < 0x100000 || end < at || end > l->m->mem.low || size > l->m->mem.low - at)
		return fail(l, "does not fit into memory (-m)");
	if (!loader_copy(l, at, img + setup, size))
		return fail(l, "does not fit into memory (-m)");
	zp[H_LOADER] = 0xff;
	zp[H_LOADFLAGS] |= 0x80;
	store_le16(zp + H_HEAP_END, 0xfe00);
	put_e820(l->m, zp);
	if (!put_cmdline(l, zp) || !put_initrd(l, zp, end))
		return false;
	store_le64(zp + Z_ACPI_RSDP, acpi_build(l->m));
	if (!loader_copy(l, ZERO_PAGE, zp, sizeof(zp)))
		return fail(l, "not enough memory");
	loader_long64(l->m, at + 0x200, ZERO_PAGE);
	return true;
}

int boot_linux(struct loader *l)
{
	if (l->kernel.size < 0x1000 || load_le32(l->kernel.data + H_MAGIC) != 0x53726448 ||
	    load_le16(l->kernel.data + H_BOOT_FLAG) != 0xaa55)
		return 0;
	return load(l) ? 1 : -1;
}
