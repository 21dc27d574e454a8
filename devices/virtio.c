/*
 * virtio device status, features and split virtqueues. See virtio.h.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/bits.h"
#include "devices/virtio.h"

#define DESC_SIZE 16
#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
#define AVAIL_NO_INTERRUPT 1
#define ISR_QUEUE 1
#define ISR_CONFIG 2
#define STATUS_BITS                                                                                \
	(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK |              \
	 VIRTIO_NEEDS_RESET | VIRTIO_FAILED)

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

/* Status and features */

static void serve_more(void *owner, u64 now)
{
	struct virtio *v = owner;
	u8 left = v->left;

	(void)now;
	v->left = 0;
	for (unsigned q = 0; q < v->queues; q++)
		if ((left >> q & 1) && virtio_live(v) && v->q_enabled[q])
			v->type->notify(v, q);
}

void virtio_init(struct virtio *v, const struct virtio_type *type, struct device *dev, u64 features)
{
	v->type = type;
	v->dev = dev;
	v->offered = features | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_INDIRECT_DESC) |
		     BIT(VIRTIO_F_EVENT_IDX);
	v->queues = 0;
	timer_init(&v->more, serve_more, v);
}

unsigned virtio_add_queue(struct virtio *v, u16 max)
{
	assert(v->queues < VIRTIO_QUEUES && max <= VIRTIO_QUEUE_MAX && !(max & (max - 1)));
	v->queue_max[v->queues] = max;
	return v->queues++;
}

bool virtio_has(const struct virtio *v, unsigned feature)
{
	return (v->features & v->offered) >> feature & 1;
}

/* Drivers of the legacy interface use their queues before they set DRIVER_OK. */
bool virtio_live(const struct virtio *v)
{
	u8 need = VIRTIO_DRIVER;

	if (v->status & VIRTIO_NEEDS_RESET)
		return false;
	if (virtio_has(v, VIRTIO_F_VERSION_1))
		need = VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK;
	return (v->status & need) == need;
}

static void reset_queue(struct virtio *v, unsigned q)
{
	v->q_size[q] = q < v->queues ? v->queue_max[q] : 0;
	v->q_vector[q] = VIRTIO_NO_VECTOR;
	v->q_enabled[q] = 0;
	v->q_desc[q] = v->q_avail[q] = v->q_used[q] = 0;
	v->q_next_avail[q] = v->q_next_used[q] = v->q_signalled[q] = 0;
	v->q_signalled_valid[q] = 0;
}

void virtio_reset(struct virtio *v)
{
	v->features = 0;
	v->status = v->isr = v->generation = 0;
	v->offered_select = v->features_select = 0;
	v->queue_select = 0;
	v->config_vector = VIRTIO_NO_VECTOR;
	v->left = 0;
	timer_cancel(v->dev->env.clock, &v->more);
	for (unsigned q = 0; q < VIRTIO_QUEUES; q++)
		reset_queue(v, q);
	if (v->type->reset)
		v->type->reset(v);
}

void virtio_set_features(struct virtio *v, u64 features)
{
	if (v->status & VIRTIO_FEATURES_OK)
		LOG(v->dev->env.log, guest_error, "%s: features written after FEATURES_OK",
		    v->dev->id);
	else
		v->features = features;
}

static bool features_acceptable(const struct virtio *v)
{
	return !(v->features & ~v->offered) && (v->features & BIT(VIRTIO_F_VERSION_1));
}

void virtio_set_status(struct virtio *v, u8 status)
{
	u8 old = v->status;

	if (status == 0) {
		virtio_reset(v);
		return;
	}
	if ((status & ~old & VIRTIO_FEATURES_OK) && !features_acceptable(v))
		status &= (u8)~VIRTIO_FEATURES_OK;
	v->status = (status & STATUS_BITS & (u8)~VIRTIO_NEEDS_RESET) | (old & VIRTIO_NEEDS_RESET);
	if (v->status != old && v->type->status_changed)
		v->type->status_changed(v);
}

void virtio_config_changed(struct virtio *v)
{
	v->generation++;
	if (!(v->status & VIRTIO_DRIVER_OK))
		return;
	v->isr |= ISR_CONFIG;
	v->raise(v->owner, -1);
}

void virtio_break(struct virtio *v, const char *why)
{
	LOG(v->dev->env.log, guest_error, "%s: %s; needs reset", v->dev->id, why);
	if (v->status & VIRTIO_NEEDS_RESET)
		return;
	v->status |= VIRTIO_NEEDS_RESET;
	virtio_config_changed(v);
}

void virtio_queue_notify(struct virtio *v, unsigned q)
{
	if (q < v->queues && virtio_live(v) && v->q_enabled[q])
		v->type->notify(v, q);
	else
		LOG(v->dev->env.log, guest_error, "%s: notification of queue %u, not in use",
		    v->dev->id, q);
}

