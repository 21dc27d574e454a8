/*
 * virtio console: VIRTIO 1.1, "Console Device". One port over a host_chardev, the size of the
 * terminal, emergency write, and the multiport control protocol for that one port. Left out:
 * further ports.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "devices/host.h"
#include "devices/virtio_pci.h"

struct virtio_console {
	struct virtio_pci vpci;
	/* Wires, set before init. */
	struct host_chardev *chr;
	bool multiport; /* offer the control queues */

	u16 cols, rows;
	u8 open;     /* multiport: the guest has port 0 open */
	u8 controls; /* bit per control event that waits for a buffer */
};

/* Tells the guest of a new terminal size. */
void virtio_console_resize(struct virtio_console *c, u16 cols, u16 rows);

extern const struct device_class virtio_console_class;

#endif
