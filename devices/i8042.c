/*
 * 8042 keyboard controller, PS/2 keyboard and mouse. IBM PS/2 Hardware Interface Technical
 * Reference, "Keyboard and Auxiliary Device Controller", "Keyboards", "Mouse". Bytes move at once,
 * without the milliseconds of a serial line. Left out: scan code set 3, password, the keyboard
 * lock, typematic repeat (the host repeats).
 */
#include "base/bits.h"
#include "devices/i8042.h"

#define STATUS_OBF 0x01u
#define STATUS_SYSTEM 0x04u
#define STATUS_COMMAND 0x08u
#define STATUS_UNLOCKED 0x10u
#define STATUS_MOUSE 0x20u

#define CONFIG_KEYBOARD_IRQ 0x01u
#define CONFIG_MOUSE_IRQ 0x02u
#define CONFIG_SYSTEM 0x04u
#define CONFIG_KEYBOARD_OFF 0x10u
#define CONFIG_MOUSE_OFF 0x20u
#define CONFIG_TRANSLATE 0x40u
#define CONFIG_RESET (CONFIG_TRANSLATE | CONFIG_SYSTEM | CONFIG_MOUSE_IRQ | CONFIG_KEYBOARD_IRQ)

#define OUT_RESET 0x01u /* active low */
#define OUT_A20 0x02u

#define ACK 0xfa
#define RESEND 0xfe
#define SELF_TEST_PASSED 0xaa
#define BREAK 0xf0
#define QUEUE_RESERVE 8 /* room for answers to commands, which keys and movement leave free */

enum { MOUSE_SCALING = 1, MOUSE_REMOTE = 2, MOUSE_WRAP = 4 };

/* Set 2 to set 1, as the controller translates. */
static const u8 set1_of[0x85] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

/* Queues of the devices */

static void put(struct ps2_port *p, u8 byte)
{
	if (p->count == PS2_QUEUE)
		return;
	p->queue[(p->head + p->count) % PS2_QUEUE] = byte;
	p->count++;
}

static u8 take(struct ps2_port *p)
{
	u8 byte = p->queue[p->head];

	p->head = (p->head + 1) % PS2_QUEUE;
	p->count--;
	p->last = byte;
	return byte;
}

static bool has_room(const struct ps2_port *p, size_t len)
{
	return len <= PS2_QUEUE - QUEUE_RESERVE && p->count + len <= PS2_QUEUE - QUEUE_RESERVE;
}

/* The output buffer */

static void update_irqs(struct i8042 *k)
{
	bool full = k->status & STATUS_OBF, mouse = k->status & STATUS_MOUSE;

	irq_set(&k->irq_keyboard, full && !mouse && (k->config & CONFIG_KEYBOARD_IRQ));
	irq_set(&k->irq_mouse, full && mouse && (k->config & CONFIG_MOUSE_IRQ));
}

static void fill(struct i8042 *k, u8 byte, bool mouse)
{
	k->data = byte;
	k->status = (u8)((k->status & ~STATUS_MOUSE) | STATUS_OBF | (mouse ? STATUS_MOUSE : 0));
}

/* One byte through the translation; false if it only was a prefix. */
static bool translate(struct i8042 *k, u8 *byte)
{
	u8 release = k->break_prefix ? 0x80 : 0;

	if (*byte == BREAK) {
		k->break_prefix = 1;
		return false;
	}
	k->break_prefix = 0;
	if (*byte < ARRAY_SIZE(set1_of))
		*byte = set1_of[*byte];
	*byte |= release;
	return true;
}

static void refill_from_keyboard(struct i8042 *k)
{
	while (k->keyboard.count) {
		u8 byte = take(&k->keyboard);

		if (!(k->config & CONFIG_TRANSLATE) || translate(k, &byte)) {
			fill(k, byte, false);
			return;
		}
	}
}

/* Fills an empty output buffer: own answers first, then keyboard, then mouse. */
static void refill(struct i8042 *k)
{
	if (!(k->status & STATUS_OBF) && k->replies) {
		fill(k, k->reply[0], k->reply_mouse & 1);
		k->reply[0] = k->reply[1];
		k->reply_mouse >>= 1;
		k->replies--;
	}
	if (!(k->status & STATUS_OBF) && !(k->config & CONFIG_KEYBOARD_OFF))
		refill_from_keyboard(k);
	if (!(k->status & STATUS_OBF) && !(k->config & CONFIG_MOUSE_OFF) && k->mouse.count)
		fill(k, take(&k->mouse), true);
	update_irqs(k);
}

