/*
 * virtio entropy device. See virtio_rng.h.
 */
#include "base/bits.h"
#include "devices/virtio_rng.h"

#define CHUNK 256
/* A request may be answered with less than it has room for. */
#define REQUEST_MAX 0x4000u
#define BUDGET 0x10000u

static u64 rng_serve(struct virtio *v, const struct virtio_chain *c, u32 *written)
{
	struct host_entropy *e = ((struct virtio_rng *)v->dev)->entropy;
	u64 want = c->in_bytes < REQUEST_MAX ? c->in_bytes : REQUEST_MAX;
	u8 buf[CHUNK];

	while (*written < want) {
		u64 n = want - *written < CHUNK ? want - *written : CHUNK;

		e->fill(e->owner, buf, n);
		if (virtio_chain_write(v, c, *written, buf, n) != n) {
			virtio_break(v, "a buffer outside RAM");
			break;
		}
		*written += (u32)n;
	}
	return *written;
}

static void rng_notify(struct virtio *v, unsigned q)
{
	virtio_serve(v, q, BUDGET, rng_serve);
}

static const struct virtio_type rng_type = {
	.id = 4,
	.class_code = 0x00ff00,
	.notify = rng_notify,
};

static void rng_init(struct device *d)
{
	struct virtio_rng *x = (struct virtio_rng *)d;

	virtio_init(&x->vpci.vdev, &rng_type, d, 0);
	virtio_add_queue(&x->vpci.vdev, 64);
	virtio_pci_init(&x->vpci);
}

static void rng_reset(struct device *d)
{
	virtio_pci_reset(&((struct virtio_rng *)d)->vpci);
}

static bool rng_post_load(struct device *d)
{
	return virtio_pci_post_load(&((struct virtio_rng *)d)->vpci);
}

static const struct state_field rng_state[] = {
	VIRTIO_PCI_STATE(struct virtio_rng, vpci),
	STATE_END,
};

const struct device_class virtio_rng_class = {
	.name = "virtio-rng",
	.size = sizeof(struct virtio_rng),
	.state = rng_state,
	.init = rng_init,
	.reset = rng_reset,
	.post_load = rng_post_load,
};
