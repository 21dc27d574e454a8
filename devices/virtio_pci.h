/*
 * virtio over PCI: VIRTIO 1.1, "Virtio Over PCI Bus". Transitional devices (legacy registers in I/O
 * BAR 0) with the modern capabilities (common, notify, ISR, device, PCI configuration access) in
 * memory BAR 4 and MSI-X in BAR 1; or modern devices only. Left out: MSI without -X (the interface
 * has none), shared memory regions.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "devices/pci.h"
#include "devices/virtio.h"

struct virtio_pci {
	struct pci_device pci;
	bool modern_only; /* set before init: no legacy interface, device ID 1040h+ */
	struct virtio vdev;
	u8 cfg_cap; /* place of the PCI configuration access capability */
};

#define VIRTIO_PCI_STATE(type, m) PCI_STATE(type, m.pci), VIRTIO_STATE(type, m.vdev)

/* For a device's init, after virtio_init and virtio_add_queue on vdev. */
void virtio_pci_init(struct virtio_pci *x);
void virtio_pci_reset(struct virtio_pci *x);
bool virtio_pci_post_load(struct virtio_pci *x);

#endif
