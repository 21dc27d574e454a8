/*
 * PCI bus, bridges and pvpanic, driven through ports CF8h/CFCh as a driver would.
 */
#include "devices/pvpanic.h"
#include "tests/unit/test_pci_board.h"

/* A function with every kind of BAR, MSI and MSI-X. */
struct probe {
	struct pci_device pci;
	u64 last_offset, last_value;
	unsigned last_size;
	u8 id;
};

static u64 probe_read(struct pci_device *p, u64 offset, unsigned size)
{
	return (0x1122334455667788ull ^ offset ^ (u64)((struct probe *)p)->id << 56) &
	       size_mask(size);
}

static void probe_write(struct pci_device *p, u64 offset, u64 value, unsigned size)
{
	struct probe *x = (struct probe *)p;

	x->last_offset = offset;
	x->last_value = value;
	x->last_size = size;
}

static void probe_init(struct device *d)
{
	struct pci_device *p = &((struct probe *)d)->pci;

	pci_init(p, 0x1234, 0x5678, 0xff0000, 7);
	pci_set_subsystem(p, 0xabcd, 0xef01);
	pci_set_pin(p, 1);
	pci_add_bar(p, 0, PCI_BAR_IO, 32, 1, 4, probe_read, probe_write);
	pci_add_bar(p, 1, PCI_BAR_MEM32, 0x1000, 1, 4, probe_read, probe_write);
	pci_add_bar(p, 2, PCI_BAR_MEM64, 0x10000, 1, 8, probe_read, probe_write);
	pci_add_msi(p, 2, true);
	pci_add_msix(p, 5, 2, 0x2000, 0x3000);
}

static void probe_reset(struct device *d)
{
	pci_reset(&((struct probe *)d)->pci);
}

static bool probe_post_load(struct device *d)
{
	return pci_post_load(&((struct probe *)d)->pci);
}

static const struct state_field probe_state[] = {PCI_STATE(struct probe, pci), STATE_END};
static const struct device_class probe_class = {"probe",    sizeof(struct probe), probe_state,
						probe_init, probe_reset,	  probe_post_load};

static void plug_probe(struct board *b, struct probe *x, u8 devfn, const char *id)
{
	memset(x, 0, sizeof(*x));
	device_setup(&x->pci.dev, &probe_class, &b->env, id);
	ck_assert(pci_plug(&b->pci, &x->pci, devfn));
}

#define P3 PCI_DEVFN(3, 0)
#define P4 PCI_DEVFN(4, 0)

START_TEST(mechanism_one)
{
	struct board *b = board_new();

	ck_assert_uint_eq(cfg_read(b, 0, 0, 4), 0x12378086);
	ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(1, 0), 0, 4), 0x70008086);
	ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(1, 3), 0, 4), 0x71138086);
	ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(1, 0), 0x0e, 1), 0x80);
	ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(1, 0), 0x0a, 2), 0x0601);
	ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(9, 0), 0, 4), 0xffffffff);
	ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(1, 1), 0, 2), 0xffff);
	/* Other buses are empty; without the enable bit nothing answers. */
	bus_write(&b->ports, 0xcf8, 0x80010000, 4);
	ck_assert_uint_eq(bus_read(&b->ports, 0xcfc, 4), 0xffffffff);
	bus_write(&b->ports, 0xcf8, 0x00000000, 4);
	ck_assert_uint_eq(bus_read(&b->ports, 0xcfc, 4), 0xffffffff);
	/* Only a dword reaches CONFIG_ADDRESS; reserved bits read zero. */
	bus_write(&b->ports, 0xcf8, 0xffffffff, 4);
	ck_assert_uint_eq(bus_read(&b->ports, 0xcf8, 4), 0x80fffffc);
	bus_write(&b->ports, 0xcf8, 0, 2);
	bus_write(&b->ports, 0xcf8, 0, 1);
	ck_assert_uint_eq(bus_read(&b->ports, 0xcf8, 4), 0x80fffffc);
	ck_assert_uint_eq(bus_read(&b->ports, 0xcf8, 2), 0xffff);
	/* Read-only stays. */
	cfg_write(b, 0, 0, 0, 4);
	ck_assert_uint_eq(cfg_read(b, 0, 0, 4), 0x12378086);
	check_round_trip(&b->pci.dev);
	board_free(b);
}
END_TEST

