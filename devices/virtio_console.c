/*
 * virtio console. See virtio_console.h.
 */
#include "base/bits.h"
#include "devices/virtio_console.h"

#define CHUNK 1024
#define WRITE_MAX 0x1000000u
#define BUDGET 0x40000u
#define CONTROL_SIZE 8
#define RECEIVE_MAX 0x1000u

enum console_queue { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_CONTROL_RECEIVE, QUEUE_CONTROL_TRANSMIT };

enum console_feature { CONSOLE_F_SIZE, CONSOLE_F_MULTIPORT, CONSOLE_F_EMERG_WRITE };

enum console_config { CFG_COLS = 0, CFG_ROWS = 2, CFG_PORTS = 4, CFG_EMERG = 8, CFG_LEN = 12 };

/* "Multiport Device Operation" */
enum console_event {
	EVENT_DEVICE_READY,
	EVENT_DEVICE_ADD,
	EVENT_DEVICE_REMOVE,
	EVENT_PORT_READY,
	EVENT_CONSOLE_PORT,
	EVENT_RESIZE,
	EVENT_PORT_OPEN,
	EVENT_PORT_NAME,
};
#define EVENTS_SENT                                                                                \
	(1u << EVENT_DEVICE_ADD | 1u << EVENT_CONSOLE_PORT | 1u << EVENT_RESIZE |                  \
	 1u << EVENT_PORT_OPEN)

static struct virtio_console *console_of(struct virtio *v)
{
	return (struct virtio_console *)v->dev;
}

static void to_host(struct virtio_console *x, const u8 *data, size_t len)
{
	if (x->chr->write)
		x->chr->write(x->chr->owner, data, len);
}

static u8 console_config_read(struct virtio *v, unsigned offset)
{
	struct virtio_console *x = console_of(v);
	u8 c[CFG_LEN] = {0};

	store_le16(c + CFG_COLS, x->cols);
	store_le16(c + CFG_ROWS, x->rows);
	store_le32(c + CFG_PORTS, 1);
	return c[offset];
}

static void console_config_write(struct virtio *v, unsigned offset, u8 value)
{
	if (offset == CFG_EMERG)
		to_host(console_of(v), &value, 1);
}

/* Guest to host */

static u64 transmit(struct virtio *v, const struct virtio_chain *c, u32 *written)
{
	u8 buf[CHUNK];
	u64 n;

	*written = 0;
	if (c->out_bytes > WRITE_MAX) {
		virtio_break(v, "a write of impossible size");
		return 0;
	}
	for (u64 at = 0; at < c->out_bytes; at += n) {
		n = virtio_chain_read(v, c, at, buf, CHUNK);
		to_host(console_of(v), buf, n);
		if (n == 0)
			break;
	}
	return c->out_bytes;
}

/* Host to guest */

static bool guest_listens(struct virtio_console *x)
{
	return !virtio_has(&x->vpci.vdev, CONSOLE_F_MULTIPORT) || x->open;
}

static size_t console_can_receive(void *chip)
{
	struct virtio_console *x = chip;
	struct virtio *v = &x->vpci.vdev;
	struct virtio_chain c;

	if (!guest_listens(x) || !virtq_pop(v, QUEUE_RECEIVE, &c))
		return 0;
	virtq_unpop(v, QUEUE_RECEIVE);
	return c.in_bytes == 0 ? 1 : c.in_bytes < RECEIVE_MAX ? c.in_bytes : RECEIVE_MAX;
}

static void console_receive(void *chip, const u8 *data, size_t len)
{
	struct virtio_console *x = chip;
	struct virtio *v = &x->vpci.vdev;
	struct virtio_chain c;
	bool any = false;

	while (len && guest_listens(x) && virtq_pop(v, QUEUE_RECEIVE, &c)) {
		u64 n = virtio_chain_write(v, &c, 0, data, len);

		virtq_push(v, QUEUE_RECEIVE, c.head, (u32)n);
		data += n, len -= n;
		any = true;
	}
	if (any)
		virtq_signal(v, QUEUE_RECEIVE);
}

/* Control messages */

static unsigned make_control(const struct virtio_console *x, unsigned event, u8 *le)
{
	memset(le, 0, CONTROL_SIZE + 4);
	store_le16(le + 4, event);
	store_le16(le + 6, 1);
	if (event != EVENT_RESIZE)
		return CONTROL_SIZE;
	store_le16(le + CONTROL_SIZE, x->cols);
	store_le16(le + CONTROL_SIZE + 2, x->rows);
	return CONTROL_SIZE + 4;
}

