/*
 * NVMe controller, driven through its BAR and queues in RAM as a driver would.
 */
#include <stdlib.h>

#include "devices/nvme.h"
#include "tests/unit/test_pci_board.h"

#define DEVFN PCI_DEVFN(4, 0)
#define ASQ 0x10000ull
#define ACQ 0x14000ull
#define IOSQ 0x18000ull
#define IOCQ 0x1c000ull
#define DATA 0x100000ull
#define LIST 0x200000ull
#define ENTRIES 8

struct drv {
	struct board *b;
	struct nvme *n;
	u64 bar;
	u16 tail[2], head[2];
	u8 phase[2];
	u32 result;
};

struct cmd {
	u8 opcode, flags;
	u16 cid;
	u32 nsid;
	u64 prp1, prp2;
	u32 cdw10, cdw11, cdw12, cdw13;
};

static u64 reg(struct drv *d, u64 offset, unsigned size)
{
	return bus_read(&d->b->memory, d->bar + offset, size);
}

static void set_reg(struct drv *d, u64 offset, u64 value, unsigned size)
{
	bus_write(&d->b->memory, d->bar + offset, value, size);
}

static void drv_plug(struct drv *d)
{
	memset(d, 0, sizeof(*d));
	d->b = board_new();
	d->n = calloc(1, sizeof(*d->n));
	device_setup(&d->n->pci.dev, &nvme_class, &d->b->env, "nvme0");
	d->n->block = &d->b->block;
	d->n->serial = "SER123";
	ck_assert(pci_plug(&d->b->pci, &d->n->pci, DEVFN));
	board_assign(d->b);
	cfg_write(d->b, DEVFN, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	d->bar = cfg_read(d->b, DEVFN, 0x10, 4) & ~15u;
}

static void drv_free(struct drv *d)
{
	board_free(d->b);
	free(d->n);
}

static void drv_enable(struct drv *d)
{
	ram_fill(d->b, ASQ, 0, 0x10000);
	memset(d->tail, 0, sizeof(d->tail));
	memset(d->head, 0, sizeof(d->head));
	d->phase[0] = d->phase[1] = 1;
	set_reg(d, 0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1), 4);
	set_reg(d, 0x28, ASQ, 8);
	set_reg(d, 0x30, ACQ, 4);
	set_reg(d, 0x34, 0, 4);
	set_reg(d, 0x14, 0x00460001, 4);
	ck_assert_uint_eq(reg(d, 0x1c, 4), 1);
}

static void put_command(struct drv *d, unsigned q, const struct cmd *c)
{
	u64 e = (q ? IOSQ : ASQ) + 64ull * d->tail[q];

	ram_fill(d->b, e, 0, 64);
	ram_put(d->b, e, (u32)c->cid << 16 | c->flags << 8 | c->opcode, 4);
	ram_put(d->b, e + 4, c->nsid, 4);
	ram_put(d->b, e + 24, c->prp1, 8);
	ram_put(d->b, e + 32, c->prp2, 8);
	ram_put(d->b, e + 40, c->cdw10, 4);
	ram_put(d->b, e + 44, c->cdw11, 4);
	ram_put(d->b, e + 48, c->cdw12, 4);
	ram_put(d->b, e + 52, c->cdw13, 4);
	d->tail[q] = (u16)((d->tail[q] + 1) % ENTRIES);
}

static void ring(struct drv *d, unsigned q)
{
	set_reg(d, 0x1000 + 8 * q, d->tail[q], 4);
}

/* Takes one completion: its status, or -1. The head doorbell is rung. */
static int take(struct drv *d, unsigned q, u16 *cid)
{
	u64 e = (q ? IOCQ : ACQ) + 16ull * d->head[q];
	u16 status = (u16)ram_get(d->b, e + 14, 2);

	if ((status & 1) != d->phase[q])
		return -1;
	ck_assert_uint_eq(ram_get(d->b, e + 10, 2), q);
	d->result = (u32)ram_get(d->b, e, 4);
	*cid = (u16)ram_get(d->b, e + 12, 2);
	d->head[q] = (u16)((d->head[q] + 1) % ENTRIES);
	if (d->head[q] == 0)
		d->phase[q] ^= 1;
	set_reg(d, 0x1004 + 8 * q, d->head[q], 4);
	return status >> 1;
}

static int run(struct drv *d, unsigned q, struct cmd c)
{
	u16 cid = 0;
	int status;

	c.cid = (u16)(0x100 + d->tail[q]);
	put_command(d, q, &c);
	ring(d, q);
	status = take(d, q, &cid);
	if (status >= 0)
		ck_assert_uint_eq(cid, c.cid);
	return status;
}

#define ADMIN(...) run(d, 0, (struct cmd){__VA_ARGS__})
#define IO(...) run(d, 1, (struct cmd){__VA_ARGS__})

