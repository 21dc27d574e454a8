/*
 * ACPI tables for boots without firmware: RSDP, XSDT, FADT, FACS, MADT, HPET, DSDT. ACPI
 * specification 6.4, chapters 5 and 20 (AML). The DSDT describes what the board has: PCI root with
 * its windows and interrupt routing, serial port, RTC, S5.
 */
#include "machine/board.h"

/* A table or a piece of AML under construction. */
struct buf {
	u8 b[8192];
	unsigned n;
};

static void put(struct buf *t, u64 value, unsigned bytes)
{
	store_le(t->b + t->n, value, bytes);
	t->n += bytes;
}

static void put_bytes(struct buf *t, const void *p, unsigned n)
{
	memcpy(t->b + t->n, p, n);
	t->n += n;
}

static void put_text(struct buf *t, const char *s, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		put(t, *s ? (u8)*s++ : ' ', 1);
}

/* --- AML --- */

enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXT = 0x5b,
	AML_DEVICE = 0x82,
};

static void aml_int(struct buf *t, u64 v)
{
	unsigned bytes = v > 0xffff ? 4 : v > 0xff ? 2 : 1;

	if (v <= 1) {
		put(t, v, 1);
		return;
	}
	put(t, bytes == 4 ? AML_DWORD : bytes == 2 ? AML_WORD : AML_BYTE, 1);
	put(t, v, bytes);
}

/* PkgLength of a body of n bytes: counts its own bytes too. */
static void aml_length(struct buf *t, unsigned n)
{
	if (n + 1 < 0x40) {
		put(t, n + 1, 1);
	} else if (n + 2 < 0x1000) {
		put(t, 0x40 | ((n + 2) & 15), 1);
		put(t, (n + 2) >> 4, 1);
	} else {
		put(t, 0x80 | ((n + 3) & 15), 1);
		put(t, (n + 3) >> 4, 2);
	}
}

static void aml_block(struct buf *t, u8 op, bool ext, const char *name, const struct buf *body)
{
	if (ext)
		put(t, AML_EXT, 1);
	put(t, op, 1);
	aml_length(t, body->n + (unsigned)strlen(name));
	put_bytes(t, name, (unsigned)strlen(name));
	put_bytes(t, body->b, body->n);
}

static void aml_name(struct buf *t, const char *name)
{
	put(t, AML_NAME, 1);
	put_bytes(t, name, 4);
}

static void aml_name_int(struct buf *t, const char *name, u64 v)
{
	aml_name(t, name);
	aml_int(t, v);
}

static void aml_eisa(struct buf *t, const char *id)
{
	unsigned v = (unsigned)(id[0] - 0x40) << 26 | (unsigned)(id[1] - 0x40) << 21 |
		     (unsigned)(id[2] - 0x40) << 16;

	for (unsigned k = 0; k < 4; k++)
		v |= (unsigned)(id[3 + k] <= '9' ? id[3 + k] - '0' : id[3 + k] - 'A' + 10)
		     << (12 - 4 * k);
	aml_name(t, "_HID");
	put(t, AML_DWORD, 1);
	put(t, __builtin_bswap32(v), 4);
}

static void aml_buffer(struct buf *t, const char *name, const struct buf *data)
{
	struct buf inner = {.n = 0};

	aml_int(&inner, data->n);
	put_bytes(&inner, data->b, data->n);
	aml_name(t, name);
	put(t, AML_BUFFER, 1);
	aml_length(t, inner.n);
	put_bytes(t, inner.b, inner.n);
}

/* Resource descriptors. */
static void res_io(struct buf *t, u16 base, u8 len)
{
	put(t, 0x47, 1);
	put(t, 1, 1);
	put(t, base, 2);
	put(t, base, 2);
	put(t, 1, 1);
	put(t, len, 1);
}

static void res_irq(struct buf *t, unsigned irq)
{
	put(t, 0x22, 1);
	put(t, 1u << irq, 2);
}

static void res_end(struct buf *t)
{
	put(t, 0x79, 1);
	put(t, 0, 1);
}

/* Word or dword address space: kind 0 memory, 1 I/O, 2 bus numbers. */
static void res_window(struct buf *t, unsigned bytes, u8 kind, u64 lo, u64 hi)
{
	put(t, bytes == 2 ? 0x88 : 0x87, 1);
	put(t, bytes == 2 ? 13 : 23, 2);
	put(t, kind, 1);
	put(t, 0x0c, 1);
	put(t, kind == 1 ? 3 : kind == 0 ? 1 : 0, 1);
	put(t, 0, bytes);
	put(t, lo, bytes);
	put(t, hi, bytes);
	put(t, 0, bytes);
	put(t, hi - lo + 1, bytes);
}