static void reply(struct i8042 *k, u8 byte, bool mouse)
{
	unsigned n = k->replies < 2 ? k->replies : 1; /* the newest answer replaces an unread one */

	k->reply[n] = byte;
	k->reply_mouse = (u8)((k->reply_mouse & ~(1u << n)) | (unsigned)mouse << n);
	k->replies = (u8)(n + 1);
}

static u8 read_data(struct i8042 *k)
{
	u8 byte = k->data;

	k->status &= (u8) ~(STATUS_OBF | STATUS_MOUSE);
	update_irqs(k); /* an edge for the next byte */
	refill(k);
	return byte;
}

/* Keyboard */

static void keyboard_defaults(struct ps2_port *p)
{
	p->rate = 0x2b; /* 500 ms, 10.9 per second */
	p->set = 2;
	p->command = 0;
}

static void keyboard_reset(struct ps2_port *p)
{
	p->head = p->count = 0;
	p->leds = 0;
	keyboard_defaults(p);
	p->enabled = 1;
}

static void keyboard_parameter(struct i8042 *k, u8 command, u8 v)
{
	struct ps2_port *p = &k->keyboard;

	if (command == 0xed) {
		p->leds = v & 7;
	} else if (command == 0xf3) {
		p->rate = v & 0x7f;
	} else if (v == 0) { /* which scan code set? */
		put(p, ACK);
		put(p, p->set);
		return;
	} else if (v <= 2) {
		p->set = v;
	} else {
		LOG(k->device.env.log, unimplemented, "%s: scan code set %u", k->device.id, v);
		put(p, RESEND);
		return;
	}
	put(p, ACK);
}

static void keyboard_command(struct i8042 *k, u8 v)
{
	struct ps2_port *p = &k->keyboard;

	switch (v) {
	case 0xed: /* LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* typematic */
		p->command = v;
		put(p, ACK);
		break;
	case 0xee:
		put(p, 0xee);
		break;
	case 0xf2:
		put(p, ACK);
		put(p, 0xab);
		put(p, 0x83);
		break;
	case 0xf4:
	case 0xf5:
	case 0xf6:
		p->head = p->count = 0;
		if (v != 0xf4)
			keyboard_defaults(p);
		p->enabled = v == 0xf6 ? p->enabled : v == 0xf4;
		put(p, ACK);
		break;
	case 0xf7:
	case 0xf8:
	case 0xf9:
	case 0xfa: /* key types: set 3 only */
		put(p, ACK);
		break;
	case 0xfe:
		put(p, p->last);
		break;
	case 0xff:
		keyboard_reset(p);
		put(p, ACK);
		put(p, SELF_TEST_PASSED);
		break;
	default:
		put(p, RESEND);
		break;
	}
}

static void keyboard_write(struct i8042 *k, u8 v)
{
	u8 command = k->keyboard.command;

	k->config &= (u8)~CONFIG_KEYBOARD_OFF;
	k->keyboard.command = 0;
	if (command && v < 0xed)
		keyboard_parameter(k, command, v);
	else
		keyboard_command(k, v);
}

/* Mouse */

static void mouse_defaults(struct ps2_port *p)
{
	p->rate = 100;
	p->leds = 2; /* resolution: 4 counts per mm */
	p->mode = 0;
	p->enabled = 0;
	p->command = 0;
	p->dx = p->dy = p->dz = 0;
}

static void mouse_reset(struct ps2_port *p)
{
	p->head = p->count = 0;
	p->knock = 0;
	p->buttons = 0;
	mouse_defaults(p);
}

