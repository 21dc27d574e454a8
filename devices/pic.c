/*
 * Two 8259A interrupt controllers. Intel 8259A datasheet; ELCR as in the 82371AB (PIIX4) datasheet,
 * "Interrupt Controller Registers". As there, ELCR replaces LTIM. A request at an edge input is
 * withdrawn when its line falls before the acknowledge, which is what makes spurious interrupts.
 * Left out: MCS-80/85 mode, buffered mode (a board matter), checks of ICW3 (the cascade is wired).
 */
#include "base/bits.h"
#include "devices/pic.h"

#define CASCADE 2
#define ICW1_INIT 0x10u
#define ICW1_IC4 0x01u
#define ICW1_SINGLE 0x02u
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u
#define OCW3_SELECT 0x08u

static const u8 elcr_writable[2] = {0xf8, 0xde}; /* IRQ0, 1, 2, 8, 13 are always edges */

static bool is_master(const struct pic *p, const struct pic_chip *c)
{
	return c == &p->chip[0];
}

/* Input with the highest priority among `set`, or -1. */
static int highest(const struct pic_chip *c, unsigned set)
{
	for (unsigned i = 1; i <= 8; i++)
		if (set >> ((c->lowest + i) & 7) & 1)
			return (int)((c->lowest + i) & 7);
	return -1;
}

/* Rank of an input: 0 is the highest priority; of no input (-1): 8. */
static unsigned rank(const struct pic_chip *c, int n)
{
	return n < 0 ? 8 : (unsigned)(n - c->lowest - 1) & 7;
}

/* The request that would be acknowledged now, or -1. */
static int request(const struct pic *p, const struct pic_chip *c)
{
	unsigned blocking = c->special_mask ? c->isr & ~(unsigned)c->imr : c->isr;
	int n = highest(c, c->irr & ~(unsigned)c->imr);
	int busy = highest(c, blocking);

	if (n < 0 || rank(c, n) < rank(c, busy))
		return n;
	if (n == busy && n == CASCADE && is_master(p, c) && (c->icw4 & ICW4_SFNM))
		return n;
	return -1;
}

static void update(struct pic *p)
{
	struct pic_chip *master = &p->chip[0];
	bool level;

	if (request(p, &p->chip[1]) >= 0)
		master->irr |= 1u << CASCADE;
	else
		master->irr &= (u8) ~(1u << CASCADE);
	level = request(p, master) >= 0;
	if (level != p->output) {
		p->output = level;
		irq_set(&p->intr, level);
	}
}

void pic_set_irq(void *pic, unsigned n, bool level)
{
	struct pic *p = pic;
	struct pic_chip *c;
	u8 bit = (u8)(1u << (n & 7));

	if (n > 15 || n == CASCADE)
		return;
	c = &p->chip[n / 8];
	if (!level)
		c->irr &= (u8)~bit;
	else if ((c->elcr & bit) || !(c->lines & bit))
		c->irr |= bit;
	c->lines = level ? c->lines | bit : c->lines & (u8)~bit;
	update(p);
}

bool pic_pending(const struct pic *p)
{
	return request(p, &p->chip[0]) >= 0;
}

/* INTA or poll accepts input n. A level input goes on requesting while its line is up. */
static void accept(struct pic_chip *c, unsigned n)
{
	if (!(c->elcr >> n & 1))
		c->irr &= (u8) ~(1u << n);
	if (!(c->icw4 & ICW4_AEOI))
		c->isr |= (u8)(1u << n);
	else if (c->rotate_aeoi)
		c->lowest = (u8)n;
}

static int acknowledge_slave(struct pic *p)
{
	struct pic_chip *c = &p->chip[1];
	int n = request(p, c);

	if (n < 0)
		n = 7;
	else
		accept(c, (unsigned)n);
	return (c->icw2 & 0xf8) | n;
}