static bool queue_valid(const struct virtio *v, unsigned q)
{
	u16 size = v->q_size[q];

	if (q >= v->queues)
		return size == 0 && !v->q_enabled[q];
	return v->q_enabled[q] <= 1 && v->q_signalled_valid[q] <= 1 && size <= v->queue_max[q] &&
	       !(size & (size - 1)) && (size || !v->q_enabled[q]);
}

bool virtio_post_load(struct virtio *v)
{
	for (unsigned q = 0; q < VIRTIO_QUEUES; q++)
		if (!queue_valid(v, q))
			return false;
	if ((v->status & ~STATUS_BITS) || (v->isr & ~(ISR_QUEUE | ISR_CONFIG)) ||
	    v->left >> v->queues)
		return false;
	timer_cancel(v->dev->env.clock, &v->more);
	if (v->left)
		timer_set(v->dev->env.clock, &v->more, clock_now(v->dev->env.clock));
	return true;
}

/* Rings */

static bool read_ring(struct virtio *v, u64 addr, void *buf, u64 len)
{
	if (v->dma_read(v->owner, addr, buf, len))
		return true;
	virtio_break(v, "a ring lies outside RAM");
	return false;
}

static bool read16(struct virtio *v, u64 addr, u16 *value)
{
	u8 le[2];

	if (!read_ring(v, addr, le, 2))
		return false;
	*value = load_le16(le);
	return true;
}

static void write_ring(struct virtio *v, u64 addr, const void *buf, u64 len)
{
	if (!v->dma_write(v->owner, addr, buf, len))
		virtio_break(v, "a used ring lies outside RAM");
}

static bool read_desc(struct virtio *v, u64 table, unsigned i, struct desc *d)
{
	u8 le[DESC_SIZE];

	if (!read_ring(v, table + (u64)i * DESC_SIZE, le, DESC_SIZE))
		return false;
	d->addr = load_le64(le);
	d->len = load_le32(le + 8);
	d->flags = load_le16(le + 12);
	d->next = load_le16(le + 14);
	return true;
}

/* False, with the device broken, if the buffer cannot be part of the chain. */
static bool add_buffer(struct virtio *v, struct virtio_chain *c, const struct desc *d)
{
	bool in = d->flags & DESC_WRITE;
	unsigned n = c->outs + c->ins;
	const char *why = n == VIRTIO_CHAIN_MAX	       ? "a chain is too long"
			  : !in && c->ins	       ? "readable behind writable buffers"
			  : d->addr + d->len < d->addr ? "a buffer wraps around"
						       : NULL;

	if (why) {
		virtio_break(v, why);
		return false;
	}
	c->buf[n] = (struct virtio_buf){d->addr, d->len};
	*(in ? &c->ins : &c->outs) += 1;
	*(in ? &c->in_bytes : &c->out_bytes) += d->len;
	return true;
}

/* Follows one table of `size` descriptors from entry i. `nested` is set inside an indirect table.
 * On an indirect descriptor *indirect is filled and the walk ends: nothing may follow it. */
static bool walk(struct virtio *v, struct virtio_chain *c, u64 table, unsigned size, unsigned i,
		 bool nested, struct desc *indirect)
{
	struct desc d;

	for (unsigned steps = 0; steps < size; steps++) {
		if (i >= size) {
			virtio_break(v, "a descriptor index is beyond its table");
			return false;
		}
		if (!read_desc(v, table, i, &d))
			return false;
		if (d.flags & DESC_INDIRECT) {
			if (nested || (d.flags & DESC_NEXT) ||
			    !virtio_has(v, VIRTIO_F_INDIRECT_DESC)) {
				virtio_break(v, "an indirect descriptor where none may be");
				return false;
			}
			*indirect = d;
			return true;
		}
		if (!add_buffer(v, c, &d))
			return false;
		if (!(d.flags & DESC_NEXT))
			return true;
		i = d.next;
	}
	virtio_break(v, "a descriptor chain loops");
	return false;
}

static bool copy_chain(struct virtio *v, unsigned q, struct virtio_chain *c)
{
	struct desc indirect = {0, 0, 0, 0};
	u32 entries;

	c->outs = c->ins = 0;
	c->out_bytes = c->in_bytes = 0;
	if (!walk(v, c, v->q_desc[q], v->q_size[q], c->head, false, &indirect))
		return false;
	if (!(indirect.flags & DESC_INDIRECT))
		return true;
	entries = indirect.len / DESC_SIZE;
	if (indirect.len % DESC_SIZE || entries == 0 || entries > 0x10000 ||
	    indirect.addr + indirect.len < indirect.addr) {
		virtio_break(v, "an indirect table of impossible size");
		return false;
	}
	return walk(v, c, indirect.addr, entries, 0, true, NULL);
}

static bool queue_usable(const struct virtio *v, unsigned q)
{
	return q < v->queues && virtio_live(v) && v->q_enabled[q] && v->q_size[q];
}