static void create_queues(struct drv *d, unsigned vector)
{
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = (ENTRIES - 1) << 16 | 1,
			       .cdw11 = vector << 16 | 3),
			 0);
	ck_assert_int_eq(ADMIN(.opcode = 1, .prp1 = IOSQ, .cdw10 = (ENTRIES - 1) << 16 | 1,
			       .cdw11 = 1 << 16 | 1),
			 0);
}

static void drv_start(struct drv *d)
{
	drv_plug(d);
	drv_enable(d);
	create_queues(d, 0);
}

START_TEST(registers)
{
	struct drv x, *d = &x;

	drv_plug(d);
	ck_assert_uint_eq(reg(d, 0, 8), 0x004000200f0103ffull);
	ck_assert_uint_eq(reg(d, 8, 4), 0x10300);
	ck_assert_uint_eq(reg(d, 0x1c, 4), 0);
	set_reg(d, 0x0c, 5, 4);
	set_reg(d, 0x0c, 2, 4);
	ck_assert_uint_eq(reg(d, 0x10, 4), 7);
	set_reg(d, 0x10, 3, 4);
	ck_assert_uint_eq(reg(d, 0x0c, 4), 4);
	set_reg(d, 0x28, 0x123456789abcdeffull, 8);
	ck_assert_uint_eq(reg(d, 0x28, 8), 0x123456789abcd000ull);
	set_reg(d, 0x1000, 1, 4); /* not enabled: ignored */
	drv_enable(d);
	/* MPS cannot change while enabled. */
	set_reg(d, 0x14, 0x00460081, 4);
	ck_assert_uint_eq(reg(d, 0x14, 4), 0x00460001);
	/* Shutdown notification */
	set_reg(d, 0x14, 0x00464001, 4);
	ck_assert_uint_eq(reg(d, 0x1c, 4), 9);
	ck_assert_uint_eq(d->b->flushes, 1);
	set_reg(d, 0x14, 0, 4);
	ck_assert_uint_eq(reg(d, 0x1c, 4), 0);
	ck_assert_uint_eq(reg(d, 0x28, 8), ASQ); /* survives a controller reset */
	drv_free(d);
}
END_TEST

/* Each of these makes the controller refuse to start. */
START_TEST(bad_configuration)
{
	static const struct {
		u32 cc, aqa;
		u64 asq;
	} bad[] = {
		{0x00460011, 0x70007, ASQ}, /* command set */
		{0x00460281, 0x70007, ASQ}, /* page size */
		{0x00460801, 0x70007, ASQ}, /* arbitration */
		{0x00460001, 0x70000, ASQ}, /* one entry */
		{0x00460001, 0x00007, ASQ},
		{0x00460081, 0x70007, ASQ + 0x1000}, /* aligned for 4 KiB only */
	};
	struct drv x, *d = &x;

	drv_plug(d);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		set_reg(d, 0x24, bad[i].aqa, 4);
		set_reg(d, 0x28, bad[i].asq, 8);
		set_reg(d, 0x30, ACQ, 8);
		set_reg(d, 0x14, bad[i].cc, 4);
		ck_assert_uint_eq(reg(d, 0x1c, 4), 2);
		set_reg(d, 0x1000, 1, 4);
		set_reg(d, 0x14, 0, 4);
		ck_assert_uint_eq(reg(d, 0x1c, 4), 0);
	}
	drv_enable(d);
	drv_free(d);
}
END_TEST

START_TEST(queues_outside_ram)
{
	struct drv x, *d = &x;

	drv_plug(d);
	set_reg(d, 0x24, 0x70007, 4);
	set_reg(d, 0x28, 0xfd000000, 8);
	set_reg(d, 0x30, ACQ, 8);
	set_reg(d, 0x14, 0x00460001, 4);
	set_reg(d, 0x1000, 1, 4);
	ck_assert_uint_eq(reg(d, 0x1c, 4), 3);
	set_reg(d, 0x14, 0, 4);
	set_reg(d, 0x28, ASQ, 8);
	set_reg(d, 0x30, d->bar & ~0xfffull, 8); /* its own registers */
	set_reg(d, 0x14, 0x00460001, 4);
	set_reg(d, 0x1000, 1, 4);
	ck_assert_uint_eq(reg(d, 0x1c, 4), 3);
	drv_free(d);
}
END_TEST

