/*
 * PCI bus 0, configuration spaces, BARs and pins. See pci.h; messages are in pci_msi.c.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/bits.h"
#include "devices/pci.h"
#include "devices/pci_internal.h"

#define CONFIG_ADDRESS_PORT 0xcf8
#define CONFIG_ENABLE 0x80000000u
#define CONFIG_ADDRESS_MASK 0x80fffffcu

/* Base address registers */

static u64 bar_address(const struct pci_device *p, unsigned n)
{
	const u8 *reg = &p->config[PCI_BAR0 + 4 * n];

	switch (p->bar[n].kind) {
	case PCI_BAR_IO:
		return load_le32(reg) & ~3u;
	case PCI_BAR_MEM32:
		return load_le32(reg) & ~15u;
	case PCI_BAR_MEM64:
		return load_le64(reg) & ~15ull;
	default:
		return 0;
	}
}

static struct bus *bar_space(const struct pci_device *p, unsigned n)
{
	return p->bar[n].kind == PCI_BAR_IO ? p->bus->io : p->bus->mem;
}

/* Address 0 is a BAR nobody has set yet; ports end at 64 Ki. */
static bool bar_wanted(const struct pci_device *p, unsigned n)
{
	const struct pci_bar *b = &p->bar[n];
	unsigned command = load_le16(&p->config[PCI_COMMAND]);
	u64 base = bar_address(p, n);

	if (b->kind == PCI_BAR_NONE || !p->bus || base == 0 || base + b->size - 1 < base)
		return false;
	if (b->kind == PCI_BAR_IO)
		return (command & PCI_COMMAND_IO) && base + b->size <= 0x10000;
	return command & PCI_COMMAND_MEMORY;
}

static bool bar_unmap(struct pci_device *p, unsigned n)
{
	struct pci_bar *b = &p->bar[n];

	b->refused = false;
	if (!b->mapped)
		return false;
	bus_detach(bar_space(p, n), &b->region);
	b->mapped = false;
	return true;
}

static void bar_map(struct pci_device *p, unsigned n)
{
	struct pci_bar *b = &p->bar[n];

	if (b->mapped)
		return;
	b->region.base = bar_address(p, n);
	b->mapped = bus_attach(bar_space(p, n), &b->region);
	b->refused = !b->mapped;
	if (b->refused)
		LOG(p->dev.env.log, guest_error, "%s: BAR %u at %" PRIx64 " is taken, not mapped",
		    p->dev.id, n, b->region.base);
}

/* Somebody left a place: others may have been waiting for it. */
static void map_refused(struct pci_bus *bus)
{
	for (unsigned i = 0; i < bus->count; i++) {
		struct pci_device *p = bus->fn[bus->plugged[i]];

		for (unsigned n = 0; n < PCI_BARS; n++)
			if (p->bar[n].refused)
				bar_map(p, n);
	}
}

static void update_bars(struct pci_device *p)
{
	bool left = false;

	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct pci_bar *b = &p->bar[n];
		bool want = bar_wanted(p, n);

		if (b->kind == PCI_BAR_NONE)
			continue;
		if (!want || b->region.base != bar_address(p, n))
			left |= bar_unmap(p, n);
		if (want && !b->mapped && !b->refused)
			bar_map(p, n);
	}
	if (left)
		map_refused(p->bus);
}

static u64 bar_read(void *owner, u64 offset, unsigned size)
{
	struct pci_bar *b = owner;
	u64 v;

	if (pci_msix_read(b->dev, (unsigned)(b - b->dev->bar), offset, size, &v))
		return v;
	return b->read ? b->read(b->dev, offset, size) : 0;
}

static void bar_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pci_bar *b = owner;

	if (pci_msix_write(b->dev, (unsigned)(b - b->dev->bar), offset, value, size))
		return;
	if (b->write)
		b->write(b->dev, offset, value, size);
}

void pci_add_bar(struct pci_device *p, unsigned n, enum pci_bar_kind kind, u64 size, u8 min, u8 max,
		 u64 (*read)(struct pci_device *p, u64 offset, unsigned size),
		 void (*write)(struct pci_device *p, u64 offset, u64 value, unsigned size))
{
	struct pci_bar *b = &p->bar[n];
	unsigned reg = PCI_BAR0 + 4 * n;
	bool is64 = kind == PCI_BAR_MEM64;

	assert(n + is64 < PCI_BARS && (size & (size - 1)) == 0);
	assert(size >= (kind == PCI_BAR_IO ? 4 : 16) && (is64 || size <= 0x80000000u));
	*b = (struct pci_bar){.dev = p, .read = read, .write = write, .size = size, .kind = kind};
	b->region = (struct io_region){.name = p->dev.id,
				       .len = size,
				       .min = min,
				       .max = max,
				       .read = bar_read,
				       .write = bar_write,
				       .owner = b};
	pci_set_initial(p, reg, kind == PCI_BAR_IO ? 1 : is64 ? 4 : 0, 4);
	pci_set_writable(p, reg, (u32) ~(size - 1) & ~(kind == PCI_BAR_IO ? 3u : 15u), 4);
	if (is64)
		pci_set_writable(p, reg + 4, (u32)(~(size - 1) >> 32), 4);
}

