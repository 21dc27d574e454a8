/*
 * Direct boot: which kind of kernel is this, where does it go, how does CPU 0 start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "machine/loader.h"

bool loader_fail(struct loader *l, const char *what, const char *name, const char *reason)
{
	snprintf(l->err, l->errlen, "%s '%s': %s", what, name, reason);
	return false;
}

static bool read_all(FILE *f, struct blob *b)
{
	size_t room = 1 << 20;

	b->data = malloc(room);
	b->owned = true;
	while (b->data) {
		size_t n = fread(b->data + b->size, 1, room - b->size, f);

		b->size += n;
		if (b->size < room)
			return !ferror(f);
		room *= 2;
		u8 *bigger = room <= (size_t)1 << 33 ? realloc(b->data, room) : NULL;
		if (!bigger)
			return false;
		b->data = bigger;
	}
	return false;
}

bool loader_read(struct loader *l, const char *what, const char *name, struct blob *out)
{
	FILE *f = fopen(name, "rb");
	struct stat st;
	bool ok;

	*out = (struct blob){0};
	if (!f)
		return loader_fail(l, what, name, strerror(errno));
	if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
		fclose(f);
		return loader_fail(l, what, name, "is a directory");
	}
	ok = read_all(f, out);
	fclose(f);
	if (!ok) {
		blob_free(out);
		return loader_fail(l, what, name, "cannot be read");
	}
	if (out->size == 0) {
		blob_free(out);
		return loader_fail(l, what, name, "is empty");
	}
	return true;
}

void blob_free(struct blob *b)
{
	if (b->owned)
		free(b->data);
	*b = (struct blob){0};
}

bool loader_copy(struct loader *l, u64 paddr, const void *data, u64 len)
{
	if (paddr < LOADER_MIN || paddr > l->m->mem.low || len > l->m->mem.low - paddr)
		return false;
	if (len)
		dma_write(&l->m->mem, paddr, data, len);
	return true;
}

bool loader_zero(struct loader *l, u64 paddr, u64 len)
{
	if (paddr < LOADER_MIN || paddr > l->m->mem.low || len > l->m->mem.low - paddr)
		return false;
	memset(l->m->mem.ram + paddr, 0, len);
	return true;
}

unsigned loader_ranges(const struct machine *m, struct ram_range out[8])
{
	unsigned n = 0;
	u64 low = m->mem.low;

	out[n++] = (struct ram_range){0, LOADER_EBDA, true};
	out[n++] = (struct ram_range){LOADER_EBDA, 0x400, false};
	out[n++] = (struct ram_range){0xe0000, 0x20000, false};
	if (low > 0x100000)
		out[n++] = (struct ram_range){0x100000, low - 0x100000, true};
	out[n++] = (struct ram_range){0xfec00000, 0x1400000, false};
	if (m->mem.high)
		out[n++] = (struct ram_range){RAM_HIGH_BASE, m->mem.high, true};
	return n;
}

#define BOOT_GDT 0x1000
#define BOOT_PML4 0x2000

/* Null, 32-bit code, flat data, 64-bit code, 32-bit TSS: selectors 08 not used, 10 code, 18 data. */
static void write_gdt(struct machine *m, bool long_mode)
{
	const u64 gdt[] = {0, 0, long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
			   0x00cf93000000ffffull, 0x00008b0000000067ull};

	dma_write(&m->mem, BOOT_GDT, gdt, sizeof(gdt));
}

static void flat_segments(struct vcpu *v, bool long_mode)
{
	v->gdtr = (struct dtr){.base = BOOT_GDT, .limit = 5 * 8 - 1};
	v->idtr = (struct dtr){.base = 0, .limit = 0};
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		v->seg[s] = (struct seg){
			.limit = 0xffffffff, .sel = 0x18, .ar = AR_P | AR_S | AR_DB | AR_G | 3};
	v->seg[SEG_CS].sel = 0x10;
	v->seg[SEG_CS].ar = AR_P | AR_S | AR_G | (long_mode ? AR_L : AR_DB) | AR_CODE | 3;
	v->seg[SEG_TR] = (struct seg){.limit = 0x67, .sel = 0x20, .ar = AR_P | 11};
	v->seg[SEG_LDTR] = (struct seg){.ar = AR_UNUSABLE};
}

