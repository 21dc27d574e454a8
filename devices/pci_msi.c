/*
 * Message-signalled interrupts: PCI Local Bus Specification 3.0, section "MSI and MSI-X". See
 * pci.h.
 */
#include <assert.h>

#include "base/bits.h"
#include "devices/pci_internal.h"

#define MSI_CONTROL 2
#define MSI_ADDRESS 4
#define MSI_UPPER 8
#define MSI_DATA 12
#define MSI_MASK 16
#define MSI_PENDING 20
#define MSI_ENABLE 1

#define MSIX_CONTROL 2
#define MSIX_ENABLE 0x8000
#define MSIX_FUNCTION_MASK 0x4000
#define MSIX_ENTRY 16
#define MSIX_CONTROL_WORD 3

/* A message is a memory write: it needs bus mastering, and goes to RAM if that is where it points.
 */
static void send_message(struct pci_device *p, u64 addr, u32 data)
{
	const struct msi_sink *sink = &p->bus->msi;
	u8 le[4];

	if (!(p->config[PCI_COMMAND] & PCI_COMMAND_MASTER))
		return;
	if ((addr & ~0xfffffull) == 0xfee00000) {
		if (sink->send)
			sink->send(sink->owner, addr, data);
		return;
	}
	store_le32(le, data);
	pci_dma_write(p, addr, le, 4);
}

/* MSI */

void pci_add_msi(struct pci_device *p, unsigned vectors_log2, bool maskable)
{
	unsigned at = pci_add_capability(p, PCI_CAP_MSI, maskable ? 24 : 14);

	assert(vectors_log2 <= 5);
	p->msi_cap = (u8)at;
	p->msi_vectors_log2 = (u8)vectors_log2;
	p->msi_maskable = maskable;
	pci_set_initial(p, at + MSI_CONTROL, 0x80 | vectors_log2 << 1 | (u32)maskable << 8, 2);
	pci_set_writable(p, at + MSI_CONTROL, 0x71, 2);
	pci_set_writable(p, at + MSI_ADDRESS, 0xfffffffc, 4);
	pci_set_writable(p, at + MSI_UPPER, 0xffffffff, 4);
	pci_set_writable(p, at + MSI_DATA, 0xffff, 2);
	if (maskable)
		pci_set_writable(p, at + MSI_MASK, (u32)size_mask(4) >> (32 - (1u << vectors_log2)),
				 4);
}

bool pci_msi_enabled(const struct pci_device *p)
{
	return p->msi_cap && (p->config[p->msi_cap + MSI_CONTROL] & MSI_ENABLE);
}

unsigned pci_msi_granted(const struct pci_device *p)
{
	unsigned log2 = p->config[p->msi_cap + MSI_CONTROL] >> 4 & 7;

	return 1u << (log2 < p->msi_vectors_log2 ? log2 : p->msi_vectors_log2);
}

static void msi_deliver(struct pci_device *p, unsigned vector)
{
	const u8 *cap = &p->config[p->msi_cap];
	u32 data = load_le16(cap + MSI_DATA) & ~(pci_msi_granted(p) - 1);

	send_message(p, load_le64(cap + MSI_ADDRESS), data | vector);
}

void pci_send_msi(struct pci_device *p, unsigned vector)
{
	if (!pci_msi_enabled(p))
		return;
	vector &= pci_msi_granted(p) - 1;
	if (p->msi_maskable && load_le32(&p->config[p->msi_cap + MSI_MASK]) >> vector & 1)
		p->msi_pending |= 1u << vector;
	else
		msi_deliver(p, vector);
}

u8 pci_msi_pending_byte(const struct pci_device *p, unsigned reg)
{
	unsigned first = p->msi_cap + MSI_PENDING;

	if (!p->msi_cap || !p->msi_maskable || reg < first || reg >= first + 4)
		return 0;
	return (u8)(p->msi_pending >> (8 * (reg - first)));
}

static void flush_msi(struct pci_device *p)
{
	u32 now;

	if (!p->msi_pending || !pci_msi_enabled(p))
		return;
	now = p->msi_pending & ~load_le32(&p->config[p->msi_cap + MSI_MASK]);
	p->msi_pending &= ~now;
	for (unsigned n = 0; n < pci_msi_granted(p); n++)
		if (now >> n & 1)
			msi_deliver(p, n);
}

/* MSI-X */

void pci_add_msix(struct pci_device *p, unsigned vectors, unsigned bar, u32 table_offset,
		  u32 pba_offset)
{
	unsigned at = pci_add_capability(p, PCI_CAP_MSIX, 12);

	assert(vectors >= 1 && vectors <= PCI_MSIX_MAX && p->bar[bar].kind > PCI_BAR_IO);
	assert(table_offset + (u64)vectors * MSIX_ENTRY <= p->bar[bar].size);
	assert(pba_offset + 8ull <= p->bar[bar].size && !(table_offset & 7) && !(pba_offset & 7));
	p->msix_cap = (u8)at;
	p->msix_bar = (u8)bar;
	p->msix_vectors = (u16)vectors;
	p->msix_table_offset = table_offset;
	p->msix_pba_offset = pba_offset;
	pci_set_initial(p, at + MSIX_CONTROL, vectors - 1, 2);
	pci_set_writable(p, at + MSIX_CONTROL, MSIX_ENABLE | MSIX_FUNCTION_MASK, 2);
	pci_set_initial(p, at + 4, table_offset | bar, 4);
	pci_set_initial(p, at + 8, pba_offset | bar, 4);
}