static int limit(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

static void mouse_packet(struct ps2_port *p)
{
	int dx = limit(p->dx, -256, 255), dy = limit(p->dy, -256, 255), dz = limit(p->dz, -8, 7);

	put(p, (u8)(0x08 | p->buttons | (dx < 0) << 4 | (dy < 0) << 5));
	put(p, (u8)dx);
	put(p, (u8)dy);
	if (p->knock == 4)
		put(p, (u8)-dz);
	p->dx = (s16)(p->dx - dx);
	p->dy = (s16)(p->dy - dy);
	p->dz = (s16)(p->dz - dz);
}

/* Sample rates 200, 100, 80 in a row switch the wheel on. */
static void mouse_rate(struct ps2_port *p, u8 rate)
{
	static const u8 sequence[3] = {200, 100, 80};

	p->rate = rate;
	if (p->knock == 4)
		return;
	if (rate == sequence[p->knock])
		p->knock++;
	else
		p->knock = rate == sequence[0];
	if (p->knock == 3)
		p->knock = 4;
}

static void mouse_status(struct ps2_port *p)
{
	u8 b = p->buttons; /* bits 2:0 here are left, middle, right */

	put(p, ACK);
	put(p, (u8)((p->mode & MOUSE_REMOTE) << 5 | p->enabled << 5 | (p->mode & 1) << 4 |
		    (b & 1) << 2 | (b >> 1 & 1) | (b >> 2 & 1) << 1));
	put(p, p->leds);
	put(p, p->rate);
}

static void mouse_command(struct ps2_port *p, u8 v)
{
	switch (v) {
	case 0xe6:
	case 0xe7:
		p->mode = (u8)((p->mode & ~MOUSE_SCALING) | (v & 1));
		break;
	case 0xe8: /* resolution */
	case 0xf3: /* sample rate */
		p->command = v;
		break;
	case 0xe9:
		mouse_status(p);
		return;
	case 0xea:
		p->mode &= (u8) ~(MOUSE_REMOTE | MOUSE_WRAP);
		break;
	case 0xeb:
		put(p, ACK);
		mouse_packet(p);
		return;
	case 0xec:
		p->mode &= (u8)~MOUSE_WRAP;
		break;
	case 0xee:
		p->mode |= MOUSE_WRAP;
		break;
	case 0xf0:
		p->mode |= MOUSE_REMOTE;
		break;
	case 0xf2:
		put(p, ACK);
		put(p, p->knock == 4 ? 3 : 0);
		return;
	case 0xf4:
	case 0xf5:
		p->enabled = v == 0xf4;
		break;
	case 0xf6:
		mouse_defaults(p);
		break;
	case 0xfe:
		put(p, p->last);
		return;
	case 0xff:
		mouse_reset(p);
		put(p, ACK);
		put(p, SELF_TEST_PASSED);
		put(p, 0);
		return;
	default:
		put(p, RESEND);
		return;
	}
	put(p, ACK);
}

static void mouse_write(struct i8042 *k, u8 v)
{
	struct ps2_port *p = &k->mouse;
	u8 command = p->command;

	k->config &= (u8)~CONFIG_MOUSE_OFF;
	p->command = 0;
	if ((p->mode & MOUSE_WRAP) && v != 0xec && v != 0xff) {
		put(p, v);
		return;
	}
	if (!command) {
		p->head = p->count = 0; /* a command ends what was being sent */
		mouse_command(p, v);
		return;
	}
	if (command == 0xe8)
		p->leds = v & 3;
	else
		mouse_rate(p, v);
	put(p, ACK);
}

/* Controller */

static void pulse_reset(struct i8042 *k)
{
	if (k->reset_cpu)
		k->reset_cpu(k->reset_owner);
}

static void set_output_port(struct i8042 *k, u8 v)
{
	k->output_port = v & (OUT_RESET | OUT_A20);
	irq_set(&k->a20, v & OUT_A20);
	if (!(v & OUT_RESET)) {
		k->output_port |= OUT_RESET;
		pulse_reset(k);
	}
}

static u8 read_output_port(const struct i8042 *k)
{
	bool full = k->status & STATUS_OBF, mouse = k->status & STATUS_MOUSE;

	return (u8)(0xc0 | k->output_port | (full && !mouse) << 4 | (full && mouse) << 5);
}

static void write_ram(struct i8042 *k, unsigned n, u8 v)
{
	if (n == 0)
		k->config = v & 0x7f;
	else
		k->ram[n] = v;
}

static void controller_parameter(struct i8042 *k, u8 command, u8 v)
{
	switch (command) {
	case 0xd1:
		set_output_port(k, v);
		break;
	case 0xd2:
		reply(k, v, false);
		break;
	case 0xd3:
		reply(k, v, true);
		break;
	case 0xd4:
		mouse_write(k, v);
		break;
	default: /* 60h..7Fh */
		write_ram(k, command & 31, v);
		break;
	}
}

static void controller_command(struct i8042 *k, u8 v)
{
	if (v >= 0x20 && v < 0x40) {
		reply(k, v == 0x20 ? k->config : k->ram[v & 31], false);
		return;
	}
	if ((v >= 0x60 && v < 0x80) || (v >= 0xd1 && v <= 0xd4)) {
		k->command = v;
		return;
	}
	if (v >= 0xf0) { /* pulse output port bits that are 0 */
		if (!(v & OUT_RESET))
			pulse_reset(k);
		return;
	}
	switch (v) {
	case 0xa4: /* no password */
		reply(k, 0xf1, false);
		break;
	case 0xa7:
		k->config |= CONFIG_MOUSE_OFF;
		break;
	case 0xa8:
		k->config &= (u8)~CONFIG_MOUSE_OFF;
		break;
	case 0xa9: /* mouse and keyboard interfaces: no error */
	case 0xab:
		reply(k, 0x00, false);
		break;
	case 0xaa:
		k->config |= CONFIG_SYSTEM;
		reply(k, 0x55, false);
		break;
	case 0xad:
		k->config |= CONFIG_KEYBOARD_OFF;
		break;
	case 0xae:
		k->config &= (u8)~CONFIG_KEYBOARD_OFF;
		break;
	case 0xc0: /* input port: not locked */
		reply(k, 0x80, false);
		break;
	case 0xd0:
		reply(k, read_output_port(k), false);
		break;
	case 0xdd:
	case 0xdf:
		set_output_port(k, OUT_RESET | (v & OUT_A20));
		break;
	case 0xe0: /* test inputs: both clocks idle low here */
		reply(k, 0x00, false);
		break;
	default:
		LOG(k->device.env.log, guest_error, "%s: command %02x", k->device.id, v);
		break;
	}
}

static u64 data_read(void *owner, u64 offset, unsigned size)
{
	(void)offset;
	(void)size;
	return read_data(owner);
}

static void data_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct i8042 *k = owner;
	u8 command = k->command;

	(void)offset;
	(void)size;
	k->status &= (u8)~STATUS_COMMAND;
	k->command = 0;
	if (command)
		controller_parameter(k, command, (u8)value);
	else
		keyboard_write(k, (u8)value);
	refill(k);
}