int pic_acknowledge(struct pic *p)
{
	struct pic_chip *c = &p->chip[0];
	int n = request(p, c), vector;

	if (n >= 0)
		accept(c, (unsigned)n);
	else
		n = 7;
	vector = (c->icw2 & 0xf8) | n;
	if (n == CASCADE && !(c->icw1 & ICW1_SINGLE))
		vector = acknowledge_slave(p);
	update(p);
	return vector;
}

/* Initialization command words */

static void write_icw1(struct pic_chip *c, u8 v)
{
	c->icw1 = v;
	if (!(v & ICW1_IC4))
		c->icw4 = 0;
	c->irr = c->lines & c->elcr;
	c->isr = c->imr = 0;
	c->lowest = 7;
	c->rotate_aeoi = c->special_mask = c->read_isr = c->poll = 0;
	c->icw_next = 2;
}

static void write_odd(struct pic_chip *c, u8 v)
{
	u8 after_icw3 = c->icw1 & ICW1_IC4 ? 4 : 0;

	switch (c->icw_next) {
	case 2:
		c->icw2 = v;
		c->icw_next = c->icw1 & ICW1_SINGLE ? after_icw3 : 3;
		break;
	case 3:
		c->icw3 = v;
		c->icw_next = after_icw3;
		break;
	case 4:
		c->icw4 = v;
		c->icw_next = 0;
		break;
	default:
		c->imr = v;
		break;
	}
}

/* Operation command words */

static void end_of_interrupt(struct pic_chip *c, int n, bool rotate)
{
	if (n < 0)
		return;
	c->isr &= (u8) ~(1u << n);
	if (rotate)
		c->lowest = (u8)n;
}

/* In special mask mode a non-specific EOI leaves masked in-service bits alone. */
static int eoi_candidate(const struct pic_chip *c)
{
	return highest(c, c->special_mask ? c->isr & ~(unsigned)c->imr : c->isr);
}

static void write_ocw2(struct pic_chip *c, u8 v)
{
	int n = v & 7;

	switch (v >> 5) {
	case 0:
	case 4:
		c->rotate_aeoi = v >> 7;
		break;
	case 1:
	case 5:
		end_of_interrupt(c, eoi_candidate(c), v >> 7);
		break;
	case 3:
	case 7:
		end_of_interrupt(c, n, v >> 7);
		break;
	case 6:
		c->lowest = (u8)n;
		break;
	default:
		break;
	}
}

static void write_ocw3(struct pic_chip *c, u8 v)
{
	c->poll = v >> 2 & 1;
	if (v & 2)
		c->read_isr = v & 1;
	if (v & 0x40)
		c->special_mask = v >> 5 & 1;
}

static void chip_write(struct pic *p, struct pic_chip *c, u64 offset, u8 v)
{
	if (offset)
		write_odd(c, v);
	else if (v & ICW1_INIT)
		write_icw1(c, v);
	else if (v & OCW3_SELECT)
		write_ocw3(c, v);
	else
		write_ocw2(c, v);
	update(p);
}

static u8 poll_word(struct pic *p, struct pic_chip *c)
{
	int n = request(p, c);

	c->poll = 0;
	if (n < 0)
		return 0x07;
	accept(c, (unsigned)n);
	update(p);
	return (u8)(0x80 | n);
}

static u8 chip_read(struct pic *p, struct pic_chip *c, u64 offset)
{
	if (c->poll)
		return poll_word(p, c);
	if (offset)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static u64 master_read(void *owner, u64 offset, unsigned size)
{
	struct pic *p = owner;

	(void)size;
	return chip_read(p, &p->chip[0], offset);
}

static void master_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pic *p = owner;

	(void)size;
	chip_write(p, &p->chip[0], offset, (u8)value);
}

static u64 slave_read(void *owner, u64 offset, unsigned size)
{
	struct pic *p = owner;

	(void)size;
	return chip_read(p, &p->chip[1], offset);
}

static void slave_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pic *p = owner;

	(void)size;
	chip_write(p, &p->chip[1], offset, (u8)value);
}