static void send_controls(struct virtio_console *x)
{
	struct virtio *v = &x->vpci.vdev;
	struct virtio_chain c;
	u8 le[CONTROL_SIZE + 4];
	bool any = false;

	for (unsigned event = 0; event < 8; event++) {
		u64 n;

		if (!(x->controls >> event & 1))
			continue;
		if (!virtq_pop(v, QUEUE_CONTROL_RECEIVE, &c))
			break;
		n = virtio_chain_write(v, &c, 0, le, make_control(x, event, le));
		virtq_push(v, QUEUE_CONTROL_RECEIVE, c.head, (u32)n);
		x->controls &= (u8) ~(1u << event);
		any = true;
	}
	if (any)
		virtq_signal(v, QUEUE_CONTROL_RECEIVE);
}

static void take_control(struct virtio_console *x, u32 port, unsigned event, unsigned value)
{
	if (event == EVENT_DEVICE_READY) {
		if (value)
			x->controls |= 1u << EVENT_DEVICE_ADD;
	} else if (port != 0) {
		LOG(x->vpci.pci.dev.env.log, guest_error, "%s: control of port %u",
		    x->vpci.pci.dev.id, port);
	} else if (event == EVENT_PORT_READY) {
		if (value)
			x->controls |= 1u << EVENT_CONSOLE_PORT | 1u << EVENT_PORT_OPEN |
				       (x->cols ? 1u << EVENT_RESIZE : 0);
	} else if (event == EVENT_PORT_OPEN) {
		x->open = value != 0;
	}
}

static u64 control(struct virtio *v, const struct virtio_chain *c, u32 *written)
{
	u8 le[CONTROL_SIZE];

	*written = 0;
	if (virtio_chain_read(v, c, 0, le, CONTROL_SIZE) == CONTROL_SIZE)
		take_control(console_of(v), load_le32(le), load_le16(le + 4), load_le16(le + 6));
	return CONTROL_SIZE;
}

static void console_notify(struct virtio *v, unsigned q)
{
	if (q == QUEUE_TRANSMIT)
		virtio_serve(v, q, BUDGET, transmit);
	if (q == QUEUE_CONTROL_TRANSMIT)
		virtio_serve(v, q, BUDGET, control);
	if (q >= QUEUE_CONTROL_RECEIVE)
		send_controls(console_of(v));
}

void virtio_console_resize(struct virtio_console *x, u16 cols, u16 rows)
{
	struct virtio *v = &x->vpci.vdev;

	x->cols = cols;
	x->rows = rows;
	if (virtio_has(v, CONSOLE_F_MULTIPORT)) {
		x->controls |= 1u << EVENT_RESIZE;
		send_controls(x);
	} else if (virtio_has(v, CONSOLE_F_SIZE)) {
		virtio_config_changed(v);
	}
}

static void console_virtio_reset(struct virtio *v)
{
	struct virtio_console *x = console_of(v);

	x->open = 0;
	x->controls = 0;
}

static const struct virtio_type console_type = {
	.id = 3,
	.class_code = 0x078000,
	.config_len = CFG_LEN,
	.config_read = console_config_read,
	.config_write = console_config_write,
	.notify = console_notify,
	.reset = console_virtio_reset,
};

static void console_init(struct device *d)
{
	struct virtio_console *x = (struct virtio_console *)d;
	struct virtio *v = &x->vpci.vdev;
	u64 features = BIT(CONSOLE_F_SIZE) | BIT(CONSOLE_F_EMERG_WRITE);

	virtio_init(v, &console_type, d, features | (x->multiport ? BIT(CONSOLE_F_MULTIPORT) : 0));
	for (unsigned q = 0; q < (x->multiport ? 4 : 2); q++)
		virtio_add_queue(v, q < 2 ? 128 : 32);
	virtio_pci_init(&x->vpci);
	x->chr->receive = console_receive;
	x->chr->can_receive = console_can_receive;
	x->chr->chip = x;
}

static void console_reset(struct device *d)
{
	struct virtio_console *x = (struct virtio_console *)d;

	virtio_pci_reset(&x->vpci);
}

static bool console_post_load(struct device *d)
{
	struct virtio_console *x = (struct virtio_console *)d;

	return x->open <= 1 && !(x->controls & ~EVENTS_SENT) && virtio_pci_post_load(&x->vpci);
}

static const struct state_field console_state[] = {
	VIRTIO_PCI_STATE(struct virtio_console, vpci), STATE_FIELD(struct virtio_console, cols),
	STATE_FIELD(struct virtio_console, rows),      STATE_FIELD(struct virtio_console, open),
	STATE_FIELD(struct virtio_console, controls),  STATE_END,
};

const struct device_class virtio_console_class = {
	.name = "virtio-console",
	.size = sizeof(struct virtio_console),
	.state = console_state,
	.init = console_init,
	.reset = console_reset,
	.post_load = console_post_load,
};
