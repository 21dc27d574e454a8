/*
 * virtio entropy device: VIRTIO 1.1, "Entropy Device".
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/host.h"
#include "devices/virtio_pci.h"

struct virtio_rng {
	struct virtio_pci vpci;
	struct host_entropy *entropy; /* wire, set before init */
};

extern const struct device_class virtio_rng_class;

#endif
