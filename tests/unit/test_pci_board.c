/*
 * The board of the PCI device tests. See test_pci_board.h.
 */
#include <stdlib.h>

#include "tests/unit/test_pci_board.h"

static u64 board_now(void *owner)
{
	return ((struct board *)owner)->now;
}

static void take_msi(void *owner, u64 addr, u32 data)
{
	struct board *b = owner;

	b->msi[b->msis % BOARD_MSIS].addr = addr;
	b->msi[b->msis++ % BOARD_MSIS].data = data;
}

static void take_irq(void *owner, unsigned n, bool level)
{
	((struct board *)owner)->irq[n] = level;
}

static void take_pin(void *owner, unsigned n, bool level)
{
	((struct board *)owner)->pin[n] = level;
}

static void take_reset(void *owner, bool hard)
{
	struct board *b = owner;

	b->resets++;
	b->hard_resets += hard;
}

static void take_decode(void *owner, u16 base, bool on)
{
	struct board *b = owner;

	b->pm_base = base;
	b->pm_on = on;
}

static void take_pam(void *owner, u64 base, u64 len, u8 attr)
{
	struct board *b = owner;

	ck_assert_uint_eq(len, base == 0xf0000 ? 0x10000 : 0x4000);
	b->pam[base == 0xf0000 ? 0 : (base - 0xc0000) / 0x4000 + 1] = attr;
}

static bool outside(u64 offset, u64 len)
{
	return offset % 512 || len % 512 || offset > BOARD_DISK || len > BOARD_DISK - offset;
}

static int disk_read(void *owner, u64 offset, void *buf, size_t len)
{
	struct board *b = owner;

	ck_assert(!outside(offset, len));
	if (b->block_fails)
		return -5;
	memcpy(buf, b->disk + offset, len);
	return 0;
}

static int disk_write(void *owner, u64 offset, const void *buf, size_t len)
{
	struct board *b = owner;

	ck_assert(!outside(offset, len) && !b->block.read_only);
	if (b->block_fails)
		return -5;
	memcpy(b->disk + offset, buf, len);
	return 0;
}

static int disk_flush(void *owner)
{
	struct board *b = owner;

	b->flushes++;
	return b->block_fails ? -5 : 0;
}

static int disk_discard(void *owner, u64 offset, u64 len)
{
	struct board *b = owner;

	ck_assert(!outside(offset, len) && !b->block.read_only);
	b->discarded += len;
	return b->block_fails ? -5 : 0;
}

static void plug_bridges(struct board *b)
{
	device_setup(&b->pci.dev, &pci_bus_class, &b->env, "pci");
	b->pci.mem = &b->memory;
	b->pci.io = &b->ports;
	b->pci.msi = (struct msi_sink){take_msi, b};
	for (unsigned n = 0; n < PCI_PINS; n++)
		b->pci.pirq[n] = (struct irq_line){piix3_set_pirq, &b->isa, n};
	pci_bus_class.init(&b->pci.dev);
	pci_bus_class.reset(&b->pci.dev);
	device_setup(&b->host.pci.dev, &i440fx_class, &b->env, "i440fx");
	b->host.pam = take_pam;
	b->host.owner = b;
	ck_assert(pci_plug(&b->pci, &b->host.pci, PCI_DEVFN(0, 0)));
	device_setup(&b->isa.pci.dev, &piix3_class, &b->env, "piix3");
	for (unsigned n = 0; n < 16; n++)
		b->isa.irq[n] = (struct irq_line){take_irq, b, n};
	for (unsigned n = 0; n < PCI_PINS; n++)
		b->isa.ioapic[n] = (struct irq_line){take_pin, b, n};
	b->isa.reset = take_reset;
	b->isa.reset_owner = b;
	ck_assert(pci_plug(&b->pci, &b->isa.pci, PCI_DEVFN(1, 0)));
	device_setup(&b->pm.pci.dev, &piix4_pm_class, &b->env, "piix4-pm");
	b->pm.decode = take_decode;
	b->pm.owner = b;
	ck_assert(pci_plug(&b->pci, &b->pm.pci, PCI_DEVFN(1, 3)));
}

struct board *board_new(void)
{
	struct board *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	b->clock = (struct clock){.now = board_now, .owner = b};
	b->log.out = fopen("/dev/null", "w");
	b->log.mask = ~0u;
	ck_assert(physmem_init(&b->mem, BOARD_RAM));
	bus_init(&b->memory, "memory", &b->log);
	bus_init(&b->ports, "ports", &b->log);
	b->env = (struct device_env){&b->clock, &b->log, &b->mem};
	b->disk = calloc(1, BOARD_DISK);
	b->block = (struct host_block){.size = BOARD_DISK,
				       .read = disk_read,
				       .write = disk_write,
				       .flush = disk_flush,
				       .discard = disk_discard,
				       .owner = b};
	plug_bridges(b);
	return b;
}