START_TEST(identify)
{
	struct drv x, *d = &x;

	drv_plug(d);
	drv_enable(d);
	ck_assert_int_eq(ADMIN(.opcode = 6, .prp1 = DATA, .cdw10 = 1), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA, 2), 0x1b36);
	ck_assert_int_eq(memcmp(physmem_ptr(&d->b->mem, DATA + 4), "SER123              ", 20), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA + 77, 1), 7);
	ck_assert_uint_eq(ram_get(d->b, DATA + 516, 4), 1);
	/* PRP1 in the middle of a page, PRP2 takes the rest. */
	ck_assert_int_eq(ADMIN(.opcode = 6, .nsid = 1, .prp1 = DATA + 0xf00, .prp2 = DATA + 0x5000),
			 0);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0xf00, 8), BOARD_DISK / 512);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0xf00 + 130, 1), 9);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x5000, 8), 0);
	ck_assert_int_eq(ADMIN(.opcode = 6, .prp1 = DATA, .cdw10 = 2), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA, 8), 1);
	ck_assert_int_eq(ADMIN(.opcode = 6, .nsid = 1, .prp1 = DATA, .cdw10 = 2), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA, 8), 0);
	ck_assert_int_eq(ADMIN(.opcode = 6, .nsid = 1, .prp1 = DATA, .cdw10 = 3), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA, 4), 0x0801);
	ck_assert_int_eq(ADMIN(.opcode = 6, .nsid = 2, .prp1 = DATA), 0x0b);
	ck_assert_int_eq(ADMIN(.opcode = 6, .nsid = ~0u, .prp1 = DATA, .cdw10 = 2), 0x0b);
	ck_assert_int_eq(ADMIN(.opcode = 6, .prp1 = DATA, .cdw10 = 0x77), 2);
	ck_assert_int_eq(ADMIN(.opcode = 6, .prp1 = DATA + 2, .cdw10 = 1), 0x13);
	ck_assert_int_eq(ADMIN(.opcode = 6, .prp1 = BOARD_RAM, .cdw10 = 1), 4);
	ck_assert_int_eq(ADMIN(.opcode = 6, .prp1 = DATA + 8, .prp2 = DATA + 0x5008, .cdw10 = 1),
			 0x13);
	ck_assert_int_eq(ADMIN(.opcode = 6, .flags = 0x40, .prp1 = DATA, .cdw10 = 1), 2);
	ck_assert_int_eq(ADMIN(.opcode = 0x7f), 1);
	drv_free(d);
}
END_TEST

START_TEST(queue_commands)
{
	struct drv x, *d = &x;
	u32 size = (ENTRIES - 1) << 16;

	drv_plug(d);
	drv_enable(d);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 7, .cdw11 = 0x00030003), 0);
	ck_assert_uint_eq(d->result, 0x000f000f);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 7, .cdw11 = 0xffff0003), 2);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = size, .cdw11 = 1), 0x101);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = size | 17, .cdw11 = 1), 0x101);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = 1, .cdw11 = 1), 0x102);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = 0xffff0001, .cdw11 = 1), 0x102);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = size | 1, .cdw11 = 2), 2);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ + 8, .cdw10 = size | 1, .cdw11 = 1), 0x13);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = size | 1, .cdw11 = 1 << 16 | 1),
			 0x108);
	ck_assert_int_eq(ADMIN(.opcode = 1, .prp1 = IOSQ, .cdw10 = size | 1, .cdw11 = 1 << 16 | 1),
			 0x100);
	create_queues(d, 0);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = size | 1, .cdw11 = 1), 0x101);
	ck_assert_int_eq(ADMIN(.opcode = 1, .prp1 = IOSQ, .cdw10 = size | 1, .cdw11 = 1 << 16 | 1),
			 0x101);
	ck_assert_int_eq(ADMIN(.opcode = 1, .prp1 = IOSQ, .cdw10 = size | 2, .cdw11 = 1), 0x100);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 7, .cdw11 = 0), 0x0c);
	ck_assert_int_eq(ADMIN(.opcode = 4, .cdw10 = 1), 0x10c);
	ck_assert_int_eq(ADMIN(.opcode = 4, .cdw10 = 2), 0x101);
	ck_assert_int_eq(ADMIN(.opcode = 0, .cdw10 = 0), 0x101);
	ck_assert_int_eq(ADMIN(.opcode = 0, .cdw10 = 0xffff), 0x101);
	ck_assert_int_eq(ADMIN(.opcode = 0, .cdw10 = 1), 0);
	ck_assert_int_eq(ADMIN(.opcode = 4, .cdw10 = 1), 0);
	ck_assert_int_eq(ADMIN(.opcode = 8, .cdw10 = 1), 0);
	ck_assert_uint_eq(d->result, 1);
	drv_free(d);
}
END_TEST