static unsigned msix_control(const struct pci_device *p)
{
	return load_le16(&p->config[p->msix_cap + MSIX_CONTROL]);
}

bool pci_msix_enabled(const struct pci_device *p)
{
	return p->msix_cap && (msix_control(p) & MSIX_ENABLE);
}

static bool msix_masked(const struct pci_device *p, unsigned vector)
{
	return (msix_control(p) & MSIX_FUNCTION_MASK) ||
	       (p->msix_table[vector][MSIX_CONTROL_WORD] & 1);
}

static void msix_deliver(struct pci_device *p, unsigned vector)
{
	const u32 *e = p->msix_table[vector];

	p->msix_pending &= ~BIT(vector);
	send_message(p, (u64)e[1] << 32 | e[0], e[2]);
}

void pci_send_msix(struct pci_device *p, unsigned vector)
{
	if (!pci_msix_enabled(p) || vector >= p->msix_vectors)
		return;
	if (msix_masked(p, vector))
		p->msix_pending |= BIT(vector);
	else
		msix_deliver(p, vector);
}

static void flush_msix(struct pci_device *p)
{
	if (!p->msix_pending || !pci_msix_enabled(p))
		return;
	for (unsigned n = 0; n < p->msix_vectors; n++)
		if ((p->msix_pending >> n & 1) && !msix_masked(p, n))
			msix_deliver(p, n);
}

void pci_msi_flush(struct pci_device *p)
{
	flush_msi(p);
	flush_msix(p);
}

static bool in_table(const struct pci_device *p, unsigned bar, u64 offset)
{
	return p->msix_cap && bar == p->msix_bar &&
	       offset - p->msix_table_offset < (u64)p->msix_vectors * MSIX_ENTRY;
}

static bool in_pba(const struct pci_device *p, unsigned bar, u64 offset)
{
	return p->msix_cap && bar == p->msix_bar && offset - p->msix_pba_offset < 8;
}

/* Accesses are aligned to their size by the bus, so none straddles the end of table or bits. */
bool pci_msix_read(struct pci_device *p, unsigned bar, u64 offset, unsigned size, u64 *value)
{
	u64 at = offset - p->msix_table_offset, qword;

	if (in_pba(p, bar, offset)) {
		qword = p->msix_pending;
	} else if (in_table(p, bar, offset)) {
		const u32 *e = p->msix_table[at / MSIX_ENTRY] + (at & 8) / 4;

		qword = (u64)e[1] << 32 | e[0];
	} else {
		return false;
	}
	*value = qword >> (8 * (offset & 7)) & size_mask(size);
	return true;
}

static void write_entry(struct pci_device *p, u64 at, u32 value)
{
	unsigned word = (unsigned)(at % MSIX_ENTRY / 4);
	static const u32 writable[4] = {0xfffffffc, 0xffffffff, 0xffffffff, 1};

	p->msix_table[at / MSIX_ENTRY][word] = value & writable[word];
}

bool pci_msix_write(struct pci_device *p, unsigned bar, u64 offset, u64 value, unsigned size)
{
	u64 at = offset - p->msix_table_offset;

	if (in_pba(p, bar, offset))
		return true;
	if (!in_table(p, bar, offset))
		return false;
	if (size < 4) {
		LOG(p->dev.env.log, guest_error, "%s: MSI-X table write of %u bytes", p->dev.id,
		    size);
		return true;
	}
	for (unsigned i = 0; i < size; i += 4)
		write_entry(p, at + i, (u32)(value >> (8 * i)));
	flush_msix(p);
	return true;
}

/* Both */

void pci_msi_reset(struct pci_device *p)
{
	p->msi_pending = 0;
	p->msix_pending = 0;
	memset(p->msix_table, 0, sizeof(p->msix_table));
	for (unsigned n = 0; n < p->msix_vectors; n++)
		p->msix_table[n][MSIX_CONTROL_WORD] = 1;
}

bool pci_msi_valid(const struct pci_device *p)
{
	u32 msi = p->msi_cap ? (u32)size_mask(4) >> (32 - (1u << p->msi_vectors_log2)) : 0;

	for (unsigned n = 0; n < PCI_MSIX_MAX; n++) {
		const u32 *e = p->msix_table[n];

		if (n >= p->msix_vectors && (e[0] | e[1] | e[2] | e[3]))
			return false;
		if ((e[0] & 3) || e[MSIX_CONTROL_WORD] > 1)
			return false;
	}
	if (p->msix_vectors < 64 && p->msix_pending >> p->msix_vectors)
		return false;
	return (p->msi_pending & ~msi) == 0;
}
