/*
 * A driver for the tests of virtio devices: finds the structures by their capabilities, negotiates,
 * sets up small queues and puts descriptors into them. See test_virtio_driver.c.
 */
#ifndef TESTS_UNIT_TEST_VIRTIO_H
#define TESTS_UNIT_TEST_VIRTIO_H

#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_rng.h"
#include "tests/unit/test_pci_board.h"

#define DEVFN PCI_DEVFN(4, 0)
#define QSIZE 8
#define RING(q)                                                                                    \
	(0x10000ull +                                                                              \
	 0x4000ull * (q)) /* descriptors, then avail at 1000h, used at 2000h          \
					*/
#define AVAIL(q) (RING(q) + 0x1000)
#define USED(q) (RING(q) + 0x2000)
#define HEADER 0x80000ull
#define STATUS 0x80020ull
#define DATA 0x100000ull
#define TABLE 0x90000ull

#define NEXT 1
#define WRITE 2
#define INDIRECT 4

#define VERSION_1 BIT(VIRTIO_F_VERSION_1)
#define EVENT_IDX BIT(VIRTIO_F_EVENT_IDX)
#define INDIRECT_DESC BIT(VIRTIO_F_INDIRECT_DESC)

struct drv {
	struct board *b;
	struct virtio_pci *x;
	struct virtio_blk *blk;
	struct virtio_console *con;
	struct virtio_rng *rng;
	struct virtio_net *netdev;
	u64 common, isr, config, notify;
	u64 legacy;
	u16 avail[4], used[4];
	struct host_chardev chr;
	u8 out[4096];
	size_t outs;
	struct host_entropy entropy;
	struct host_net net;
};

u64 vt_rd(struct drv *d, u64 addr, unsigned size);
void vt_wr(struct drv *d, u64 addr, u64 value, unsigned size);
void vt_plug(struct drv *d, const struct device_class *cls, bool modern_only);
void vt_free(struct drv *d);
u8 vt_status(struct drv *d);
void vt_negotiate(struct drv *d, u64 features);
void vt_setup_queue(struct drv *d, unsigned q);
void vt_clear_rings(struct drv *d);
void vt_start(struct drv *d, u64 features);
void vt_put_desc(struct drv *d, u64 table, unsigned i, u64 addr, u32 len, u16 flags, u16 next);
void vt_offer(struct drv *d, unsigned q, u16 head);
void vt_kick(struct drv *d, unsigned q);
s64 vt_reap(struct drv *d, unsigned q, u16 head);
int vt_request(struct drv *d, u32 type, u64 sector, u32 len, bool in);

/* The tests of single devices, in test_virtio_devices.c. */
void virtio_add_device_tests(TCase *t);

#endif