START_TEST(read_write)
{
	struct drv x, *d = &x;
	u8 *ram;

	drv_start(d);
	ram = physmem_ptr(&d->b->mem, DATA);
	test_fill(ram, 0x2000, 5);
	/* Two pages by PRP1 and PRP2, in reverse order. */
	ck_assert_int_eq(IO(.opcode = 1, .nsid = 1, .prp1 = DATA + 0x1000, .prp2 = DATA,
			    .cdw10 = 100, .cdw12 = 15),
			 0);
	ck_assert_int_eq(memcmp(d->b->disk + 51200, ram + 0x1000, 0x1000), 0);
	ck_assert_int_eq(memcmp(d->b->disk + 51200 + 0x1000, ram, 0x1000), 0);
	ck_assert_uint_eq(d->b->flushes, 0);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA + 0x8000, .prp2 = DATA + 0x9000,
			    .cdw10 = 100, .cdw12 = 15),
			 0);
	ck_assert_int_eq(memcmp(ram + 0x8000, ram + 0x1000, 0x1000), 0);
	ck_assert_int_eq(memcmp(ram + 0x9000, ram, 0x1000), 0);
	/* Force Unit Access, flush, write cache off */
	ck_assert_int_eq(IO(.opcode = 1, .nsid = 1, .prp1 = DATA, .cdw12 = 0x40000000), 0);
	ck_assert_uint_eq(d->b->flushes, 1);
	ck_assert_int_eq(IO(.opcode = 0, .nsid = ~0u), 0);
	ck_assert_uint_eq(d->b->flushes, 2);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 6, .cdw11 = 0), 0);
	ck_assert_int_eq(IO(.opcode = 1, .nsid = 1, .prp1 = DATA), 0);
	ck_assert_uint_eq(d->b->flushes, 3);
	/* Compare */
	ck_assert_int_eq(IO(.opcode = 5, .nsid = 1, .prp1 = DATA), 0);
	ram[100] ^= 1;
	ck_assert_int_eq(IO(.opcode = 5, .nsid = 1, .prp1 = DATA), 0x285);
	/* Write zeroes: more than a transfer may carry. */
	memset(d->b->disk, 0xaa, BOARD_DISK);
	ck_assert_int_eq(IO(.opcode = 8, .nsid = 1, .cdw10 = 1, .cdw12 = 1999), 0);
	ck_assert_uint_eq(d->b->disk[511], 0xaa);
	ck_assert_uint_eq(d->b->disk[512], 0);
	ck_assert_uint_eq(d->b->disk[2001 * 512 - 1], 0);
	ck_assert_uint_eq(d->b->disk[2001 * 512], 0xaa);
	drv_free(d);
}
END_TEST

START_TEST(prp_lists)
{
	struct drv x, *d = &x;
	u8 *ram;
	unsigned i;

	drv_start(d);
	ram = physmem_ptr(&d->b->mem, DATA);
	test_fill(d->b->disk, BOARD_DISK, 6);
	/* 512 KiB from the middle of a page: 128 entries; the list starts 3 entries before the end
	 * of its page, so that it continues behind two of them. */
	ram_put(d->b, LIST + 0xfe8, DATA + 0x1000, 8);
	ram_put(d->b, LIST + 0xff0, DATA + 0x2000, 8);
	ram_put(d->b, LIST + 0xff8, LIST + 0x1000, 8);
	for (i = 2; i < 128; i++)
		ram_put(d->b, LIST + 0x1000 + 8 * (i - 2), DATA + 0x1000 * (i + 1), 8);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA + 0x800, .prp2 = LIST + 0xfe8,
			    .cdw10 = 7, .cdw12 = 1023),
			 0);
	ck_assert_int_eq(memcmp(ram + 0x800, d->b->disk + 7 * 512, 0x80000), 0);
	/* The last entry of a list page is data if nothing follows. */
	ram_put(d->b, LIST + 0xff0, DATA + 0x2000, 8);
	ram_put(d->b, LIST + 0xff8, DATA + 0x9000, 8);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA + 0x1000, .prp2 = LIST + 0xff0,
			    .cdw12 = 23),
			 0);
	ck_assert_int_eq(memcmp(ram + 0x9000, d->b->disk + 0x2000, 0x1000), 0);
	/* Larger than MDTS; an entry that is not a page; lists askew, outside RAM, in a loop. */
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA, .prp2 = LIST, .cdw12 = 1024), 2);
	ram_put(d->b, LIST + 0xff8, DATA + 0x9004, 8);
	ck_assert_int_eq(
		IO(.opcode = 2, .nsid = 1, .prp1 = DATA, .prp2 = LIST + 0xff0, .cdw12 = 23), 0x13);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA, .prp2 = LIST + 4, .cdw12 = 23),
			 0x13);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA, .prp2 = 0xfee00000, .cdw12 = 23),
			 4);
	/* A list that is its own continuation and its own data: it is read before it is
	 * overwritten. */
	for (i = 0; i < 512; i++)
		ram_put(d->b, LIST + 8 * i, LIST, 8);
	ck_assert_int_eq(
		IO(.opcode = 2, .nsid = 1, .prp1 = DATA, .prp2 = LIST + 0xff8, .cdw12 = 1023), 0);
	ck_assert_int_eq(memcmp(ram + 0x100000, d->b->disk + 0x7f000, 0x1000), 0);
	drv_free(d);
}
END_TEST