/* How many chains wait; 0 also if the ring broke. */
static unsigned waiting(struct virtio *v, unsigned q)
{
	u16 index, n;

	if (!queue_usable(v, q) || !read16(v, v->q_avail[q] + 2, &index))
		return 0;
	n = (u16)(index - v->q_next_avail[q]);
	if (n > v->q_size[q]) {
		virtio_break(v, "the available index jumped");
		return 0;
	}
	return n;
}

/* With event indices the driver is asked to notify for the next chain only when none is left. */
static void ask_notification(struct virtio *v, unsigned q)
{
	u8 le[2];

	if (!queue_usable(v, q) || !virtio_has(v, VIRTIO_F_EVENT_IDX))
		return;
	store_le16(le, v->q_next_avail[q]);
	write_ring(v, v->q_used[q] + 4 + 8ull * v->q_size[q], le, 2);
}

bool virtq_pending(struct virtio *v, unsigned q)
{
	return waiting(v, q) != 0;
}

bool virtq_pop(struct virtio *v, unsigned q, struct virtio_chain *c)
{
	u64 slot;

	if (waiting(v, q) == 0) {
		ask_notification(v, q);
		return false;
	}
	slot = v->q_next_avail[q] & (v->q_size[q] - 1u);
	if (!read16(v, v->q_avail[q] + 4 + 2 * slot, &c->head))
		return false;
	v->q_next_avail[q]++;
	return copy_chain(v, q, c);
}

void virtq_unpop(struct virtio *v, unsigned q)
{
	v->q_next_avail[q]--;
}

void virtq_push(struct virtio *v, unsigned q, u16 head, u32 written)
{
	u64 slot = v->q_next_used[q] & (v->q_size[q] - 1u);
	u8 le[8];

	if (!queue_usable(v, q))
		return;
	store_le32(le, head);
	store_le32(le + 4, written);
	write_ring(v, v->q_used[q] + 4 + 8 * slot, le, 8);
	store_le16(le, ++v->q_next_used[q]);
	write_ring(v, v->q_used[q] + 2, le, 2);
}

/* "Used Buffer Notification Suppression" */
static bool wants_interrupt(struct virtio *v, unsigned q)
{
	u16 now = v->q_next_used[q], old = v->q_signalled[q], value;
	bool known = v->q_signalled_valid[q];

	if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
		return read16(v, v->q_avail[q], &value) && !(value & AVAIL_NO_INTERRUPT);
	if (!read16(v, v->q_avail[q] + 4 + 2ull * v->q_size[q], &value))
		return false;
	v->q_signalled[q] = now;
	v->q_signalled_valid[q] = 1;
	return !known || (u16)(now - value - 1) < (u16)(now - old);
}

void virtq_signal(struct virtio *v, unsigned q)
{
	if (queue_usable(v, q) && wants_interrupt(v, q))
		v->raise(v->owner, (int)q);
}

void virtio_serve(struct virtio *v, unsigned q, u64 budget,
		  u64 (*serve)(struct virtio *v, const struct virtio_chain *c, u32 *written))
{
	struct clock *clock = v->dev->env.clock;
	struct virtio_chain c;
	bool any = false;

	for (u64 cost, spent = 0; spent < budget && virtq_pop(v, q, &c); spent += cost) {
		u32 written = 0;

		cost = 1 + serve(v, &c, &written);
		virtq_push(v, q, c.head, written);
		any = true;
	}
	if (any)
		virtq_signal(v, q);
	if (!virtq_pending(v, q))
		return;
	v->left |= (u8)(1u << q);
	timer_set(clock, &v->more, clock_now(clock));
}

/* Data */

struct span {
	const struct virtio_buf *buf;
	unsigned count;
};

/* Host address range by range: copies in one direction until len, the buffers or RAM end. */
static u64 copy(struct virtio *v, struct span s, u64 offset, u8 *in, const u8 *out, u64 len)
{
	u64 done = 0;

	for (unsigned i = 0; i < s.count && done < len; i++) {
		u64 have = s.buf[i].len, n;

		if (offset >= have) {
			offset -= have;
			continue;
		}
		n = have - offset < len - done ? have - offset : len - done;
		if (in ? !v->dma_read(v->owner, s.buf[i].addr + offset, in + done, n)
		       : !v->dma_write(v->owner, s.buf[i].addr + offset, out + done, n))
			break;
		done += n;
		offset = 0;
	}
	return done;
}

u64 virtio_chain_read(struct virtio *v, const struct virtio_chain *c, u64 offset, void *buf,
		      u64 len)
{
	return copy(v, (struct span){c->buf, c->outs}, offset, buf, NULL, len);
}

u64 virtio_chain_write(struct virtio *v, const struct virtio_chain *c, u64 offset, const void *buf,
		       u64 len)
{
	return copy(v, (struct span){c->buf + c->outs, c->ins}, offset, NULL, buf, len);
}