/* _PRT: four pins of every slot, straight to I/O APIC pins 16-19. */
static void pci_routes(struct buf *t)
{
	struct buf list = {.n = 0};

	put(&list, 31 * 4, 1);
	for (unsigned slot = 1; slot < 32; slot++)
		for (unsigned pin = 0; pin < 4; pin++) {
			struct buf e = {.n = 0};

			put(&e, 4, 1);
			aml_int(&e, (u64)slot << 16 | 0xffff);
			aml_int(&e, pin);
			aml_int(&e, 0);
			aml_int(&e, 16 + pci_pirq(slot, pin));
			put(&list, AML_PACKAGE, 1);
			aml_length(&list, e.n);
			put_bytes(&list, e.b, e.n);
		}
	aml_name(t, "_PRT");
	put(t, AML_PACKAGE, 1);
	aml_length(t, list.n);
	put_bytes(t, list.b, list.n);
}

static void isa_device(struct buf *t, const char *name, const char *hid, u16 port, u8 ports,
		       unsigned irq)
{
	struct buf d = {.n = 0}, res = {.n = 0};

	aml_eisa(&d, hid);
	aml_name_int(&d, "_STA", 15);
	res_io(&res, port, ports);
	res_irq(&res, irq);
	res_end(&res);
	aml_buffer(&d, "_CRS", &res);
	aml_block(t, AML_DEVICE, true, name, &d);
}