START_TEST(io_errors)
{
	struct drv x, *d = &x;
	u32 last = BOARD_DISK / 512 - 1;

	drv_start(d);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA, .cdw10 = last), 0);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA, .cdw10 = last, .cdw12 = 1), 0x80);
	ck_assert_int_eq(IO(.opcode = 1, .nsid = 1, .prp1 = DATA, .cdw10 = ~0u, .cdw11 = ~0u),
			 0x80);
	ck_assert_int_eq(IO(.opcode = 8, .nsid = 1, .cdw10 = last, .cdw12 = 1), 0x80);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 2, .prp1 = DATA), 0x0b);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = ~0u, .prp1 = DATA), 0x0b);
	ck_assert_int_eq(IO(.opcode = 0x55, .nsid = 1), 1);
	ck_assert_int_eq(IO(.opcode = 2, .flags = 1, .nsid = 1, .prp1 = DATA), 2);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = BOARD_RAM - 256, .prp2 = BOARD_RAM), 4);
	ck_assert_int_eq(IO(.opcode = 1, .nsid = 1, .prp1 = 0xfee00000), 4);
	d->b->block_fails = true;
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA), 0x281);
	ck_assert_int_eq(IO(.opcode = 1, .nsid = 1, .prp1 = DATA), 0x280);
	ck_assert_int_eq(IO(.opcode = 5, .nsid = 1, .prp1 = DATA), 0x281);
	ck_assert_int_eq(IO(.opcode = 8, .nsid = 1), 0x280);
	ck_assert_int_eq(IO(.opcode = 0, .nsid = 1), 0x280);
	d->b->block_fails = false;
	d->b->block.read_only = true;
	ck_assert_int_eq(IO(.opcode = 1, .nsid = 1, .prp1 = DATA), 0x182);
	ck_assert_int_eq(IO(.opcode = 8, .nsid = 1), 0x182);
	ck_assert_int_eq(IO(.opcode = 9, .nsid = 1, .prp1 = DATA, .cdw11 = 4), 0x182);
	/* Newest entry of the error log: the DSM; sixteen errors and the wrong ones before. */
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 31 << 16 | 1), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA, 8), 17);
	ck_assert_uint_eq(ram_get(d->b, DATA + 8, 2), 1);
	ck_assert_uint_eq(ram_get(d->b, DATA + 12, 2), 0x182 << 1);
	ck_assert_uint_eq(ram_get(d->b, DATA + 64, 8), 16);
	drv_free(d);
}
END_TEST

START_TEST(dataset_management)
{
	struct drv x, *d = &x;

	drv_start(d);
	for (unsigned i = 0; i < 3; i++) {
		ram_put(d->b, DATA + 16 * i, 0, 4);
		ram_put(d->b, DATA + 16 * i + 4, 8, 4);
		ram_put(d->b, DATA + 16 * i + 8, 100 * i, 8);
	}
	ck_assert_int_eq(IO(.opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 2), 0);
	ck_assert_uint_eq(d->b->discarded, 0);
	ck_assert_int_eq(IO(.opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 2, .cdw11 = 4), 0);
	ck_assert_uint_eq(d->b->discarded, 3 * 8 * 512);
	/* One range beyond the end: nothing is given up. */
	ram_put(d->b, DATA + 40, BOARD_DISK / 512 - 7, 8);
	ck_assert_int_eq(IO(.opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 2, .cdw11 = 4), 0x80);
	ck_assert_uint_eq(d->b->discarded, 3 * 8 * 512);
	d->b->block.discard = NULL;
	ram_put(d->b, DATA + 40, 0, 8);
	ck_assert_int_eq(IO(.opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 2, .cdw11 = 4), 0);
	drv_free(d);
}
END_TEST