void loader_flat32(struct machine *m, u32 entry, u32 eax, u32 ebx)
{
	struct vcpu *v = &m->cpu[0]->v;

	write_gdt(m, false);
	flat_segments(v, false);
	v->cr0 = CR0_PE | CR0_ET;
	v->reg[RAX] = eax;
	v->reg[RBX] = ebx;
	v->reg[RDX] = 0;
	v->rip = entry;
	vcpu_recompute(v);
}

/* Identity map of the first 4 GiB with 2-MByte pages. */
static void write_page_tables(struct machine *m)
{
	u64 e = BOOT_PML4 + 0x1000 + 7;

	dma_write(&m->mem, BOOT_PML4, &e, 8);
	for (u64 g = 0; g < 4; g++) {
		u64 pd = BOOT_PML4 + 0x2000 + g * 0x1000;

		e = pd + 7;
		dma_write(&m->mem, BOOT_PML4 + 0x1000 + g * 8, &e, 8);
		for (u64 k = 0; k < 512; k++) {
			e = g << 30 | k << 21 | 0x87;
			dma_write(&m->mem, pd + k * 8, &e, 8);
		}
	}
}

void loader_long64(struct machine *m, u64 entry, u64 rsi)
{
	struct vcpu *v = &m->cpu[0]->v;

	write_gdt(m, true);
	write_page_tables(m);
	flat_segments(v, true);
	v->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	v->cr3 = BOOT_PML4;
	v->cr4 = CR4_PAE;
	v->efer = EFER_LME | EFER_LMA;
	v->reg[RSI] = rsi;
	v->reg[RDX] = 0;
	v->rip = entry;
	vcpu_recompute(v);
}

/*
 * What software finds in the BIOS data area: ports of the serial lines, the segment of the extended
 * area, KiB of conventional memory. Xen places its trampoline by the last two.
 */
static void write_bios_data(struct machine *m)
{
	static const u16 com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	u8 data[0x15] = {0};

	for (unsigned n = 0; n < ARRAY_SIZE(com); n++)
		if (n == 0 || m->cfg.serial[n])
			store_le(data + 2 * n, com[n], 2);
	store_le(data + 0x0e, LOADER_EBDA >> 4, 2);
	store_le(data + 0x13, LOADER_EBDA >> 10, 2);
	dma_write(&m->mem, 0x400, data, sizeof(data));
}

static bool load_kernel(struct loader *l)
{
	static int (*const kinds[])(struct loader *) = {boot_multiboot, boot_linux, boot_pvh};

	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		int r = kinds[k](l);

		if (r)
			return r > 0;
	}
	return loader_fail(l, "kernel", l->name,
			   "is no kernel that can be booted (bzImage, PVH ELF or multiboot)");
}

bool boot_setup(struct machine *m, char *err, size_t errlen)
{
	struct loader l = {.m = m, .name = m->cfg.kernel, .err = err, .errlen = errlen};
	bool ok;

	if (!m->cfg.kernel) {
		snprintf(err, errlen,
			 "nothing to boot: give -kernel FILE (firmware is not there yet)");
		return false;
	}
	if (m->cfg.image)
		l.kernel = (struct blob){.data = (u8 *)(uintptr_t)m->cfg.image,
					 .size = m->cfg.image_size};
	else if (!loader_read(&l, "kernel", m->cfg.kernel, &l.kernel))
		return false;
	write_bios_data(m);
	ok = load_kernel(&l);
	blob_free(&l.kernel);
	return ok;
}