START_TEST(reset_control)
{
	struct board *b = board_new();

	bus_write(&b->ports, 0xcf9, 2, 1);
	ck_assert_uint_eq(b->resets, 0);
	ck_assert_uint_eq(bus_read(&b->ports, 0xcf9, 1), 2);
	bus_write(&b->ports, 0xcf9, 6, 1);
	ck_assert_uint_eq(b->resets, 1);
	ck_assert_uint_eq(b->hard_resets, 1);
	bus_write(&b->ports, 0xcf9, 6, 1);
	ck_assert_uint_eq(b->resets, 1);
	bus_write(&b->ports, 0xcf9, 0, 1);
	bus_write(&b->ports, 0xcf9, 4, 1);
	ck_assert_uint_eq(b->resets, 2);
	ck_assert_uint_eq(b->hard_resets, 1);
	board_free(b);
}
END_TEST

START_TEST(bar_sizing)
{
	struct board *b = board_new();
	struct probe x;

	plug_probe(b, &x, P3, "probe");
	for (unsigned i = 0; i < 6; i++)
		cfg_write(b, P3, 0x10 + 4 * i, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_read(b, P3, 0x10, 4), 0xffffffe1);
	ck_assert_uint_eq(cfg_read(b, P3, 0x14, 4), 0xfffff000);
	ck_assert_uint_eq(cfg_read(b, P3, 0x18, 4), 0xffff0004);
	ck_assert_uint_eq(cfg_read(b, P3, 0x1c, 4), 0xffffffff);
	ck_assert_uint_eq(cfg_read(b, P3, 0x20, 4), 0);
	ck_assert_uint_eq(cfg_read(b, P3, 0x24, 4), 0);
	ck_assert_uint_eq(cfg_read(b, P3, 0x30, 4), 0);
	ck_assert_uint_eq(cfg_read(b, P3, 0x2c, 4), 0xef01abcd);
	board_free(b);
}
END_TEST

START_TEST(bar_decoding)
{
	struct board *b = board_new();
	struct probe x;

	plug_probe(b, &x, P3, "probe");
	cfg_write(b, P3, 0x10, 0xc001, 4);
	cfg_write(b, P3, 0x14, 0xe0000000, 4);
	cfg_write(b, P3, 0x18, 0x00000000, 4);
	cfg_write(b, P3, 0x1c, 0x00000010, 4);
	ck_assert_uint_eq(bus_read(&b->ports, 0xc000, 2), 0xffff);
	cfg_write(b, P3, 4, PCI_COMMAND_IO, 2);
	ck_assert_uint_eq(bus_read(&b->ports, 0xc000, 2), 0x7788);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe0000000, 4), 0xffffffff);
	cfg_write(b, P3, 4, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe0000000, 4), 0x55667788);
	ck_assert_uint_eq(bus_read(&b->memory, 0x1000000000ull, 8), 0x1122334455667788ull);
	bus_write(&b->memory, 0x1000000010ull, 0x1234, 2);
	ck_assert_uint_eq(x.last_offset, 0x10);
	ck_assert_uint_eq(x.last_value, 0x1234);
	ck_assert_uint_eq(x.last_size, 2);
	/* Moving */
	cfg_write(b, P3, 0x14, 0xe1000000, 4);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe0000000, 4), 0xffffffff);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe1000004, 4), 0x5566778c);
	/* Beyond 64 Ki there are no ports, and address 0 is nowhere. */
	cfg_write(b, P3, 0x10, 0x10001, 4);
	ck_assert_uint_eq(bus_read(&b->ports, 0xc000, 1), 0xff);
	cfg_write(b, P3, 0x14, 0, 4);
	ck_assert_uint_eq(bus_read(&b->memory, 0, 4), 0xffffffff);
	cfg_write(b, P3, 4, 0, 2);
	ck_assert_uint_eq(bus_read(&b->memory, 0x1000000000ull, 4), 0xffffffff);
	board_free(b);
}
END_TEST