static u64 elcr_read(void *owner, u64 offset, unsigned size)
{
	const struct pic *p = owner;

	(void)size;
	return p->chip[offset & 1].elcr;
}

static void elcr_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pic *p = owner;
	struct pic_chip *c = &p->chip[offset & 1];

	(void)size;
	c->elcr = (u8)value & elcr_writable[offset & 1];
	c->irr = (u8)((c->irr & ~c->elcr) | (c->lines & c->elcr));
	update(p);
}

static void describe(struct pic *p, struct io_region *io, const char *name,
		     u64 (*read)(void *, u64, unsigned), void (*write)(void *, u64, u64, unsigned))
{
	*io = (struct io_region){
		.name = name,
		.base = io->base,
		.len = 2,
		.min = 1,
		.max = 1,
		.read = read,
		.write = write,
		.owner = p,
	};
}

static void pic_init(struct device *d)
{
	struct pic *p = (struct pic *)d;

	describe(p, &p->io_master, "pic-master", master_read, master_write);
	describe(p, &p->io_slave, "pic-slave", slave_read, slave_write);
	describe(p, &p->io_elcr, "elcr", elcr_read, elcr_write);
}

/* The 8259A has no reset pin: unprogrammed it is masked here, so that it stays quiet. Input levels
 * belong to the chips that drive them. */
static void pic_reset(struct device *d)
{
	struct pic *p = (struct pic *)d;

	for (unsigned i = 0; i < 2; i++) {
		u8 lines = p->chip[i].lines;

		memset(&p->chip[i], 0, sizeof(p->chip[i]));
		p->chip[i].lines = lines;
		p->chip[i].imr = 0xff;
		p->chip[i].lowest = 7;
	}
	update(p);
}

static bool chip_valid(const struct pic *p, unsigned i)
{
	const struct pic_chip *c = &p->chip[i];
	unsigned own = i ? 0xff : 0xff & ~(1u << CASCADE);

	return c->lowest <= 7 && c->rotate_aeoi <= 1 && c->read_isr <= 1 && c->poll <= 1 &&
	       c->special_mask <= 1 && c->icw_next <= 4 && c->icw_next != 1 &&
	       !(c->elcr & ~elcr_writable[i]) && !(c->irr & own & ~c->lines);
}

static bool pic_post_load(struct device *d)
{
	struct pic *p = (struct pic *)d;

	if (!chip_valid(p, 0) || !chip_valid(p, 1) || p->output > 1)
		return false;
	p->output = pic_pending(p);
	irq_set(&p->intr, p->output);
	return true;
}

#define PIC_CHIP_STATE(i)                                                                          \
	STATE_FIELD(struct pic, chip[i].irr), STATE_FIELD(struct pic, chip[i].isr),                \
		STATE_FIELD(struct pic, chip[i].imr), STATE_FIELD(struct pic, chip[i].lines),      \
		STATE_FIELD(struct pic, chip[i].elcr), STATE_FIELD(struct pic, chip[i].icw1),      \
		STATE_FIELD(struct pic, chip[i].icw2), STATE_FIELD(struct pic, chip[i].icw3),      \
		STATE_FIELD(struct pic, chip[i].icw4), STATE_FIELD(struct pic, chip[i].icw_next),  \
		STATE_FIELD(struct pic, chip[i].lowest),                                           \
		STATE_FIELD(struct pic, chip[i].rotate_aeoi),                                      \
		STATE_FIELD(struct pic, chip[i].read_isr), STATE_FIELD(struct pic, chip[i].poll),  \
		STATE_FIELD(struct pic, chip[i].special_mask)

static const struct state_field pic_state[] = {
	PIC_CHIP_STATE(0),
	PIC_CHIP_STATE(1),
	STATE_FIELD(struct pic, output),
	STATE_END,
};

const struct device_class pic_class = {
	.name = "pic",
	.size = sizeof(struct pic),
	.state = pic_state,
	.init = pic_init,
	.reset = pic_reset,
	.post_load = pic_post_load,
};