/* Interrupt pins */

unsigned pci_pirq(unsigned slot, unsigned pin)
{
	return (slot + pin + PCI_PINS - 1) % PCI_PINS;
}

static unsigned device_pirq(const struct pci_device *p)
{
	return pci_pirq(PCI_SLOT(p->devfn), p->initial[PCI_INTERRUPT_PIN] - 1u);
}

static bool pin_driven(const struct pci_device *p)
{
	unsigned command = load_le16(&p->config[PCI_COMMAND]);

	return p->intx && p->initial[PCI_INTERRUPT_PIN] && !(command & PCI_COMMAND_INTX_DISABLE) &&
	       !pci_msi_enabled(p) && !pci_msix_enabled(p);
}

static void update_pin(struct pci_device *p)
{
	struct pci_bus *bus = p->bus;
	bool level = false;
	unsigned pirq;

	if (!bus || !p->initial[PCI_INTERRUPT_PIN])
		return;
	pirq = device_pirq(p);
	for (unsigned i = 0; i < bus->count && !level; i++) {
		const struct pci_device *q = bus->fn[bus->plugged[i]];

		level = pin_driven(q) && device_pirq(q) == pirq;
	}
	irq_set(&bus->pirq[pirq], level);
}

void pci_set_intx(struct pci_device *p, bool level)
{
	if (p->intx == level)
		return;
	p->intx = level;
	update_pin(p);
}

/* Configuration space */

static u8 config_byte(const struct pci_device *p, unsigned reg)
{
	if (reg == PCI_STATUS && p->intx)
		return p->config[reg] | PCI_STATUS_INTERRUPT;
	return p->config[reg] | pci_msi_pending_byte(p, reg);
}

u32 pci_config_read(struct pci_device *p, unsigned reg, unsigned size)
{
	u32 v = 0;

	if (size > 4 || reg + size > PCI_CONFIG_SIZE)
		return (u32)size_mask(4);
	if (p->config_reading)
		p->config_reading(p, reg, size);
	for (unsigned i = 0; i < size; i++)
		v |= (u32)config_byte(p, reg + i) << (8 * i);
	return v;
}

static bool touches(unsigned reg, unsigned size, unsigned first, unsigned len)
{
	return reg < first + len && first < reg + size;
}

void pci_config_write(struct pci_device *p, unsigned reg, u32 value, unsigned size)
{
	if (size > 4 || reg + size > PCI_CONFIG_SIZE)
		return;
	for (unsigned i = 0; i < size; i++) {
		u8 v = (u8)(value >> (8 * i)), *byte = &p->config[reg + i];
		u8 mask = p->wmask[reg + i];

		*byte = (u8)((*byte & ~mask) | (v & mask));
		*byte &= (u8) ~(v & p->w1c[reg + i]);
	}
	if (touches(reg, size, PCI_COMMAND, 2) || touches(reg, size, PCI_BAR0, 4 * PCI_BARS))
		update_bars(p);
	pci_msi_flush(p);
	update_pin(p);
	if (p->config_written)
		p->config_written(p, reg, size);
}

void pci_set_initial(struct pci_device *p, unsigned reg, u32 value, unsigned size)
{
	store_le(&p->initial[reg], value, size);
}

void pci_set_writable(struct pci_device *p, unsigned reg, u32 mask, unsigned size)
{
	store_le(&p->wmask[reg], mask, size);
}

void pci_init(struct pci_device *p, u16 vendor, u16 device, u32 class_code, u8 revision)
{
	pci_set_initial(p, PCI_VENDOR_ID, vendor, 2);
	pci_set_initial(p, PCI_DEVICE_ID, device, 2);
	pci_set_initial(p, PCI_REVISION, revision, 1);
	pci_set_initial(p, PCI_CLASS, class_code, 3);
	pci_set_writable(p, PCI_COMMAND,
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE,
			 2);
	store_le16(&p->w1c[PCI_STATUS], 0xf900);
	pci_set_writable(p, PCI_CACHE_LINE, 0xff, 1);
	pci_set_writable(p, PCI_LATENCY, 0xff, 1);
	pci_set_writable(p, PCI_INTERRUPT_LINE, 0xff, 1);
	p->cap_end = 0x40;
}

