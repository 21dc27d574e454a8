/*
 * I/O APIC. Intel 82093AA datasheet, "I/O Advanced Programmable Interrupt Controller", with the EOI
 * register of version 20h (ICH datasheets, "EOIR: EOI Register"). Left out: the serial APIC bus and
 * its arbitration register, and pin polarity (lines say "asserted" here).
 */
#include "base/bits.h"
#include "devices/ioapic.h"

#define IOREGSEL 0x00
#define IOWIN 0x10
#define EOIR 0x40

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

#define RTE_LOGICAL 0x800ull
#define RTE_REMOTE_IRR 0x4000ull
#define RTE_LEVEL 0x8000ull
#define RTE_MASKED 0x10000ull
#define RTE_WRITABLE 0xff0000000001afffull

enum { MODE_FIXED = 0, MODE_LOWEST = 1 };

static bool send(struct ioapic *io, u64 rte)
{
	struct apic_message m = {
		.dest = (u32)(rte >> 56),
		.mode = (u8)bits(rte, 10, 8),
		.vector = (u8)rte,
		.logical = rte & RTE_LOGICAL,
		.level = rte & RTE_LEVEL,
		.assert_ = true,
	};

	return io->send && io->send(io->send_owner, &m);
}

/* Fixed and lowest priority alone have a level semantic; the others are edges whatever bit 15
 * says. */
static bool is_level(u64 rte)
{
	return (rte & RTE_LEVEL) && bits(rte, 10, 8) <= MODE_LOWEST;
}

/* Sends for a level pin that is active and not yet in service. Nobody taking it leaves the pin
 * asking, until its entry or its line changes. */
static void evaluate_level(struct ioapic *io, unsigned n)
{
	u64 *rte = &io->redirection[n];

	if (!is_level(*rte) || (*rte & (RTE_MASKED | RTE_REMOTE_IRR)) || !(io->lines >> n & 1))
		return;
	*rte |= RTE_REMOTE_IRR;
	if (!send(io, *rte & ~RTE_REMOTE_IRR))
		*rte &= ~RTE_REMOTE_IRR;
}

void ioapic_set_irq(void *ioapic, unsigned n, bool level)
{
	struct ioapic *io = ioapic;
	bool rising;

	if (n >= IOAPIC_PINS)
		return;
	rising = level && !(io->lines >> n & 1);
	io->lines = (io->lines & ~(1u << n)) | (u32)level << n;
	if (is_level(io->redirection[n]))
		evaluate_level(io, n);
	else if (rising && !(io->redirection[n] & RTE_MASKED)) /* masked edges are not held */
		send(io, io->redirection[n]);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		u64 *rte = &io->redirection[n];

		if ((u8)*rte != vector || !(*rte & RTE_REMOTE_IRR))
			continue;
		*rte &= ~RTE_REMOTE_IRR;
		evaluate_level(io, n);
	}
}

static u32 window_read(const struct ioapic *io)
{
	unsigned n = (io->select - 0x10u) / 2;

	switch (io->select) {
	case 0: /* ID */
	case 2: /* arbitration ID: follows the ID */
		return io->id;
	case 1:
		return VERSION;
	default:
		if (io->select < 0x10 || n >= IOAPIC_PINS)
			return 0xffffffff;
		return (u32)(io->redirection[n] >> (io->select & 1 ? 32 : 0));
	}
}

static void write_redirection(struct ioapic *io, unsigned n, unsigned high, u32 value)
{
	u64 old = io->redirection[n], v;

	if (high)
		v = (old & 0xffffffff) | (u64)value << 32;
	else
		v = (old & ~0xffffffffull) | value;
	v = (v & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
	if (!is_level(v)) /* software clears a stuck remote IRR by a turn to edge and back */
		v &= ~RTE_REMOTE_IRR;
	io->redirection[n] = v;
	evaluate_level(io, n);
}

static void window_write(struct ioapic *io, u32 value)
{
	unsigned n = (io->select - 0x10u) / 2;

	if (io->select == 0)
		io->id = value & 0x0f000000;
	else if (io->select >= 0x10 && n < IOAPIC_PINS)
		write_redirection(io, n, io->select & 1, value);
}

static u64 ioapic_read(void *owner, u64 offset, unsigned size)
{
	const struct ioapic *io = owner;

	(void)size;
	switch (offset) {
	case IOREGSEL:
		return io->select;
	case IOWIN:
		return window_read(io);
	default:
		return 0;
	}
}

static void ioapic_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct ioapic *io = owner;

	(void)size;
	switch (offset) {
	case IOREGSEL:
		io->select = (u8)value;
		break;
	case IOWIN:
		window_write(io, (u32)value);
		break;
	case EOIR:
		ioapic_eoi(io, (u8)value);
		break;
	default:
		break;
	}
}

static void ioapic_init(struct device *d)
{
	struct ioapic *io = (struct ioapic *)d;

	io->io = (struct io_region){
		.name = "ioapic",
		.base = io->io.base,
		.len = 0x1000,
		.min = 4,
		.max = 4,
		.read = ioapic_read,
		.write = ioapic_write,
		.owner = io,
	};
}

/* Input levels belong to the chips that drive them and outlive a reset. */
static void ioapic_reset(struct device *d)
{
	struct ioapic *io = (struct ioapic *)d;

	io->select = 0;
	io->id = (u32)(io->initial_id & 15) << 24;
	for (unsigned n = 0; n < IOAPIC_PINS; n++)
		io->redirection[n] = RTE_MASKED;
}

static bool ioapic_post_load(struct device *d)
{
	const struct ioapic *io = (const struct ioapic *)d;

	if ((io->id & ~0x0f000000u) || io->lines >> IOAPIC_PINS)
		return false;
	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		u64 rte = io->redirection[n];

		if ((rte & ~(RTE_WRITABLE | RTE_REMOTE_IRR)) ||
		    ((rte & RTE_REMOTE_IRR) && !is_level(rte)))
			return false;
	}
	return true;
}

static const struct state_field ioapic_state[] = {
	STATE_FIELD(struct ioapic, select),
	STATE_FIELD(struct ioapic, id),
	STATE_FIELD(struct ioapic, lines),
	STATE_ARRAY(struct ioapic, redirection, redirection[0]),
	STATE_END,
};

const struct device_class ioapic_class = {
	.name = "ioapic",
	.size = sizeof(struct ioapic),
	.state = ioapic_state,
	.init = ioapic_init,
	.reset = ioapic_reset,
	.post_load = ioapic_post_load,
};