static void pci_root(struct machine *m, struct buf *t)
{
	struct buf d = {.n = 0}, res = {.n = 0};

	aml_eisa(&d, "PNP0A03");
	aml_name_int(&d, "_UID", 0);
	aml_name_int(&d, "_BBN", 0);
	res_window(&res, 2, 2, 0, 255);
	res_io(&res, 0xcf8, 8);
	res_window(&res, 2, 1, 0, 0xcf7);
	res_window(&res, 2, 1, 0xd00, 0xffff);
	res_window(&res, 4, 0, m->mem.low > 0xc0000000 ? m->mem.low : 0xc0000000, PCI_MEM_END - 1);
	res_end(&res);
	aml_buffer(&d, "_CRS", &res);
	pci_routes(&d);
	for (unsigned n = 0; n < 4; n++) {
		static const char *const com[] = {"COM1", "COM2", "COM3", "COM4"};
		static const u16 port[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

		if (n == 0 || m->cfg.serial[n])
			isa_device(&d, com[n], "PNP0501", port[n], 8, n & 1 ? 3 : 4);
	}
	isa_device(&d, "RTC_", "PNP0B00", 0x70, 2, 8);
	aml_block(t, AML_DEVICE, true, "PCI0", &d);
}

static void dsdt_body(struct machine *m, struct buf *t)
{
	static const u8 s3[] = {AML_PACKAGE, 6, 4, AML_ONE, AML_ONE, AML_ZERO, AML_ZERO};
	static const u8 s5[] = {AML_PACKAGE, 6, 4, AML_ZERO, AML_ZERO, AML_ZERO, AML_ZERO};
	struct buf sb = {.n = 0};

	aml_name(t, "_S3_");
	put_bytes(t, s3, sizeof(s3));
	aml_name(t, "_S5_");
	put_bytes(t, s5, sizeof(s5));
	pci_root(m, &sb);
	aml_block(t, AML_SCOPE, false, "_SB_", &sb);
}

/* --- tables --- */

static void header(struct buf *t, const char *sig, u8 revision)
{
	t->n = 0;
	put_text(t, sig, 4);
	put(t, 0, 4); /* length */
	put(t, revision, 1);
	put(t, 0, 1); /* checksum */
	put_text(t, "GIGOGN", 6);
	put_text(t, "GIGOGNE", 8);
	put(t, 1, 4);
	put_text(t, "GIGO", 4);
	put(t, 1, 4);
}

static u8 sum(const u8 *p, unsigned n)
{
	u8 s = 0;

	while (n--)
		s = (u8)(s + *p++);
	return s;
}

/* Places a finished table in RAM; returns its address. */
static u64 place(struct machine *m, u64 *at, struct buf *t, bool standard)
{
	u64 addr = (*at + 63) & ~63ull;

	if (standard) {
		store_le32(t->b + 4, t->n);
		t->b[9] = (u8)-sum(t->b, t->n);
	}
	dma_write(&m->mem, addr, t->b, t->n);
	*at = addr + t->n;
	return addr;
}

static void gas_io(struct buf *t, u16 port, u8 bits)
{
	put(t, 1, 1);
	put(t, bits, 1);
	put(t, 0, 1);
	put(t, bits >= 32 ? 3 : 2, 1);
	put(t, port, 8);
}

static void gas_none(struct buf *t)
{
	put(t, 0, 12 - 8);
	put(t, 0, 8);
}

static void fadt(struct buf *t, u64 facs, u64 dsdt)
{
	header(t, "FACP", 5);
	put(t, facs, 4);
	put(t, dsdt, 4);
	put(t, 0, 1);
	put(t, 1, 1); /* preferred profile: desktop */
	put(t, SCI_IRQ, 2);
	put(t, 0xb2, 4);
	put(t, ACPI_PM_ENABLE, 1);
	put(t, ACPI_PM_DISABLE, 1);
	put(t, 0, 2);
	put(t, PM_BASE, 4);
	put(t, 0, 4);
	put(t, PM_BASE + 4, 4);
	put(t, 0, 4);
	put(t, 0, 4);
	put(t, PM_BASE + 8, 4);
	put(t, GPE_BASE, 4);
	put(t, 0, 4);
	put(t, 4, 1); /* lengths: PM1 event, control, PM2, timer, GPE0, GPE1 */
	put(t, 2, 1);
	put(t, 0, 1);
	put(t, 4, 1);
	put(t, 4, 1);
	put(t, 0, 3);
	put(t, 0xfff, 2); /* no C2, C3 */
	put(t, 0xfff, 2);
	put(t, 0, 6);	 /* flush, duty */
	put(t, 0, 2);	 /* day and month alarm */
	put(t, 0x32, 1); /* century */
	put(t, 3, 2);	 /* legacy devices, 8042 */
	put(t, 0, 1);
	put(t, 0x4a5,
	    4); /* WBINVD, C1, sleep button absent, RTC not in fixed space, reset register */
	gas_io(t, 0xcf9, 8);
	put(t, 6, 1);
	put(t, 0, 3);
	put(t, facs, 8);
	put(t, dsdt, 8);
	gas_io(t, PM_BASE, 32);
	gas_none(t);
	gas_io(t, PM_BASE + 4, 16);
	gas_none(t);
	gas_none(t);
	gas_io(t, PM_BASE + 8, 32);
	gas_io(t, GPE_BASE, 32);
	gas_none(t);
	gas_none(t);
	gas_none(t);
}

static void madt_override(struct buf *t, u8 irq, u32 pin, u16 flags)
{
	put(t, 2, 1);
	put(t, 10, 1);
	put(t, 0, 1);
	put(t, irq, 1);
	put(t, pin, 4);
	put(t, flags, 2);
}

static void madt(struct machine *m, struct buf *t)
{
	header(t, "APIC", 4);
	put(t, 0xfee00000, 4);
	put(t, 1, 4); /* 8259s are there */
	for (unsigned n = 0; n < m->cfg.cpus; n++) {
		put(t, 0, 1);
		put(t, 8, 1);
		put(t, n, 1);
		put(t, n, 1);
		put(t, 1, 4);
	}
	put(t, 1, 1);
	put(t, 12, 1);
	put(t, 0, 2);
	put(t, 0xfec00000, 4);
	put(t, 0, 4);
	madt_override(t, 0, 2, 0);
	madt_override(t, SCI_IRQ, SCI_IRQ, 0xd); /* level, active high */
	put(t, 4, 1);				 /* LINT1 of every CPU is NMI */
	put(t, 6, 1);
	put(t, 0xff, 1);
	put(t, 0, 2);
	put(t, 1, 1);
}

static void hpet_table(struct buf *t)
{
	header(t, "HPET", 1);
	put(t, 0x8086a201, 4);
	put(t, 0, 1);
	put(t, 64, 1);
	put(t, 0, 2);
	put(t, 0xfed00000, 8);
	put(t, 0, 1);
	put(t, 100, 2);
	put(t, 0, 1);
}

static u64 rsdp(struct machine *m, u64 *at, u64 xsdt)
{
	struct buf t = {.n = 0};

	put_text(&t, "RSD PTR ", 8);
	put(&t, 0, 1);
	put_text(&t, "GIGOGN", 6);
	put(&t, 2, 1);
	put(&t, 0, 4);
	put(&t, 36, 4);
	put(&t, xsdt, 8);
	put(&t, 0, 4);
	t.b[8] = (u8)-sum(t.b, 20);
	t.b[32] = (u8)-sum(t.b, 36);
	return place(m, at, &t, false);
}

u64 acpi_build(struct machine *m)
{
	struct buf t;
	u64 at = ACPI_FACS, facs, dsdt, table[3], xsdt;

	t.n = 0;
	put_text(&t, "FACS", 4);
	put(&t, 64, 4);
	memset(t.b + 8, 0, 56);
	t.n = 64;
	facs = place(m, &at, &t, false);
	header(&t, "DSDT", 2);
	dsdt_body(m, &t);
	dsdt = place(m, &at, &t, true);
	fadt(&t, facs, dsdt);
	table[0] = place(m, &at, &t, true);
	madt(m, &t);
	table[1] = place(m, &at, &t, true);
	hpet_table(&t);
	table[2] = place(m, &at, &t, true);
	header(&t, "XSDT", 1);
	for (unsigned k = 0; k < ARRAY_SIZE(table); k++)
		put(&t, table[k], 8);
	xsdt = place(m, &at, &t, true);
	at = ACPI_AREA; /* where software looks for the pointer */
	return rsdp(m, &at, xsdt);
}