START_TEST(bar_overlap)
{
	struct board *b = board_new();
	struct probe x, y;

	plug_probe(b, &x, P3, "one");
	plug_probe(b, &y, P4, "two");
	y.id = 0xff;
	cfg_write(b, P3, 0x18, 0xe0000000, 4);
	cfg_write(b, P3, 4, PCI_COMMAND_MEMORY, 2);
	cfg_write(b, P4, 0x18, 0xe0000000, 4);
	cfg_write(b, P4, 4, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe0000000, 8), 0x1122334455667788ull);
	/* The first one goes away: the second gets the place. */
	cfg_write(b, P3, 0x18, 0xe2000000, 4);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe0000000, 8), 0xee22334455667788ull);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe2000000, 8), 0x1122334455667788ull);
	/* A BAR that is refused and then switched off is not mapped later. */
	cfg_write(b, P4, 0x18, 0xe2000000, 4);
	cfg_write(b, P4, 4, 0, 2);
	cfg_write(b, P3, 4, 0, 2);
	ck_assert_uint_eq(bus_read(&b->memory, 0xe2000000, 4), 0xffffffff);
	board_free(b);
}
END_TEST

START_TEST(assignment)
{
	struct board *b = board_new();
	struct probe x, y;
	u32 io, mem;

	plug_probe(b, &x, P3, "one");
	plug_probe(b, &y, P4, "two");
	ck_assert(!pci_plug(&b->pci, &y.pci, P4));
	board_assign(b);
	for (unsigned slot = 3; slot <= 4; slot++) {
		io = cfg_read(b, PCI_DEVFN(slot, 0), 0x10, 4);
		mem = cfg_read(b, PCI_DEVFN(slot, 0), 0x18, 4);
		ck_assert_uint_ge(io & ~3u, 0xc000);
		ck_assert_uint_eq(io & 0x1f, 1);
		ck_assert_uint_eq(mem & 0xffff, 4);
		ck_assert_uint_eq(bus_read(&b->memory, mem & ~15u, 4), 0x55667788);
		ck_assert_uint_eq(bus_read(&b->ports, io & ~3u, 2), 0x7788);
		ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(slot, 0), 4, 2), 3);
	}
	/* Slot 3 pin A is PIRQC, slot 4 PIRQD, both routed to 11; the PM function has the SCI. */
	ck_assert_uint_eq(cfg_read(b, P3, 0x3c, 2), 0x010b);
	ck_assert_uint_eq(cfg_read(b, PCI_DEVFN(1, 3), 0x3c, 2), 0x0109);
	ck_assert_uint_eq(pci_pirq(1, 0), 0);
	ck_assert_uint_eq(pci_pirq(3, 0), 2);
	ck_assert_uint_eq(pci_pirq(0, 0), 3);
	board_free(b);
}
END_TEST

START_TEST(assignment_without_room)
{
	static const struct pci_window w = {0xe0000000, 0xe0008000, 0xc000, 0xc010, {5, 5, 5, 5}};
	struct board *b = board_new();
	struct probe x;

	plug_probe(b, &x, P3, "probe");
	ck_assert(!pci_assign_resources(&b->pci, &w));
	ck_assert_uint_eq(cfg_read(b, P3, 0x10, 4), 1);
	ck_assert_uint_eq(cfg_read(b, P3, 0x18, 4), 4);
	ck_assert_uint_eq(cfg_read(b, P3, 0x14, 4), 0xe0000000);
	board_free(b);
}
END_TEST

