/*
 * System control port A and the reset control register. 82371AB datasheet, "PORT 92 Register" and
 * "RC: Reset Control Register".
 */
#include "devices/port92.h"

#define INIT_NOW 0x01u
#define A20_GATE 0x02u

#define RC_HARD 0x02u
#define RC_RESET_CPU 0x04u
#define RC_FULL 0x08u /* kept; asks a power supply cycle on later chipsets */

static u64 port92_read(void *owner, u64 offset, unsigned size)
{
	const struct port92 *p = owner;

	(void)offset;
	(void)size;
	return p->value;
}

/* INIT_NOW acts on its rise and has to be cleared before the next one. */
static void port92_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct port92 *p = owner;
	u8 old = p->value;

	(void)offset;
	(void)size;
	p->value = value & (INIT_NOW | A20_GATE);
	if ((old ^ p->value) & A20_GATE)
		irq_set(&p->a20, p->value & A20_GATE);
	if ((p->value & INIT_NOW) && !(old & INIT_NOW) && p->reset_cpu)
		p->reset_cpu(p->reset_owner);
}

static void port92_init(struct device *d)
{
	struct port92 *p = (struct port92 *)d;

	p->io = (struct io_region){
		.name = "port92",
		.base = p->io.base,
		.len = 1,
		.min = 1,
		.max = 1,
		.read = port92_read,
		.write = port92_write,
		.owner = p,
	};
}

static void port92_reset(struct device *d)
{
	struct port92 *p = (struct port92 *)d;

	p->value = 0;
	irq_set(&p->a20, false);
}

static bool port92_post_load(struct device *d)
{
	struct port92 *p = (struct port92 *)d;

	if (p->value & ~(INIT_NOW | A20_GATE))
		return false;
	irq_set(&p->a20, p->value & A20_GATE);
	return true;
}

static const struct state_field port92_state[] = {
	STATE_FIELD(struct port92, value),
	STATE_END,
};

const struct device_class port92_class = {
	.name = "port92",
	.size = sizeof(struct port92),
	.state = port92_state,
	.init = port92_init,
	.reset = port92_reset,
	.post_load = port92_post_load,
};

u64 reset_control_read(void *reset_control, u64 offset, unsigned size)
{
	const struct reset_control *r = reset_control;

	(void)offset;
	(void)size;
	return r->value;
}

/* The reset starts when bit 2 rises; bit 1 says how far it goes. */
void reset_control_write(void *reset_control, u64 offset, u64 value, unsigned size)
{
	struct reset_control *r = reset_control;
	bool rises = (value & RC_RESET_CPU) && !(r->value & RC_RESET_CPU);

	(void)offset;
	(void)size;
	r->value = value & (RC_HARD | RC_RESET_CPU | RC_FULL);
	if (rises && r->reset)
		r->reset(r->reset_owner, r->value & RC_HARD);
}

static void reset_control_init(struct device *d)
{
	struct reset_control *r = (struct reset_control *)d;

	r->io = (struct io_region){
		.name = "reset-control",
		.base = r->io.base,
		.len = 1,
		.min = 1,
		.max = 1,
		.read = reset_control_read,
		.write = reset_control_write,
		.owner = r,
	};
}

static void reset_control_reset(struct device *d)
{
	((struct reset_control *)d)->value = 0;
}

static bool reset_control_post_load(struct device *d)
{
	return !(((const struct reset_control *)d)->value & ~(RC_HARD | RC_RESET_CPU | RC_FULL));
}

static const struct state_field reset_control_state[] = {
	STATE_FIELD(struct reset_control, value),
	STATE_END,
};

const struct device_class reset_control_class = {
	.name = "reset-control",
	.size = sizeof(struct reset_control),
	.state = reset_control_state,
	.init = reset_control_init,
	.reset = reset_control_reset,
	.post_load = reset_control_post_load,
};
