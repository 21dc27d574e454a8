/*
 * virtio network device: VIRTIO 1.1, "Network Device". One receive and one transmit queue, a MAC
 * address and the link's status; every frame that arrives is passed on. Left out: checksum and
 * segmentation offloads, mergeable buffers, the control queue and its filters, more queue pairs.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "devices/virtio_pci.h"

/* Ethernet with one VLAN tag, without the frame check sequence. */
#define VIRTIO_NET_FRAME_MIN 14
#define VIRTIO_NET_FRAME_MAX 1518

/* A network for one adapter; the host side implements it and must not block. */
struct host_net {
	/* Takes a frame, or drops it. */
	void (*send)(void *owner, const u8 *frame, size_t len);
	void *owner;
	/* Set by the chip: a frame for the guest. False: no room now, nothing was taken. */
	bool (*receive)(void *chip, const u8 *frame, size_t len);
	void *chip;
};

struct virtio_net {
	struct virtio_pci vpci;
	/* Wires, set before init. */
	struct host_net *net;
	u8 mac[6];

	u8 link_down;
	u64 dropped; /* frames of impossible form, either way */
};

/* Plugs the cable in or pulls it. */
void virtio_net_set_link(struct virtio_net *x, bool up);

extern const struct device_class virtio_net_class;

#endif