START_TEST(intx_routing)
{
	struct board *b = board_new();
	struct probe x, y;

	plug_probe(b, &x, P3, "one");
	plug_probe(b, &y, PCI_DEVFN(7, 0), "seven"); /* same PIRQ */
	board_assign(b);
	pci_set_intx(&x.pci, true);
	ck_assert(b->pin[2] && b->irq[11] && !b->irq[10]);
	ck_assert_uint_eq(cfg_read(b, P3, 6, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	pci_set_intx(&y.pci, true);
	pci_set_intx(&x.pci, false);
	ck_assert(b->pin[2] && b->irq[11]);
	/* Rerouting moves the level, disabling takes it off the ISA side only. */
	cfg_write(b, PCI_DEVFN(1, 0), 0x62, 5, 1);
	ck_assert(b->irq[5] && !b->irq[11]);
	cfg_write(b, PCI_DEVFN(1, 0), 0x62, 0x85, 1);
	ck_assert(!b->irq[5] && b->pin[2]);
	cfg_write(b, PCI_DEVFN(1, 0), 0x62, 2, 1); /* 2 cannot be routed to */
	ck_assert(!b->irq[2] && b->pin[2]);
	cfg_write(b, PCI_DEVFN(1, 0), 0x62, 11, 1);
	ck_assert(b->irq[11]);
	/* Interrupt Disable takes the pin away, not the status. */
	cfg_write(b, PCI_DEVFN(7, 0), 4, PCI_COMMAND_INTX_DISABLE, 2);
	ck_assert(!b->pin[2] && !b->irq[11]);
	ck_assert(cfg_read(b, PCI_DEVFN(7, 0), 6, 2) & PCI_STATUS_INTERRUPT);
	cfg_write(b, PCI_DEVFN(7, 0), 4, 0, 2);
	ck_assert(b->pin[2] && b->irq[11]);
	check_round_trip(&b->isa.pci.dev);
	b->irq[11] = true; /* whom it drives loads the level it saw */
	probe_class.reset(&y.pci.dev);
	ck_assert(!b->pin[2] && !b->irq[11]);
	board_free(b);
}
END_TEST

static void program_msi(struct board *b, u16 control)
{
	unsigned cap = cfg_find_cap(b, P3, PCI_CAP_MSI, 0);

	ck_assert_uint_ne(cap, 0);
	cfg_write(b, P3, cap + 4, 0xfee01003, 4);
	cfg_write(b, P3, cap + 12, 0x41, 2);
	cfg_write(b, P3, cap + 2, control, 2);
}

START_TEST(msi)
{
	struct board *b = board_new();
	struct probe x;
	unsigned cap;

	plug_probe(b, &x, P3, "probe");
	cap = cfg_find_cap(b, P3, PCI_CAP_MSI, 0);
	ck_assert_uint_eq(cfg_read(b, P3, cap + 2, 2), 0x0184);
	pci_send_msi(&x.pci, 0);
	program_msi(b, 0x21); /* four vectors */
	pci_send_msi(&x.pci, 1);
	ck_assert_uint_eq(b->msis, 0); /* not a bus master yet */
	cfg_write(b, P3, 4, PCI_COMMAND_MASTER, 2);
	pci_send_msi(&x.pci, 2);
	ck_assert_uint_eq(b->msis, 1);
	ck_assert_uint_eq(b->msi[0].addr, 0xfee01000);
	ck_assert_uint_eq(b->msi[0].data, 0x42);
	/* Masked: pending, then sent on unmasking. */
	cfg_write(b, P3, cap + 16, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_read(b, P3, cap + 16, 4), 0xf);
	pci_send_msi(&x.pci, 3);
	pci_send_msi(&x.pci, 3);
	ck_assert_uint_eq(b->msis, 1);
	ck_assert_uint_eq(cfg_read(b, P3, cap + 20, 4), 8);
	check_round_trip(&x.pci.dev);
	cfg_write(b, P3, cap + 16, 7, 4);
	ck_assert_uint_eq(b->msis, 2);
	ck_assert_uint_eq(b->msi[1].data, 0x43);
	ck_assert_uint_eq(cfg_read(b, P3, cap + 20, 4), 0);
	/* More vectors asked for than there are; then one only: all alias to it. */
	cfg_write(b, P3, cap + 16, 0, 4);
	cfg_write(b, P3, cap + 2, 0x71, 2);
	ck_assert_uint_eq(pci_msi_granted(&x.pci), 4);
	cfg_write(b, P3, cap + 2, 0x01, 2);
	pci_send_msi(&x.pci, 3);
	ck_assert_uint_eq(b->msi[2].data, 0x41);
	/* With MSI on the pin is silent. */
	pci_set_intx(&x.pci, true);
	ck_assert(!b->pin[2]);
	cfg_write(b, P3, cap + 2, 0, 2);
	ck_assert(b->pin[2]);
	board_free(b);
}
END_TEST

START_TEST(msix)
{
	struct board *b = board_new();
	struct probe x;
	unsigned cap;
	u64 bar;

	plug_probe(b, &x, P3, "probe");
	board_assign(b);
	bar = cfg_read(b, P3, 0x18, 4) & ~15u;
	cap = cfg_find_cap(b, P3, PCI_CAP_MSIX, 0);
	ck_assert_uint_eq(cfg_read(b, P3, cap + 2, 2), 4);
	ck_assert_uint_eq(cfg_read(b, P3, cap + 4, 4), 0x2002);
	ck_assert_uint_eq(cfg_read(b, P3, cap + 8, 4), 0x3002);
	cfg_write(b, P3, 4, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
	for (unsigned n = 0; n < 5; n++) {
		ck_assert_uint_eq(bus_read(&b->memory, bar + 0x200c + 16 * n, 4), 1);
		bus_write(&b->memory, bar + 0x2000 + 16 * n, 0xfee00000ull, 8);
		bus_write(&b->memory, bar + 0x2008 + 16 * n, 0x50 + n, 4);
	}
	cfg_write(b, P3, cap + 2, 0x8000, 2);
	pci_send_msix(&x.pci, 4);
	pci_send_msix(&x.pci, 5); /* no such vector */
	ck_assert_uint_eq(b->msis, 0);
	ck_assert_uint_eq(bus_read(&b->memory, bar + 0x3000, 8), 0x10);
	bus_write(&b->memory, bar + 0x3000, 0, 8); /* read-only */
	ck_assert_uint_eq(bus_read(&b->memory, bar + 0x3000, 4), 0x10);
	check_round_trip(&x.pci.dev);
	bus_write(&b->memory, bar + 0x204c, 0, 4);
	ck_assert_uint_eq(b->msis, 1);
	ck_assert_uint_eq(b->msi[0].data, 0x54);
	ck_assert_uint_eq(bus_read(&b->memory, bar + 0x3000, 8), 0);
	/* Function mask holds everything. */
	cfg_write(b, P3, cap + 2, 0xc000, 2);
	pci_send_msix(&x.pci, 4);
	ck_assert_uint_eq(b->msis, 1);
	cfg_write(b, P3, cap + 2, 0x8000, 2);
	ck_assert_uint_eq(b->msis, 2);
	/* A message to RAM is a write to RAM. */
	bus_write(&b->memory, bar + 0x2000, 0x5000, 8);
	bus_write(&b->memory, bar + 0x200c, 0, 4);
	pci_send_msix(&x.pci, 0);
	ck_assert_uint_eq(b->msis, 2);
	ck_assert_uint_eq(ram_get(b, 0x5000, 4), 0x50);
	/* Byte writes to the table are refused; just past it lies the chip. */
	bus_write(&b->memory, bar + 0x2008, 0xff, 1);
	ck_assert_uint_eq(bus_read(&b->memory, bar + 0x2008, 4), 0x50);
	bus_write(&b->memory, bar + 0x2050, 0x77, 4);
	ck_assert_uint_eq(x.last_offset, 0x2050);
	board_free(b);
}
END_TEST

START_TEST(bus_mastering)
{
	struct board *b = board_new();
	struct probe x;
	u8 buf[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	plug_probe(b, &x, P3, "probe");
	ck_assert(!pci_dma_write(&x.pci, 0x1000, buf, 8));
	ck_assert(!pci_dma_read(&x.pci, 0x1000, buf, 8));
	ck_assert_uint_eq(buf[0], 0xff);
	ck_assert_uint_eq(cfg_read(b, P3, 6, 2) & PCI_STATUS_MASTER_ABORT, 0);
	cfg_write(b, P3, 4, PCI_COMMAND_MASTER, 2);
	ck_assert(pci_dma_write(&x.pci, 0x1000, "abcdefgh", 8));
	ck_assert(pci_dma_read(&x.pci, 0x1000, buf, 8));
	ck_assert_int_eq(memcmp(buf, "abcdefgh", 8), 0);
	ck_assert(!pci_dma_read(&x.pci, BOARD_RAM - 4, buf, 8));
	ck_assert_uint_eq(buf[7], 0xff);
	ck_assert_uint_ne(cfg_read(b, P3, 6, 2) & PCI_STATUS_MASTER_ABORT, 0);
	cfg_write(b, P3, 6, PCI_STATUS_MASTER_ABORT, 2); /* write 1 to clear */
	ck_assert_uint_eq(cfg_read(b, P3, 6, 2) & PCI_STATUS_MASTER_ABORT, 0);
	/* Around the end of the address space lies RAM at 0: not for this transfer. */
	ck_assert(!pci_dma_write(&x.pci, ~0ull - 3, buf, 8));
	ck_assert_uint_eq(ram_get(b, 0, 4), 0);
	board_free(b);
}
END_TEST

START_TEST(host_bridge)
{
	struct board *b = board_new();

	cfg_write(b, 0, 0x59, 0xff, 1);
	ck_assert_uint_eq(cfg_read(b, 0, 0x59, 1), 0x30);
	ck_assert_uint_eq(b->pam[0], 3);
	cfg_write(b, 0, 0x5a, 0x21, 1);
	ck_assert_uint_eq(b->pam[1], 1);
	ck_assert_uint_eq(b->pam[2], 2);
	cfg_write(b, 0, 0x5f, 0x13, 1);
	ck_assert_uint_eq(b->pam[11], 3);
	ck_assert_uint_eq(b->pam[12], 1);
	/* 16 MiB of RAM, in 8 MiB units. */
	ck_assert_uint_eq(cfg_read(b, 0, 0x67, 1), BOARD_RAM >> 23);
	/* D_LCK closes SMRAM and stays. */
	cfg_write(b, 0, 0x72, 0x48, 1);
	ck_assert_uint_eq(cfg_read(b, 0, 0x72, 1), 0x4a);
	cfg_write(b, 0, 0x72, 0x58, 1);
	ck_assert_uint_eq(cfg_read(b, 0, 0x72, 1), 0x1a);
	cfg_write(b, 0, 0x72, 0x40, 1);
	ck_assert_uint_eq(cfg_read(b, 0, 0x72, 1), 0x1a);
	check_round_trip(&b->host.pci.dev);
	check_hostile_state(&b->host.pci.dev);
	ck_assert_uint_eq(b->pam[0], 3);
	i440fx_class.reset(&b->host.pci.dev);
	ck_assert_uint_eq(cfg_read(b, 0, 0x72, 1), 0x02);
	ck_assert_uint_eq(b->pam[0], 0);
	board_free(b);
}
END_TEST

START_TEST(power_management)
{
	struct board *b = board_new();
	u8 pm = PCI_DEVFN(1, 3);

	ck_assert_uint_eq(b->pm_base, 0x600);
	ck_assert(b->pm_on);
	ck_assert_uint_eq(cfg_read(b, pm, 0x40, 4), 0x601);
	ck_assert_uint_eq(cfg_read(b, pm, 0x80, 1), 1);
	cfg_write(b, pm, 0x40, 0xb0ff, 4);
	ck_assert_uint_eq(cfg_read(b, pm, 0x40, 4), 0xb0c1);
	ck_assert_uint_eq(b->pm_base, 0xb0c0);
	cfg_write(b, pm, 0x80, 0, 1);
	ck_assert(!b->pm_on);
	check_round_trip(&b->pm.pci.dev);
	ck_assert(!b->pm_on);
	ck_assert_uint_eq(b->pm_base, 0xb0c0);
	board_free(b);
}
END_TEST

static void take_panic(void *owner, u8 events)
{
	*(unsigned *)owner += events;
}

START_TEST(panic_port)
{
	struct board *b = board_new();
	struct pvpanic x = {.event = take_panic};
	unsigned seen = 0;

	x.owner = &seen;
	device_setup(&x.dev, &pvpanic_class, &b->env, "pvpanic");
	pvpanic_class.init(&x.dev);
	pvpanic_class.reset(&x.dev);
	ck_assert(bus_attach(&b->ports, &x.region));
	ck_assert_uint_eq(bus_read(&b->ports, 0x505, 1), 3);
	bus_write(&b->ports, 0x505, 1, 1);
	ck_assert_uint_eq(seen, 1);
	bus_write(&b->ports, 0x505, 0xf8, 1);
	ck_assert_uint_eq(seen, 1);
	bus_write(&b->ports, 0x505, 2, 1);
	ck_assert_uint_eq(seen, 3);
	check_round_trip(&x.dev);
	board_free(b);
}
END_TEST

START_TEST(hostile_state)
{
	struct board *b = board_new();
	struct probe x;

	plug_probe(b, &x, P3, "probe");
	board_assign(b);
	check_hostile_state(&x.pci.dev);
	check_hostile_state(&b->isa.pci.dev);
	check_hostile_state(&b->pm.pci.dev);
	check_hostile_state(&b->pci.dev);
	ck_assert_uint_eq(bus_read(&b->memory, cfg_read(b, P3, 0x14, 4), 4), 0x55667788);
	board_free(b);
}
END_TEST

/* Random configuration and BAR accesses; BARs land on each other and everywhere. */
START_TEST(fuzz)
{
	static const u8 fn[] = {0, PCI_DEVFN(1, 0), PCI_DEVFN(1, 3), P3, P4};
	struct board *b = board_new();
	struct probe x, y;
	u64 seed = 1;

	plug_probe(b, &x, P3, "one");
	plug_probe(b, &y, P4, "two");
	for (unsigned i = 0; i < 100000; i++) {
		u32 r = test_random(&seed), v = test_random(&seed);
		u8 devfn = fn[r % 5];
		unsigned reg = r >> 8 & 0xff, size = 1u << (r >> 16 & 1) << (r >> 17 & 1);

		if (r >> 20 & 1)
			v &= 0x00ff00ff;
		switch (r >> 24 & 7) {
		case 0:
			cfg_read(b, devfn, reg, size);
			break;
		case 1:
			pci_set_intx(r & 1 ? &x.pci : &y.pci, v & 1);
			break;
		case 2:
			pci_send_msi(&x.pci, v & 31);
			pci_send_msix(&y.pci, v & 63);
			break;
		case 3:
			bus_write(&b->memory, x.pci.bar[2].region.base + (v & 0xffff), seed, 8);
			bus_read(&b->memory, y.pci.bar[2].region.base + (v & 0xffff), size);
			break;
		case 4:
			bus_write(&b->ports, 0xcf8 + (v & 7), seed >> 16, size);
			break;
		default:
			cfg_write(b, devfn, reg < 0x40 && (r & 0x8000) ? reg % 16 + 16 : reg, v,
				  size);
		}
	}
	check_round_trip(&x.pci.dev);
	check_round_trip(&y.pci.dev);
	check_round_trip(&b->isa.pci.dev);
	check_round_trip(&b->host.pci.dev);
	board_free(b);
}
END_TEST

Suite *pci_suite(void)
{
	Suite *s = suite_create("pci");
	TCase *t = tcase_create("pci");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, mechanism_one);
	tcase_add_test(t, reset_control);
	tcase_add_test(t, bar_sizing);
	tcase_add_test(t, bar_decoding);
	tcase_add_test(t, bar_overlap);
	tcase_add_test(t, assignment);
	tcase_add_test(t, assignment_without_room);
	tcase_add_test(t, intx_routing);
	tcase_add_test(t, msi);
	tcase_add_test(t, msix);
	tcase_add_test(t, bus_mastering);
	tcase_add_test(t, host_bridge);
	tcase_add_test(t, power_management);
	tcase_add_test(t, panic_port);
	tcase_add_test(t, hostile_state);
	tcase_add_test(t, fuzz);
	suite_add_tcase(s, t);
	return s;
}