START_TEST(features_and_logs)
{
	static const u8 plain[] = {1, 5, 6, 8, 0x0a, 0x0b};
	struct drv x, *d = &x;

	drv_plug(d);
	drv_enable(d);
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
		ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = plain[i], .cdw11 = 1), 0);
		ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = plain[i]), 0);
		ck_assert_uint_eq(d->result, 1);
	}
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 2, .cdw11 = 1), 2);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 2, .cdw11 = 0), 0);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 0x80000006), 0x10d);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 3), 2);
	ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = 0xc0), 2);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 9, .cdw11 = 0x10003), 0);
	ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = 9, .cdw11 = 3), 0);
	ck_assert_uint_eq(d->result, 0x10003);
	ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = 9, .cdw11 = 17), 2);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 9, .cdw11 = 17), 2);
	ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = 7), 0);
	ck_assert_uint_eq(d->result, 0x000f000f);
	ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = 4), 0);
	ck_assert_uint_eq(d->result, 343);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 4, .cdw11 = 0x10000), 2);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 4, .cdw11 = 0x100000 | 100), 0);
	ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = 4, .cdw11 = 0x100000), 0);
	ck_assert_uint_eq(d->result, 100);
	ram_put(d->b, DATA, 0x123456, 8);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 14, .prp1 = DATA), 0);
	d->b->now += 5000000;
	ck_assert_int_eq(ADMIN(.opcode = 10, .cdw10 = 14, .prp1 = DATA + 8), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA + 8, 8), 0x000200000012345bull);
	/* Logs: SMART, firmware; offsets; unknown pages. */
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 127 << 16 | 2), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA + 1, 2), 313);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 127 << 16 | 3), 0);
	ck_assert_uint_eq(ram_get(d->b, DATA, 1), 1);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 1 << 16 | 3, .cdw12 = 8), 0);
	ck_assert_int_eq(memcmp(physmem_ptr(&d->b->mem, DATA), "1.0     ", 8), 0);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 3, .cdw12 = 516), 2);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 3, .cdw12 = 2), 2);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 3, .cdw13 = 1), 2);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 0xffff0003, .cdw11 = 0xffff), 2);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 0x99), 0x109);
	drv_free(d);
}
END_TEST

START_TEST(events)
{
	struct drv x, *d = &x;
	u16 cid;

	drv_plug(d);
	drv_enable(d);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(ADMIN(.opcode = 12), -1);
	ck_assert_int_eq(ADMIN(.opcode = 12), 0x105);
	/* Doorbell of a queue that is not there. */
	set_reg(d, 0x1000 + 8 * 5, 1, 4);
	ck_assert_int_eq(take(d, 0, &cid), 0);
	ck_assert_uint_eq(cid, 0x100);
	ck_assert_uint_eq(d->result, 0x010000);
	/* A second error waits until the log was read. */
	set_reg(d, 0x1000, ENTRIES, 4);
	ck_assert_int_eq(take(d, 0, &cid), -1);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 0x8001), 0);
	ck_assert_int_eq(take(d, 0, &cid), -1);
	ck_assert_int_eq(ADMIN(.opcode = 2, .prp1 = DATA, .cdw10 = 0x0001), 0);
	ck_assert_int_eq(take(d, 0, &cid), 0);
	ck_assert_uint_eq(cid, 0x101);
	ck_assert_uint_eq(d->result, 0x010100);
	/* Temperature: only if enabled. */
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 4, .cdw11 = 300), 0);
	ck_assert_int_eq(take(d, 0, &cid), -1);
	ck_assert_int_eq(ADMIN(.opcode = 9, .cdw10 = 11, .cdw11 = 2), 0);
	ck_assert_int_eq(take(d, 0, &cid), 0);
	ck_assert_uint_eq(cid, 0x102);
	ck_assert_uint_eq(d->result, 0x020101);
	check_round_trip(&d->n->pci.dev);
	/* Abort of the last request: two completions. */
	put_command(d, 0, &(struct cmd){.opcode = 8, .cid = 9, .cdw10 = 0x103u << 16});
	ring(d, 0);
	ck_assert_int_eq(take(d, 0, &cid), 7);
	ck_assert_uint_eq(cid, 0x103);
	ck_assert_int_eq(take(d, 0, &cid), 0);
	ck_assert_uint_eq(cid, 9);
	ck_assert_uint_eq(d->result, 0);
	/* A head beyond what was posted. */
	set_reg(d, 0x1004, (d->head[0] + 2u) % ENTRIES, 4);
	ck_assert_uint_eq(d->n->cq_head[0], d->head[0]);
	drv_free(d);
}
END_TEST

START_TEST(full_completion_queue)
{
	struct drv x, *d = &x;
	unsigned done = 0;

	drv_plug(d);
	drv_enable(d);
	/* A completion queue of three for seven commands: two fit at a time. */
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = 2 << 16 | 1, .cdw11 = 3), 0);
	ck_assert_int_eq(ADMIN(.opcode = 1, .prp1 = IOSQ, .cdw10 = (ENTRIES - 1) << 16 | 1,
			       .cdw11 = 1 << 16 | 1),
			 0);
	for (u16 i = 0; i < 7; i++)
		put_command(d, 1, &(struct cmd){.opcode = 0, .cid = i, .nsid = 1});
	ring(d, 1);
	ck_assert_uint_eq(d->b->flushes, 2);
	check_round_trip(&d->n->pci.dev);
	for (u8 head = 0, phase = 1; done < 7; done++) {
		u64 e = IOCQ + 16ull * head;

		board_run_timers(d->b);
		ck_assert_uint_eq(ram_get(d->b, e + 14, 2), phase);
		ck_assert_uint_eq(ram_get(d->b, e + 12, 2), done);
		head = (u8)((head + 1) % 3);
		phase ^= head == 0;
		set_reg(d, 0x100c, head, 4);
	}
	board_run_timers(d->b);
	ck_assert_uint_eq(d->b->flushes, 7);
	drv_free(d);
}
END_TEST

