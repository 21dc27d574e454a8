/*
 * virtio network device. See virtio_net.h.
 */
#include "base/bits.h"
#include "devices/virtio_net.h"

#define BUDGET 0x40000u
#define LINK_UP 1

enum net_queue { QUEUE_RECEIVE, QUEUE_TRANSMIT };

enum net_feature { NET_F_MAC = 5, NET_F_STATUS = 16 };

enum net_config { CFG_MAC = 0, CFG_STATUS = 6, CFG_LEN = 8 };

/* struct virtio_net_hdr: flags, gso_type, four u16, and num_buffers in the modern interface. */
#define HEADER_MAX 12

static unsigned header_len(const struct virtio *v)
{
	return virtio_has(v, VIRTIO_F_VERSION_1) ? HEADER_MAX : 10;
}

static struct virtio_net *net_of(struct virtio *v)
{
	return (struct virtio_net *)v->dev;
}

static u8 net_config_read(struct virtio *v, unsigned offset)
{
	struct virtio_net *x = net_of(v);

	if (offset < CFG_STATUS)
		return x->mac[offset];
	return offset == CFG_STATUS && !x->link_down ? LINK_UP : 0;
}

static bool frame_len_valid(u64 len)
{
	return len >= VIRTIO_NET_FRAME_MIN && len <= VIRTIO_NET_FRAME_MAX;
}

/* Offloads were not offered: a header that asks for one belongs to no frame. */
static u64 transmit(struct virtio *v, const struct virtio_chain *c, u32 *written)
{
	struct virtio_net *x = net_of(v);
	u8 buf[HEADER_MAX + VIRTIO_NET_FRAME_MAX];
	unsigned header = header_len(v);
	u64 len = c->out_bytes - header;

	*written = 0;
	if (c->out_bytes < header || !frame_len_valid(len) ||
	    virtio_chain_read(v, c, 0, buf, c->out_bytes) != c->out_bytes || buf[0] || buf[1]) {
		x->dropped++;
		return header;
	}
	if (!x->link_down)
		x->net->send(x->net->owner, buf + header, len);
	return c->out_bytes;
}

static void net_notify(struct virtio *v, unsigned q)
{
	if (q == QUEUE_TRANSMIT)
		virtio_serve(v, q, BUDGET, transmit);
}

/* A buffer too small for the frame is given back empty-handed: the frame is lost, not the buffer.
 */
static bool net_receive(void *chip, const u8 *frame, size_t len)
{
	struct virtio_net *x = chip;
	struct virtio *v = &x->vpci.vdev;
	struct virtio_chain c;
	unsigned header = header_len(v);
	u8 buf[HEADER_MAX + VIRTIO_NET_FRAME_MAX] = {0};

	if (!frame_len_valid(len) || x->link_down) {
		x->dropped++;
		return true;
	}
	if (!virtq_pop(v, QUEUE_RECEIVE, &c))
		return false;
	if (c.in_bytes < header + len) {
		virtq_unpop(v, QUEUE_RECEIVE);
		x->dropped++;
		return true;
	}
	if (header == HEADER_MAX)
		store_le16(buf + 10, 1); /* num_buffers */
	memcpy(buf + header, frame, len);
	len += header;
	if (virtio_chain_write(v, &c, 0, buf, len) != len)
		virtio_break(v, "a receive buffer outside RAM");
	virtq_push(v, QUEUE_RECEIVE, c.head, (u32)len);
	virtq_signal(v, QUEUE_RECEIVE);
	return true;
}

void virtio_net_set_link(struct virtio_net *x, bool up)
{
	if (x->link_down == !up)
		return;
	x->link_down = !up;
	if (virtio_has(&x->vpci.vdev, NET_F_STATUS))
		virtio_config_changed(&x->vpci.vdev);
}

static const struct virtio_type net_type = {
	.id = 1,
	.class_code = 0x020000,
	.config_len = CFG_LEN,
	.config_read = net_config_read,
	.notify = net_notify,
};

static void net_init(struct device *d)
{
	struct virtio_net *x = (struct virtio_net *)d;

	virtio_init(&x->vpci.vdev, &net_type, d, BIT(NET_F_MAC) | BIT(NET_F_STATUS));
	virtio_add_queue(&x->vpci.vdev, VIRTIO_QUEUE_MAX);
	virtio_add_queue(&x->vpci.vdev, VIRTIO_QUEUE_MAX);
	virtio_pci_init(&x->vpci);
	x->net->receive = net_receive;
	x->net->chip = x;
}

static void net_reset(struct device *d)
{
	virtio_pci_reset(&((struct virtio_net *)d)->vpci);
}

static bool net_post_load(struct device *d)
{
	struct virtio_net *x = (struct virtio_net *)d;

	return x->link_down <= 1 && virtio_pci_post_load(&x->vpci);
}

static const struct state_field net_state[] = {
	VIRTIO_PCI_STATE(struct virtio_net, vpci),
	STATE_FIELD(struct virtio_net, link_down),
	STATE_FIELD(struct virtio_net, dropped),
	STATE_END,
};

const struct device_class virtio_net_class = {
	.name = "virtio-net",
	.size = sizeof(struct virtio_net),
	.state = net_state,
	.init = net_init,
	.reset = net_reset,
	.post_load = net_post_load,
};
