// The start of a Linux guest without firmware: loads a bzImage as "The Linux/x86 Boot Protocol"
// says for the 64-bit entry, makes its page tables, GDT and zero page, and a minimal set of ACPI
// tables (ACPI 3.0: RSDP, XSDT, FADT, FACS, MADT and a DSDT that holds only \_S5).
//
// Left out: the 16-bit and 32-bit entries, memory above 3 GiB, and any ACPI device; the guest
// finds its serial port at the address PCs always had.

#include "vmm.h"

#include <stdio.h>
#include <string.h>

enum {
	KERNEL_BASE = 0x100000,
	HDR_SETUP_SECTS = 0x1f1,
	HDR_JUMP_SIZE = 0x201,
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_LOADER = 0x210,
	HDR_INITRD_BASE = 0x218,
	HDR_INITRD_SIZE = 0x21c,
	HDR_COMMAND_LINE = 0x228,
	HDR_INITRD_MAX = 0x22c,
	HDR_XLOADFLAGS = 0x236,
	HDR_COMMAND_LINE_MAX = 0x238,
	HDR_PREFERRED = 0x258,
	HDR_INIT_SIZE = 0x260,
	ZERO_E820_COUNT = 0x1e8,
	ZERO_E820 = 0x2d0,
	ENTRY_64_OFFSET = 0x200,
	XLF_KERNEL_64 = 1,
};

static void put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static long file_size(FILE *f)
{
	long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;

	return size >= 0 && fseek(f, 0, SEEK_SET) == 0 ? size : -1;
}

// Reads a whole file to `at`, which has `room` bytes. Returns its size, or 0.
static uint64_t load_file(const char *path, uint8_t *at, uint64_t room)
{
	FILE *f = fopen(path, "rb");
	long size = f ? file_size(f) : -1;
	bool good =
		size > 0 && (uint64_t)size <= room && fread(at, 1, (size_t)size, f) == (size_t)size;

	if (f)
		fclose(f);
	return good ? (uint64_t)size : 0;
}

static void make_page_tables(struct ram *ram)
{
	uint8_t *pml4 = ram->base + PML4_BASE, *pdpt = pml4 + 0x1000, *directory = pdpt + 0x1000;

	put(pml4, PML4_BASE + 0x1000 + 3, 8);
	for (unsigned i = 0; i < 4; i++)
		put(pdpt + 8 * i, PML4_BASE + 0x2000 + 0x1000 * i + 3, 8);
	for (uint64_t i = 0; i < 4 * 512; i++)
		put(directory + 8 * i, i << 21 | 0x83, 8);
}

static void make_gdt(struct ram *ram)
{
	put(ram->base + GDT_BASE + CODE_SELECTOR, 0x00af9b000000ffff, 8);
	put(ram->base + GDT_BASE + DATA_SELECTOR, 0x00cf93000000ffff, 8);
}

static void make_memory_map(struct ram *ram, uint8_t *zero_page)
{
	const struct {
		uint64_t base, end;
		uint32_t type; // 1 RAM, 2 reserved
	} map[] = {
		{0, 0x9fc00, 1},
		{0x9fc00, 0xa0000, 2},
		{ACPI_BASE, 0x100000, 2},
		{0x100000, ram->size, 1},
	};

	zero_page[ZERO_E820_COUNT] = sizeof(map) / sizeof(map[0]);
	for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		uint8_t *entry = zero_page + ZERO_E820 + 20 * i;

		put(entry, map[i].base, 8);
		put(entry + 8, map[i].end - map[i].base, 8);
		put(entry + 16, map[i].type, 4);
	}
}

static void put_checksum(uint8_t *table, unsigned size, unsigned at)
{
	uint8_t sum = 0;

	table[at] = 0;
	for (unsigned i = 0; i < size; i++)
		sum += table[i];
	table[at] = (uint8_t)-sum;
}