START_TEST(pin_interrupt)
{
	struct drv x, *d = &x;
	u16 cid;

	drv_start(d);
	ck_assert(!d->b->irq[11] && !d->b->pin[3]);
	put_command(d, 1, &(struct cmd){.opcode = 0, .cid = 1, .nsid = 1});
	ring(d, 1);
	ck_assert(d->b->irq[11] && d->b->pin[3]);
	set_reg(d, 0x0c, 1, 4);
	ck_assert(!d->b->pin[3]);
	set_reg(d, 0x10, 1, 4);
	ck_assert(d->b->pin[3]);
	ck_assert_int_eq(take(d, 1, &cid), 0);
	ck_assert(!d->b->pin[3] && !d->b->irq[11]);
	/* A reset takes the pin down. */
	put_command(d, 1, &(struct cmd){.opcode = 0, .cid = 1, .nsid = 1});
	ring(d, 1);
	set_reg(d, 0x14, 0, 4);
	ck_assert(!d->b->pin[3]);
	drv_free(d);
}
END_TEST

START_TEST(message_interrupts)
{
	struct drv x, *d = &x;
	unsigned cap;

	drv_plug(d);
	cap = cfg_find_cap(d->b, DEVFN, PCI_CAP_MSI, 0);
	cfg_write(d->b, DEVFN, cap + 4, 0xfee00000, 4);
	cfg_write(d->b, DEVFN, cap + 12, 0x60, 2);
	cfg_write(d->b, DEVFN, cap + 2, 0x11, 2); /* two vectors */
	drv_enable(d);
	create_queues(d, 1);
	ck_assert_uint_eq(d->b->msis, 2);
	ck_assert_uint_eq(d->b->msi[0].data, 0x60);
	ck_assert_int_eq(IO(.opcode = 0, .nsid = 1), 0);
	ck_assert_uint_eq(d->b->msi[2].data, 0x61);
	/* INTMS holds the message back until the vector is unmasked. */
	set_reg(d, 0x0c, 2, 4);
	put_command(d, 1, &(struct cmd){.opcode = 0, .nsid = 1});
	ring(d, 1);
	ck_assert_uint_eq(d->b->msis, 3);
	set_reg(d, 0x10, 2, 4);
	ck_assert_uint_eq(d->b->msis, 4);
	ck_assert(!d->b->pin[3]);
	/* MSI-X: own vector per queue, table behind the doorbells in BAR 0. */
	set_reg(d, 0x14, 0, 4);
	cfg_write(d->b, DEVFN, cap + 2, 0, 2);
	cap = cfg_find_cap(d->b, DEVFN, PCI_CAP_MSIX, 0);
	cfg_write(d->b, DEVFN, cap + 2, 0x8000, 2);
	for (unsigned n = 0; n < 17; n++) {
		set_reg(d, 0x2000 + 16 * n, 0xfee02000, 8);
		set_reg(d, 0x2008 + 16 * n, 0x80 + n, 8);
	}
	drv_enable(d);
	ck_assert_int_eq(
		ADMIN(.opcode = 5, .prp1 = IOCQ, .cdw10 = 7 << 16 | 1, .cdw11 = 17 << 16 | 3),
		0x108);
	create_queues(d, 16);
	d->b->msis = 0;
	ck_assert_int_eq(IO(.opcode = 0, .nsid = 1), 0);
	ck_assert_uint_eq(d->b->msis, 1);
	ck_assert_uint_eq(d->b->msi[0].addr, 0xfee02000);
	ck_assert_uint_eq(d->b->msi[0].data, 0x90);
	drv_free(d);
}
END_TEST

START_TEST(state)
{
	struct drv x, *d = &x;

	drv_start(d);
	test_fill(d->b->disk, 512, 9);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA), 0);
	check_round_trip(&d->n->pci.dev);
	check_hostile_state(&d->n->pci.dev);
	ck_assert_int_eq(IO(.opcode = 2, .nsid = 1, .prp1 = DATA + 512), 0);
	ck_assert_int_eq(memcmp(physmem_ptr(&d->b->mem, DATA + 512), d->b->disk, 512), 0);
	nvme_class.reset(&d->n->pci.dev);
	ck_assert_uint_eq(d->n->unsafe_shutdowns, 1);
	drv_free(d);
}
END_TEST

