/*
 * virtio core, without a bus: feature negotiation, device status and split virtqueues. Virtual I/O
 * Device (VIRTIO) Version 1.1, "Basic Facilities of a Virtio Device", "Split Virtqueues"
 * and the legacy interface of both. Left out: packed rings, in-order, ring reset.
 *
 * Descriptors are copied in once and checked before use. A ring that makes no sense breaks the
 * device (DEVICE_NEEDS_RESET): it then ignores its queues until the driver resets it.
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include "devices/device.h"

#define VIRTIO_QUEUES 8
#define VIRTIO_QUEUE_MAX 256 /* entries */
#define VIRTIO_CHAIN_MAX 256 /* descriptors in a chain, indirect ones included */
#define VIRTIO_NO_VECTOR 0xffff

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

enum virtio_feature {
	VIRTIO_F_ANY_LAYOUT = 27,
	VIRTIO_F_INDIRECT_DESC = 28,
	VIRTIO_F_EVENT_IDX = 29,
	VIRTIO_F_VERSION_1 = 32,
};

struct virtio;

struct virtio_type {
	u16 id;		/* virtio device ID: 1 net, 2 block, 3 console, 4 entropy */
	u32 class_code; /* of the PCI function */
	unsigned config_len;
	/* Device configuration, byte by byte; offset < config_len. write may be NULL. */
	u8 (*config_read)(struct virtio *v, unsigned offset);
	void (*config_write)(struct virtio *v, unsigned offset, u8 value);
	/* The driver has put buffers on queue q. */
	void (*notify)(struct virtio *v, unsigned q);
	void (*reset)(struct virtio *v); /* may be NULL */
	/* Status was written and has changed, e.g. DRIVER_OK appeared; may be NULL. */
	void (*status_changed)(struct virtio *v);
};

struct virtio {
	const struct virtio_type *type;
	struct device *dev; /* for env and id */
	/* Wires, set by the transport. raise: queue q used buffers, or q < 0: the configuration
	 * changed. */
	void (*raise)(void *owner, int q);
	bool (*dma_read)(void *owner, u64 addr, void *buf, u64 len);
	bool (*dma_write)(void *owner, u64 addr, const void *buf, u64 len);
	void *owner;

	u64 offered; /* feature bits of the device */
	unsigned queues;
	u16 queue_max[VIRTIO_QUEUES];

	u64 features; /* as the driver wrote them */
	u8 status, isr, generation;
	u32 offered_select, features_select;
	u16 queue_select;
	u16 config_vector;
	u16 q_size[VIRTIO_QUEUES], q_vector[VIRTIO_QUEUES];
	u8 q_enabled[VIRTIO_QUEUES];
	u64 q_desc[VIRTIO_QUEUES], q_avail[VIRTIO_QUEUES], q_used[VIRTIO_QUEUES];
	u16 q_next_avail[VIRTIO_QUEUES]; /* next avail entry to take */
	u16 q_next_used[VIRTIO_QUEUES];
	u16 q_signalled[VIRTIO_QUEUES]; /* used index at the last look at used_event */
	u8 q_signalled_valid[VIRTIO_QUEUES];
	u8 left; /* bit per queue: virtio_serve stopped at its budget, the timer goes on */
	struct timer more;
};

#define VIRTIO_STATE(type, m)                                                                      \
	STATE_FIELD(type, m.features), STATE_FIELD(type, m.status), STATE_FIELD(type, m.isr),      \
		STATE_FIELD(type, m.generation), STATE_FIELD(type, m.offered_select),              \
		STATE_FIELD(type, m.features_select), STATE_FIELD(type, m.queue_select),           \
		STATE_FIELD(type, m.config_vector), STATE_ARRAY(type, m.q_size, m.q_size[0]),      \
		STATE_ARRAY(type, m.q_vector, m.q_vector[0]),                                      \
		STATE_ARRAY(type, m.q_enabled, m.q_enabled[0]),                                    \
		STATE_ARRAY(type, m.q_desc, m.q_desc[0]),                                          \
		STATE_ARRAY(type, m.q_avail, m.q_avail[0]),                                        \
		STATE_ARRAY(type, m.q_used, m.q_used[0]),                                          \
		STATE_ARRAY(type, m.q_next_avail, m.q_next_avail[0]),                              \
		STATE_ARRAY(type, m.q_next_used, m.q_next_used[0]),                                \
		STATE_ARRAY(type, m.q_signalled, m.q_signalled[0]),                                \
		STATE_ARRAY(type, m.q_signalled_valid, m.q_signalled_valid[0]),                    \
		STATE_FIELD(type, m.left)

struct virtio_buf {
	u64 addr;
	u32 len;
};

/* A descriptor chain, copied in: first `outs` buffers that the device reads, then `ins` that it
 * writes. */
struct virtio_chain {
	u16 head;
	unsigned outs, ins;
	u64 out_bytes, in_bytes;
	struct virtio_buf buf[VIRTIO_CHAIN_MAX];
};

void virtio_init(struct virtio *v, const struct virtio_type *type, struct device *dev,
		 u64 features);
unsigned virtio_add_queue(struct virtio *v, u16 max); /* returns its number */
void virtio_reset(struct virtio *v);
bool virtio_post_load(struct virtio *v);

bool virtio_has(const struct virtio *v, unsigned feature);
/* The driver has finished its initialization and the device is not broken. */
bool virtio_live(const struct virtio *v);
void virtio_set_status(struct virtio *v, u8 status);
void virtio_set_features(struct virtio *v, u64 features);
void virtio_queue_notify(struct virtio *v, unsigned q);
void virtio_config_changed(struct virtio *v);
/* The driver did something that no driver may: needs reset. */
void virtio_break(struct virtio *v, const char *why);

/* Takes the next chain. False if there is none, the queue is not usable, or the ring just broke. */
bool virtq_pop(struct virtio *v, unsigned q, struct virtio_chain *c);
bool virtq_pending(struct virtio *v, unsigned q);
/* Takes back the last virtq_pop, which then was only a look. */
void virtq_unpop(struct virtio *v, unsigned q);
/* Gives a chain back with `written` bytes in its writable part, and interrupts if asked for. */
void virtq_push(struct virtio *v, unsigned q, u16 head, u32 written);
void virtq_signal(struct virtio *v, unsigned q);
/* Serves the chains of queue q, each by `serve`, which sets *written and returns what the work
 * cost. Once the budget is spent the rest waits for a timer, which then calls the type's notify. */
void virtio_serve(struct virtio *v, unsigned q, u64 budget,
		  u64 (*serve)(struct virtio *v, const struct virtio_chain *c, u32 *written));
/* Copies between the chain's readable/writable part, from byte offset on, and buf. Returns the
 * bytes copied: less than len at the end of the chain or outside RAM. */
u64 virtio_chain_read(struct virtio *v, const struct virtio_chain *c, u64 offset, void *buf,
		      u64 len);
u64 virtio_chain_write(struct virtio *v, const struct virtio_chain *c, u64 offset, const void *buf,
		       u64 len);

#endif