// The common header of ACPI tables. The contents must stand already.
static void finish_table(uint8_t *table, const char *signature, uint8_t revision, unsigned size)
{
	memcpy(table, signature, 4);
	put(table + 4, size, 4);
	table[8] = revision;
	memcpy(table + 10, "GIGOGNGUESTVMM", 14);
	put(table + 24, 1, 4);
	memcpy(table + 28, "GGVM", 4);
	put(table + 32, 1, 4);
	put_checksum(table, size, 9);
}

enum {
	RSDP = ACPI_BASE,
	XSDT = ACPI_BASE + 0x40,
	FADT = ACPI_BASE + 0x100,
	FACS = ACPI_BASE + 0x200,
	DSDT = ACPI_BASE + 0x240,
	MADT = ACPI_BASE + 0x300,
};

static void make_fadt(uint8_t *t)
{
	put(t + 36, FACS, 4);
	put(t + 40, DSDT, 4);
	put(t + 46, IRQ_ACPI, 2);
	put(t + 56, PORT_PM1_EVENT, 4);
	put(t + 64, PORT_PM1_CONTROL, 4);
	t[88] = 4;
	t[89] = 2;
	put(t + 96, 0xffff, 2);	 // no C2
	put(t + 98, 0xffff, 2);	 // no C3
	put(t + 109, 0x0025, 2); // legacy devices; no VGA, no CMOS clock, no i8042
	// WBINVD, C1, no fixed power or sleep button, no fixed RTC wake, reset register
	put(t + 112, 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10, 4);
	t[116] = 1; // I/O space
	t[117] = 8;
	t[119] = 1;
	put(t + 120, PORT_RESET, 8);
	t[128] = RESET_VALUE;
	finish_table(t, "FACP", 3, 244);
}

static void make_madt(uint8_t *t, int vcpus)
{
	uint8_t *p = t + 44;

	put(t + 36, 0xfee00000, 4);
	put(t + 40, 1, 4); // the two 8259s are there too
	for (int i = 0; i < vcpus; i++, p += 8) {
		const uint8_t local_apic[8] = {0, 8, (uint8_t)i, (uint8_t)i, 1};

		memcpy(p, local_apic, 8);
	}
	p[0] = 1;
	p[1] = 12;
	p[2] = (uint8_t)vcpus;
	put(p + 4, 0xfec00000, 4);
	p += 12;
	// KVM's default routing wires every ISA line to the pin of its number; only ours is level.
	memcpy(p, (const uint8_t[10]){2, 10, 0, IRQ_ACPI, IRQ_ACPI, 0, 0, 0, 0x0d, 0}, 10);
	p += 10;
	memcpy(p, (const uint8_t[6]){4, 6, 0xff, 0, 0, 1}, 6); // NMI on LINT1 of all
	p += 6;
	finish_table(t, "APIC", 3, (unsigned)(p - t));
}

static void make_acpi(struct ram *ram, int vcpus)
{
	// Name (\_S5, Package (4) {5, 5, 0, 0})
	static const uint8_t s5[] = {0x08, '_',	 'S',		'5',  '_',	     0x12, 0x08,
				     0x04, 0x0a, SLEEP_TYPE_S5, 0x0a, SLEEP_TYPE_S5, 0x00, 0x00};
	uint8_t *rsdp = ram->base + RSDP, *xsdt = ram->base + XSDT;

	memcpy(ram->base + DSDT + 36, s5, sizeof(s5));
	finish_table(ram->base + DSDT, "DSDT", 2, 36 + sizeof(s5));
	memcpy(ram->base + FACS, "FACS", 4);
	put(ram->base + FACS + 4, 64, 4);
	ram->base[FACS + 32] = 1;
	make_fadt(ram->base + FADT);
	make_madt(ram->base + MADT, vcpus);
	put(xsdt + 36, FADT, 8);
	put(xsdt + 44, MADT, 8);
	finish_table(xsdt, "XSDT", 1, 52);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "GIGOGN", 6);
	rsdp[15] = 2;
	put(rsdp + 20, 36, 4);
	put(rsdp + 24, XSDT, 8);
	put_checksum(rsdp, 20, 8);
	put_checksum(rsdp, 36, 32);
}