void board_free(struct board *b)
{
	fclose(b->log.out);
	physmem_free(&b->mem);
	free(b->disk);
	free(b);
}

void board_assign(struct board *b)
{
	static const struct pci_window w = {
		0xe0000000, 0xfec00000, 0xc000, 0x10000, {10, 10, 11, 11}};

	piix3_set_routes(&b->isa, w.irq);
	ck_assert(pci_assign_resources(&b->pci, &w));
}

void board_run_timers(struct board *b)
{
	for (unsigned i = 0; i < 1000 && clock_next(&b->clock) <= b->now; i++)
		clock_run(&b->clock);
	ck_assert(clock_next(&b->clock) > b->now);
}

u32 cfg_read(struct board *b, u8 devfn, unsigned reg, unsigned size)
{
	bus_write(&b->ports, 0xcf8, 0x80000000u | (u32)devfn << 8 | (reg & 0xfc), 4);
	return (u32)bus_read(&b->ports, 0xcfc + (reg & 3), size);
}

void cfg_write(struct board *b, u8 devfn, unsigned reg, u32 value, unsigned size)
{
	bus_write(&b->ports, 0xcf8, 0x80000000u | (u32)devfn << 8 | (reg & 0xfc), 4);
	bus_write(&b->ports, 0xcfc + (reg & 3), value, size);
}

unsigned cfg_find_cap(struct board *b, u8 devfn, u8 id, unsigned after)
{
	unsigned at = after ? cfg_read(b, devfn, after + 1, 1) : cfg_read(b, devfn, 0x34, 1);

	for (unsigned i = 0; at && i < 48; i++) {
		if (cfg_read(b, devfn, at, 1) == id)
			return at;
		at = cfg_read(b, devfn, at + 1, 1);
	}
	return 0;
}

void ram_fill(struct board *b, u64 addr, u8 value, u64 len)
{
	memset(physmem_ptr(&b->mem, addr), value, len);
}

void ram_put(struct board *b, u64 addr, u64 value, unsigned size)
{
	store_le(physmem_ptr(&b->mem, addr), value, size);
}

u64 ram_get(struct board *b, u64 addr, unsigned size)
{
	return load_le(physmem_ptr(&b->mem, addr), size);
}

void check_round_trip(struct device *d)
{
	const struct state_field *t = d->cls->state;
	size_t len = state_size(t);
	u8 *before = malloc(len), *after = malloc(len);

	state_save(t, d, before);
	d->cls->reset(d);
	ck_assert(!state_load(t, d, before, len - 1));
	ck_assert(state_load(t, d, before, len));
	ck_assert(d->cls->post_load(d));
	state_save(t, d, after);
	ck_assert_int_eq(memcmp(before, after, len), 0);
	free(before);
	free(after);
}

void check_hostile_state(struct device *d)
{
	const struct state_field *t = d->cls->state;
	size_t len = state_size(t);
	u8 *good = malloc(len), *bad = malloc(len);
	unsigned refused = 0;

	state_save(t, d, good);
	for (size_t i = 0; i < len; i++) {
		memcpy(bad, good, len);
		bad[i] ^= 0xff;
		ck_assert(state_load(t, d, bad, len));
		refused += !d->cls->post_load(d);
	}
	ck_assert_uint_gt(refused, 0);
	ck_assert(state_load(t, d, good, len));
	ck_assert(d->cls->post_load(d));
	free(good);
	free(bad);
}

u32 test_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*seed >> 32);
}

void test_fill(u8 *p, u64 len, u64 seed)
{
	for (u64 i = 0; i < len; i++)
		p[i] = (u8)test_random(&seed);
}

void damage_state(struct device *d, u64 *seed)
{
	const struct state_field *t = d->cls->state;
	size_t len = state_size(t);
	u8 *good = malloc(len), *bad = malloc(len);

	state_save(t, d, good);
	memcpy(bad, good, len);
	for (unsigned n = 1 + test_random(seed) % 4; n; n--)
		bad[test_random(seed) % len] = (u8)test_random(seed);
	ck_assert(state_load(t, d, bad, len));
	if (!d->cls->post_load(d)) {
		ck_assert(state_load(t, d, good, len));
		ck_assert(d->cls->post_load(d));
	}
	free(good);
	free(bad);
}