static u64 status_read(void *owner, u64 offset, unsigned size)
{
	const struct i8042 *k = owner;

	(void)offset;
	(void)size;
	return k->status | STATUS_UNLOCKED | (k->config & CONFIG_SYSTEM ? STATUS_SYSTEM : 0);
}

static void command_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct i8042 *k = owner;

	(void)offset;
	(void)size;
	k->status |= STATUS_COMMAND;
	k->command = 0;
	controller_command(k, (u8)value);
	refill(k);
}

/* Input from the host */

/* In set 1 the keyboard itself makes the translation. */
static void put_set1(struct ps2_port *p, const u8 *set2, size_t len)
{
	u8 release = 0;

	for (size_t i = 0; i < len; i++) {
		if (set2[i] == BREAK) {
			release = 0x80;
			continue;
		}
		put(p, set2[i] < ARRAY_SIZE(set1_of) ? set1_of[set2[i]] | release : set2[i]);
		if (set2[i] != 0xe0 && set2[i] != 0xe1)
			release = 0;
	}
}

bool i8042_inject_key(struct i8042 *k, const u8 *set2, size_t len)
{
	struct ps2_port *p = &k->keyboard;

	if (!p->enabled || !has_room(p, len))
		return false;
	if (p->set == 1)
		put_set1(p, set2, len);
	else
		for (size_t i = 0; i < len; i++)
			put(p, set2[i]);
	refill(k);
	return true;
}

void i8042_inject_mouse(struct i8042 *k, int dx, int dy, int dz, u8 buttons)
{
	struct ps2_port *p = &k->mouse;
	bool changed = dx || dy || dz || buttons != p->buttons;

	p->dx = (s16)limit(p->dx + limit(dx, -4096, 4096), -4096, 4096);
	p->dy = (s16)limit(p->dy + limit(dy, -4096, 4096), -4096, 4096);
	p->dz = (s16)limit(p->dz + limit(dz, -64, 64), -64, 64);
	p->buttons = buttons & 7;
	if (!changed || !p->enabled || (p->mode & (MOUSE_REMOTE | MOUSE_WRAP)))
		return;
	do {
		if (!has_room(p, 4))
			break;
		mouse_packet(p);
	} while (p->dx || p->dy);
	refill(k);
}