// The initrd goes to the top of memory; the kernel's own room must stay below it.
static const char *load_initrd(struct ram *ram, uint8_t *zero_page, const char *path)
{
	uint64_t top = get(zero_page + HDR_INITRD_MAX, 4) + 1, floor, size, base;
	FILE *f = fopen(path, "rb");
	long length = f ? file_size(f) : -1;

	if (f)
		fclose(f);
	if (length <= 0)
		return "cannot read the initrd";
	if (top > ram->size)
		top = ram->size;
	floor = get(zero_page + HDR_PREFERRED, 8) + get(zero_page + HDR_INIT_SIZE, 4);
	size = (uint64_t)length;
	if (size > top || floor > top - size)
		return "kernel and initrd do not fit in memory";
	base = (top - size) & ~(uint64_t)0xfff;
	size = load_file(path, ram->base + base, ram->size - base);
	if (size == 0)
		return "cannot read the initrd";
	put(zero_page + HDR_INITRD_BASE, base, 4);
	put(zero_page + HDR_INITRD_SIZE, size, 4);
	return NULL;
}

static const char *check_kernel(const uint8_t *image, uint64_t size)
{
	if (size < 0x1000 || memcmp(image + HDR_MAGIC, "HdrS", 4) != 0)
		return "the kernel is no bzImage";
	if (get(image + HDR_VERSION, 2) < 0x20c || !(image[HDR_XLOADFLAGS] & XLF_KERNEL_64))
		return "the kernel has no 64-bit entry";
	return NULL;
}

// The setup part is read along with the rest, copied to the zero page and then written over.
static const char *load_kernel(struct ram *ram, uint8_t *zero_page, const char *path)
{
	uint8_t *image = ram->base + KERNEL_BASE;
	uint64_t size = load_file(path, image, ram->size - KERNEL_BASE), setup;
	const char *wrong = size == 0 ? "cannot read the kernel" : check_kernel(image, size);

	if (wrong)
		return wrong;
	setup = (image[HDR_SETUP_SECTS] ? image[HDR_SETUP_SECTS] + 1U : 5U) * 512;
	if (setup >= size)
		return "the kernel is cut short";
	if (get(image + HDR_PREFERRED, 8) + get(image + HDR_INIT_SIZE, 4) > ram->size)
		return "the kernel does not fit in memory";
	memcpy(zero_page + HDR_SETUP_SECTS, image + HDR_SETUP_SECTS,
	       HDR_MAGIC + image[HDR_JUMP_SIZE] - HDR_SETUP_SECTS);
	memmove(image, image + setup, size - setup);
	zero_page[HDR_LOADER] = 0xff;
	return NULL;
}

const char *boot_load(struct ram *ram, struct start *start)
{
	uint8_t *zero_page = ram->base + ZERO_PAGE_BASE;
	const char *wrong = load_kernel(ram, zero_page, start->kernel);

	if (!wrong && start->initrd)
		wrong = load_initrd(ram, zero_page, start->initrd);
	if (wrong)
		return wrong;
	if (strlen(start->command_line) > get(zero_page + HDR_COMMAND_LINE_MAX, 4))
		return "the command line is too long";
	strcpy((char *)ram->base + COMMAND_LINE_BASE, start->command_line);
	put(zero_page + HDR_COMMAND_LINE, COMMAND_LINE_BASE, 4);
	make_memory_map(ram, zero_page);
	make_page_tables(ram);
	make_gdt(ram);
	make_acpi(ram, start->vcpus);
	start->entry = KERNEL_BASE + ENTRY_64_OFFSET;
	return NULL;
}