void pci_set_subsystem(struct pci_device *p, u16 vendor, u16 id)
{
	pci_set_initial(p, PCI_SUBSYSTEM_VENDOR, vendor, 2);
	pci_set_initial(p, PCI_SUBSYSTEM_ID, id, 2);
}

void pci_set_pin(struct pci_device *p, unsigned pin)
{
	pci_set_initial(p, PCI_INTERRUPT_PIN, pin, 1);
}

unsigned pci_add_capability(struct pci_device *p, u8 id, unsigned len)
{
	unsigned at = p->cap_end;

	assert(at + len <= PCI_CONFIG_SIZE - 4);
	p->initial[p->cap_last ? p->cap_last + 1u : PCI_CAPABILITIES] = (u8)at;
	p->initial[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	p->initial[at] = id;
	p->cap_last = (u8)at;
	p->cap_end = (u8)((at + len + 3) & ~3u);
	return at;
}

void pci_reset(struct pci_device *p)
{
	memcpy(p->config, p->initial, sizeof(p->config));
	pci_msi_reset(p);
	p->intx = 0;
	update_bars(p);
	update_pin(p);
}

/* The pins are not driven here: who they lead to loads the levels it saw. */
bool pci_post_load(struct pci_device *p)
{
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
		u8 fixed = (u8) ~(p->wmask[i] | p->w1c[i]);

		if ((p->config[i] ^ p->initial[i]) & fixed)
			return false;
	}
	if (p->intx > 1 || !pci_msi_valid(p))
		return false;
	update_bars(p);
	return true;
}

/* Bus mastering */

static bool dma_allowed(struct pci_device *p, u64 addr, u64 len)
{
	if (!(p->config[PCI_COMMAND] & PCI_COMMAND_MASTER)) {
		LOG(p->dev.env.log, guest_error, "%s: DMA without Bus Master enable", p->dev.id);
		return false;
	}
	return len == 0 || addr + len - 1 >= addr;
}

static bool dma_result(struct pci_device *p, u64 addr, bool ok)
{
	if (ok)
		return true;
	LOG(p->dev.env.log, guest_error, "%s: DMA at %" PRIx64 " fails", p->dev.id, addr);
	p->config[PCI_STATUS + 1] |= PCI_STATUS_MASTER_ABORT >> 8;
	return false;
}

bool pci_dma_read(struct pci_device *p, u64 addr, void *buf, u64 len)
{
	if (dma_allowed(p, addr, len))
		return dma_result(p, addr, dma_read(p->dev.env.mem, addr, buf, len));
	memset(buf, 0xff, len);
	return false;
}

bool pci_dma_write(struct pci_device *p, u64 addr, const void *buf, u64 len)
{
	return dma_allowed(p, addr, len) &&
	       dma_result(p, addr, dma_write(p->dev.env.mem, addr, buf, len));
}

/* Configuration mechanism #1 */

static u64 address_read(void *owner, u64 offset, unsigned size)
{
	struct pci_bus *bus = owner;

	if (offset == 0 && size == 4)
		return bus->address;
	if (offset == 1 && size == 1 && bus->cf9_read)
		return bus->cf9_read(bus->cf9_owner);
	return size_mask(size);
}

static void address_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pci_bus *bus = owner;

	if (offset == 0 && size == 4)
		bus->address = (u32)value & CONFIG_ADDRESS_MASK;
	else if (offset == 1 && size == 1 && bus->cf9_write)
		bus->cf9_write(bus->cf9_owner, (u8)value);
}

static struct pci_device *addressed(const struct pci_bus *bus)
{
	if (!(bus->address & CONFIG_ENABLE) || bits(bus->address, 23, 16) != 0)
		return NULL;
	return bus->fn[bits(bus->address, 15, 8)];
}

static u64 data_read(void *owner, u64 offset, unsigned size)
{
	struct pci_bus *bus = owner;
	struct pci_device *p = addressed(bus);

	if (!p)
		return size_mask(size);
	return pci_config_read(p, (bus->address & 0xfc) + (unsigned)offset, size);
}

static void data_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pci_bus *bus = owner;
	struct pci_device *p = addressed(bus);

	if (p)
		pci_config_write(p, (bus->address & 0xfc) + (unsigned)offset, (u32)value, size);
}