static void describe(struct i8042 *k, struct io_region *io, const char *name,
		     u64 (*read)(void *, u64, unsigned), void (*write)(void *, u64, u64, unsigned))
{
	*io = (struct io_region){
		.name = name,
		.base = io->base,
		.len = 1,
		.min = 1,
		.max = 1,
		.read = read,
		.write = write,
		.owner = k,
	};
}

static void i8042_init(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	describe(k, &k->io_data, "i8042-data", data_read, data_write);
	describe(k, &k->io_command, "i8042-command", status_read, command_write);
}

static void i8042_reset(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	k->status = k->command = k->data = 0;
	k->config = CONFIG_RESET;
	k->replies = k->reply_mouse = k->break_prefix = 0;
	memset(k->reply, 0, sizeof(k->reply));
	memset(k->ram, 0, sizeof(k->ram));
	memset(&k->keyboard, 0, sizeof(k->keyboard));
	memset(&k->mouse, 0, sizeof(k->mouse));
	keyboard_reset(&k->keyboard);
	mouse_reset(&k->mouse);
	set_output_port(k, OUT_RESET | OUT_A20);
	update_irqs(k);
}

static bool port_valid(const struct ps2_port *p)
{
	return p->head < PS2_QUEUE && p->count <= PS2_QUEUE && p->enabled <= 1 && p->buttons <= 7 &&
	       p->mode <= 7 && p->knock <= 4 && p->knock != 3 &&
	       limit(p->dx, -4096, 4096) == p->dx && limit(p->dy, -4096, 4096) == p->dy &&
	       limit(p->dz, -64, 64) == p->dz;
}

static bool i8042_post_load(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	if (k->status & ~(STATUS_OBF | STATUS_COMMAND | STATUS_MOUSE) || k->config & 0x80 ||
	    k->output_port & ~(OUT_RESET | OUT_A20) || k->replies > 2 || k->reply_mouse > 3 ||
	    k->break_prefix > 1 || !port_valid(&k->keyboard) || !port_valid(&k->mouse) ||
	    k->keyboard.set < 1 || k->keyboard.set > 2)
		return false;
	irq_set(&k->a20, k->output_port & OUT_A20);
	update_irqs(k);
	return true;
}

#define PS2_STATE(p)                                                                               \
	STATE_BYTES(struct i8042, p.queue), STATE_FIELD(struct i8042, p.head),                     \
		STATE_FIELD(struct i8042, p.count), STATE_FIELD(struct i8042, p.enabled),          \
		STATE_FIELD(struct i8042, p.command), STATE_FIELD(struct i8042, p.last),           \
		STATE_FIELD(struct i8042, p.rate), STATE_FIELD(struct i8042, p.leds),              \
		STATE_FIELD(struct i8042, p.set), STATE_FIELD(struct i8042, p.mode),               \
		STATE_FIELD(struct i8042, p.buttons), STATE_FIELD(struct i8042, p.knock),          \
		STATE_FIELD(struct i8042, p.dx), STATE_FIELD(struct i8042, p.dy),                  \
		STATE_FIELD(struct i8042, p.dz)

static const struct state_field i8042_state[] = {
	STATE_FIELD(struct i8042, status),
	STATE_FIELD(struct i8042, config),
	STATE_FIELD(struct i8042, output_port),
	STATE_FIELD(struct i8042, command),
	STATE_FIELD(struct i8042, data),
	STATE_ARRAY(struct i8042, reply, reply[0]),
	STATE_FIELD(struct i8042, reply_mouse),
	STATE_FIELD(struct i8042, replies),
	STATE_FIELD(struct i8042, break_prefix),
	STATE_BYTES(struct i8042, ram),
	PS2_STATE(keyboard),
	PS2_STATE(mouse),
	STATE_END,
};

const struct device_class i8042_class = {
	.name = "i8042",
	.size = sizeof(struct i8042),
	.state = i8042_state,
	.init = i8042_init,
	.reset = i8042_reset,
	.post_load = i8042_post_load,
};