/* A bigger queue than the budget of one doorbell: the rest comes by timer, in order. */
START_TEST(budget)
{
	struct drv x, *d = &x;

	drv_plug(d);
	drv_enable(d);
	ck_assert_int_eq(ADMIN(.opcode = 5, .prp1 = LIST, .cdw10 = 511 << 16 | 1, .cdw11 = 3), 0);
	ck_assert_int_eq(
		ADMIN(.opcode = 1, .prp1 = DATA, .cdw10 = 511 << 16 | 1, .cdw11 = 1 << 16 | 1), 0);
	for (unsigned i = 0; i < 500; i++)
		ram_put(d->b, DATA + 64 * i + 4, 1, 4);
	set_reg(d, 0x1008, 500, 4);
	ck_assert_uint_eq(d->b->flushes, 64);
	check_round_trip(&d->n->pci.dev);
	board_run_timers(d->b);
	ck_assert_uint_eq(d->b->flushes, 500);
	drv_free(d);
}
END_TEST

static void fuzz_command(struct drv *d, unsigned q, u64 *seed)
{
	static const u64 places[] = {DATA, LIST, ASQ, IOCQ, BOARD_RAM - 0x1000, 0xfee00000, ~0ull};
	struct cmd c = {.opcode = test_random(seed) % 14,
			.nsid = test_random(seed) % 3,
			.cid = (u16)test_random(seed),
			.prp1 = places[test_random(seed) % 7],
			.prp2 = places[test_random(seed) % 7]};
	u32 r = test_random(seed);

	c.prp1 += r & 1 ? test_random(seed) % 0x2000 : 0;
	c.prp2 += r & 2 ? test_random(seed) % 0x2000 : 0;
	c.cdw10 = r & 4 ? test_random(seed) : test_random(seed) & 0x7000f;
	c.cdw11 = r & 8 ? test_random(seed) : test_random(seed) & 0x10003;
	c.cdw12 = r & 16 ? test_random(seed) : test_random(seed) & 63;
	put_command(d, q, &c);
	ring(d, q);
}

START_TEST(fuzz)
{
	struct drv x, *d = &x;
	u64 seed = 2;

	drv_start(d);
	for (unsigned i = 0; i < 100000; i++) {
		u32 r = test_random(&seed), v = test_random(&seed);

		switch (r % 8) {
		case 0:
			set_reg(d, r >> 8 & 0x3fff, v, 1u << (r >> 4 & 3));
			break;
		case 1:
			set_reg(d, 0x1000 + (r >> 8 & 0xff), v % 20, 4);
			break;
		case 2:
			reg(d, r >> 8 & 0x3fff, 1u << (r >> 4 & 3));
			break;
		case 3:
			if (r >> 8 & 1)
				board_run_timers(d->b);
			if ((r >> 17 & 31) == 0)
				damage_state(&d->n->pci.dev, &seed);
			if ((r >> 9 & 0xff) == 0)
				cfg_write(d->b, DEVFN, r >> 24, v, 4);
			break;
		case 4: /* consume */
			set_reg(d, 0x1004 + 8 * (v & 1), d->n->cq_tail[v & 1], 4);
			break;
		default:
			fuzz_command(d, v & 1, &seed);
		}
		if (i % 200 == 0) { /* start afresh */
			set_reg(d, 0x14, 0, 4);
			cfg_write(d->b, DEVFN, 0x10, (u32)d->bar, 4);
			cfg_write(d->b, DEVFN, 0x14, 0, 4);
			cfg_write(d->b, DEVFN, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
			cfg_write(d->b, DEVFN, cfg_find_cap(d->b, DEVFN, PCI_CAP_MSIX, 0) + 2, 0,
				  2);
			cfg_write(d->b, DEVFN, cfg_find_cap(d->b, DEVFN, PCI_CAP_MSI, 0) + 2, 0, 2);
			set_reg(d, 0x14, 0, 4);
			drv_enable(d);
			create_queues(d, 0);
		}
	}
	check_round_trip(&d->n->pci.dev);
	drv_free(d);
}
END_TEST

Suite *nvme_suite(void)
{
	Suite *s = suite_create("nvme");
	TCase *t = tcase_create("nvme");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, registers);
	tcase_add_test(t, bad_configuration);
	tcase_add_test(t, queues_outside_ram);
	tcase_add_test(t, identify);
	tcase_add_test(t, queue_commands);
	tcase_add_test(t, read_write);
	tcase_add_test(t, prp_lists);
	tcase_add_test(t, io_errors);
	tcase_add_test(t, dataset_management);
	tcase_add_test(t, features_and_logs);
	tcase_add_test(t, events);
	tcase_add_test(t, full_completion_queue);
	tcase_add_test(t, pin_interrupt);
	tcase_add_test(t, message_interrupts);
	tcase_add_test(t, state);
	tcase_add_test(t, budget);
	tcase_add_test(t, fuzz);
	suite_add_tcase(s, t);
	return s;
}