static void bus_class_init(struct device *d)
{
	struct pci_bus *bus = (struct pci_bus *)d;

	bus->address_region = (struct io_region){.name = "pci-address",
						 .base = CONFIG_ADDRESS_PORT,
						 .len = 4,
						 .min = 1,
						 .max = 4,
						 .read = address_read,
						 .write = address_write,
						 .owner = bus};
	bus->data_region = bus->address_region;
	bus->data_region.name = "pci-data";
	bus->data_region.base = CONFIG_ADDRESS_PORT + 4;
	bus->data_region.read = data_read;
	bus->data_region.write = data_write;
	bus_attach(bus->io, &bus->address_region);
	bus_attach(bus->io, &bus->data_region);
}

static void bus_class_reset(struct device *d)
{
	((struct pci_bus *)d)->address = 0;
}

static bool bus_class_post_load(struct device *d)
{
	return (((struct pci_bus *)d)->address & ~CONFIG_ADDRESS_MASK) == 0;
}

static const struct state_field bus_state[] = {
	STATE_FIELD(struct pci_bus, address),
	STATE_END,
};

const struct device_class pci_bus_class = {
	.name = "pci-bus",
	.size = sizeof(struct pci_bus),
	.state = bus_state,
	.init = bus_class_init,
	.reset = bus_class_reset,
	.post_load = bus_class_post_load,
};

/* Function 0 of a slot says whether there are others. */
static void mark_multifunction(struct pci_bus *bus, unsigned slot)
{
	struct pci_device *first = bus->fn[PCI_DEVFN(slot, 0)];

	for (unsigned fn = 1; first && fn < 8; fn++)
		if (bus->fn[PCI_DEVFN(slot, fn)]) {
			first->initial[PCI_HEADER_TYPE] |= 0x80;
			first->config[PCI_HEADER_TYPE] |= 0x80;
		}
}

bool pci_plug(struct pci_bus *bus, struct pci_device *p, u8 devfn)
{
	if (bus->fn[devfn])
		return false;
	bus->fn[devfn] = p;
	bus->plugged[bus->count++] = devfn;
	p->bus = bus;
	p->devfn = devfn;
	p->dev.cls->init(&p->dev);
	mark_multifunction(bus, PCI_SLOT(devfn));
	p->dev.cls->reset(&p->dev);
	return true;
}

/* Resources, as firmware would assign them */

struct allocator {
	u64 next, end;
};

static bool assign_bar(struct pci_device *p, unsigned n, struct allocator *a)
{
	u64 size = p->bar[n].size, base = (a->next + size - 1) & ~(size - 1);

	if (base < a->next || base >= a->end || a->end - base < size) {
		LOG(p->dev.env.log, guest_error, "%s: no room for BAR %u", p->dev.id, n);
		return false;
	}
	a->next = base + size;
	pci_config_write(p, PCI_BAR0 + 4 * n, (u32)base, 4);
	if (p->bar[n].kind == PCI_BAR_MEM64)
		pci_config_write(p, PCI_BAR0 + 4 * n + 4, (u32)(base >> 32), 4);
	return true;
}

/* Every BAR of one size; larger ones first leaves no holes. */
static bool assign_size(struct pci_bus *bus, u64 size, struct allocator *mem, struct allocator *io)
{
	bool ok = true;

	for (unsigned i = 0; i < bus->count; i++) {
		struct pci_device *p = bus->fn[bus->plugged[i]];

		for (unsigned n = 0; n < PCI_BARS; n++)
			if (p->bar[n].kind != PCI_BAR_NONE && p->bar[n].size == size)
				ok &= assign_bar(p, n, p->bar[n].kind == PCI_BAR_IO ? io : mem);
	}
	return ok;
}

static void enable_function(struct pci_device *p, const struct pci_window *w)
{
	u32 command = pci_config_read(p, PCI_COMMAND, 2);

	for (unsigned n = 0; n < PCI_BARS; n++)
		if (p->bar[n].kind != PCI_BAR_NONE)
			command |=
				p->bar[n].kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	pci_config_write(p, PCI_COMMAND, command, 2);
	if (p->fixed_line)
		pci_config_write(p, PCI_INTERRUPT_LINE, p->fixed_line, 1);
	else if (p->initial[PCI_INTERRUPT_PIN])
		pci_config_write(p, PCI_INTERRUPT_LINE, w->irq[device_pirq(p)], 1);
}

bool pci_assign_resources(struct pci_bus *bus, const struct pci_window *w)
{
	struct allocator mem = {w->mem_base, w->mem_end}, io = {w->io_base, w->io_end};
	bool ok = true;

	for (unsigned n = 64; n-- > 0;)
		ok &= assign_size(bus, BIT(n), &mem, &io);
	for (unsigned i = 0; i < bus->count; i++)
		enable_function(bus->fn[bus->plugged[i]], w);
	return ok;
}
