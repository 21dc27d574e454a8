/*
 * virtio block device. See virtio_blk.h.
 */
#include "base/bits.h"
#include "devices/virtio_blk.h"

#define SECTOR 512
#define HEADER_SIZE 16
#define ID_SIZE 20
#define SEGMENT_SIZE 16
/* Limits told to the driver, and the one that is kept whatever it does. */
#define SEG_MAX (VIRTIO_QUEUE_MAX - 2)
#define SIZE_MAX_BYTES 0x100000u
#define REQUEST_MAX 0x40000000u
#define DISCARD_SECTORS 0x400000u
#define DISCARD_SEGMENTS 16
#define ZEROES_SECTORS 0x8000u
#define ZEROES_SEGMENTS 1
/* Bytes moved per notification before the guest runs on. */
#define BUDGET 0x800000u

enum blk_feature {
	BLK_F_SIZE_MAX = 1,
	BLK_F_SEG_MAX = 2,
	BLK_F_RO = 5,
	BLK_F_BLK_SIZE = 6,
	BLK_F_FLUSH = 9,
	BLK_F_CONFIG_WCE = 11,
	BLK_F_DISCARD = 13,
	BLK_F_WRITE_ZEROES = 14,
};

enum blk_request {
	BLK_IN = 0,
	BLK_OUT = 1,
	BLK_FLUSH = 4,
	BLK_GET_ID = 8,
	BLK_DISCARD = 11,
	BLK_WRITE_ZEROES = 13,
};

enum blk_status { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2 };

/* "Device configuration layout" */
enum blk_config {
	CFG_CAPACITY = 0,
	CFG_SIZE_MAX = 8,
	CFG_SEG_MAX = 12,
	CFG_BLK_SIZE = 20,
	CFG_WRITEBACK = 32,
	CFG_NUM_QUEUES = 34,
	CFG_MAX_DISCARD_SECTORS = 36,
	CFG_MAX_DISCARD_SEG = 40,
	CFG_DISCARD_ALIGNMENT = 44,
	CFG_MAX_ZEROES_SECTORS = 48,
	CFG_MAX_ZEROES_SEG = 52,
	CFG_ZEROES_MAY_UNMAP = 56,
	CFG_LEN = 60,
};

/* A request's data: where in the chain, where on the disk. */
struct transfer {
	const struct virtio_chain *chain;
	u64 at, len, offset;
};

static struct virtio_blk *blk_of(struct virtio *v)
{
	return (struct virtio_blk *)v->dev;
}

static u8 blk_config_read(struct virtio *v, unsigned offset)
{
	struct virtio_blk *x = blk_of(v);
	u8 c[CFG_LEN] = {0};

	store_le64(c + CFG_CAPACITY, x->block->size / SECTOR);
	store_le32(c + CFG_SIZE_MAX, SIZE_MAX_BYTES);
	store_le32(c + CFG_SEG_MAX, SEG_MAX);
	store_le32(c + CFG_BLK_SIZE, SECTOR);
	c[CFG_WRITEBACK] = x->writeback;
	store_le16(c + CFG_NUM_QUEUES, 1);
	store_le32(c + CFG_MAX_DISCARD_SECTORS, DISCARD_SECTORS);
	store_le32(c + CFG_MAX_DISCARD_SEG, DISCARD_SEGMENTS);
	store_le32(c + CFG_DISCARD_ALIGNMENT, 1);
	store_le32(c + CFG_MAX_ZEROES_SECTORS, ZEROES_SECTORS);
	store_le32(c + CFG_MAX_ZEROES_SEG, ZEROES_SEGMENTS);
	return c[offset];
}

/* Going to write-through makes what is cached durable first. */
static void blk_config_write(struct virtio *v, unsigned offset, u8 value)
{
	struct virtio_blk *x = blk_of(v);

	if (offset != CFG_WRITEBACK || !virtio_has(v, BLK_F_CONFIG_WCE))
		return;
	x->writeback = value & 1;
	if (!x->writeback)
		x->block->flush(x->block->owner);
}

/* "Device Operation": without flushes or by configuration the cache is write-through. */
static bool write_through(struct virtio_blk *x)
{
	struct virtio *v = &x->vpci.vdev;

	return virtio_has(v, BLK_F_CONFIG_WCE) ? !x->writeback : !virtio_has(v, BLK_F_FLUSH);
}

static bool range_valid(const struct virtio_blk *x, u64 sector, u64 sectors)
{
	u64 capacity = x->block->size / SECTOR;

	return sector <= capacity && sectors <= capacity - sector;
}

static u8 blk_in(struct virtio_blk *x, struct transfer t)
{
	struct host_block *b = x->block;

	while (t.len) {
		u64 n = t.len < sizeof(x->buffer) ? t.len : sizeof(x->buffer);

		if (b->read(b->owner, t.offset, x->buffer, n) < 0)
			return BLK_IOERR;
		if (virtio_chain_write(&x->vpci.vdev, t.chain, t.at, x->buffer, n) != n)
			return BLK_IOERR;
		t.at += n, t.offset += n, t.len -= n;
	}
	return BLK_OK;
}

static u8 blk_flush(struct virtio_blk *x)
{
	return x->block->flush(x->block->owner) < 0 ? BLK_IOERR : BLK_OK;
}

static u8 blk_out(struct virtio_blk *x, struct transfer t)
{
	struct host_block *b = x->block;

	while (t.len) {
		u64 n = t.len < sizeof(x->buffer) ? t.len : sizeof(x->buffer);

		if (virtio_chain_read(&x->vpci.vdev, t.chain, t.at, x->buffer, n) != n)
			return BLK_IOERR;
		if (b->write(b->owner, t.offset, x->buffer, n) < 0)
			return BLK_IOERR;
		t.at += n, t.offset += n, t.len -= n;
	}
	return write_through(x) ? blk_flush(x) : BLK_OK;
}

static u8 blk_get_id(struct virtio_blk *x, const struct virtio_chain *c, u64 room)
{
	char id[ID_SIZE] = {0};
	size_t len = x->serial ? strnlen(x->serial, ID_SIZE) : 0;

	memcpy(id, x->serial ? x->serial : "", len);
	if (room > ID_SIZE)
		room = ID_SIZE;
	return virtio_chain_write(&x->vpci.vdev, c, 0, id, room) == room ? BLK_OK : BLK_IOERR;
}

static u8 zero_range(struct virtio_blk *x, u64 offset, u64 len)
{
	struct host_block *b = x->block;

	memset(x->buffer, 0, sizeof(x->buffer));
	while (len) {
		u64 n = len < sizeof(x->buffer) ? len : sizeof(x->buffer);

		if (b->write(b->owner, offset, x->buffer, n) < 0)
			return BLK_IOERR;
		offset += n, len -= n;
	}
	return write_through(x) ? blk_flush(x) : BLK_OK;
}

/* One struct virtio_blk_discard_write_zeroes. Bit 0 of the flags is unmap, only for zeroes. */
static u8 range_segment(struct virtio_blk *x, const u8 *le, bool discard)
{
	u64 sector = load_le64(le), sectors = load_le32(le + 8);
	u32 flags = load_le32(le + 12);
	struct host_block *b = x->block;

	if (flags & ~(discard ? 0u : 1u))
		return BLK_UNSUPP;
	if (!range_valid(x, sector, sectors) || b->read_only ||
	    sectors > (discard ? DISCARD_SECTORS : ZEROES_SECTORS))
		return BLK_IOERR;
	if (!discard)
		return zero_range(x, sector * SECTOR, sectors * SECTOR);
	return b->discard(b->owner, sector * SECTOR, sectors * SECTOR) < 0 ? BLK_IOERR : BLK_OK;
}

static u8 blk_ranges(struct virtio_blk *x, struct transfer t, bool discard)
{
	u8 le[DISCARD_SEGMENTS * SEGMENT_SIZE], status = BLK_OK;
	unsigned max = discard ? DISCARD_SEGMENTS : ZEROES_SEGMENTS;

	if (!virtio_has(&x->vpci.vdev, discard ? BLK_F_DISCARD : BLK_F_WRITE_ZEROES))
		return BLK_UNSUPP;
	if (t.len == 0 || t.len % SEGMENT_SIZE || t.len > (u64)max * SEGMENT_SIZE)
		return BLK_IOERR;
	if (virtio_chain_read(&x->vpci.vdev, t.chain, t.at, le, t.len) != t.len)
		return BLK_IOERR;
	for (u64 i = 0; i < t.len && status == BLK_OK; i += SEGMENT_SIZE)
		status = range_segment(x, le + i, discard);
	return status;
}

static bool transfer_valid(const struct virtio_blk *x, u64 sector, u64 len)
{
	return len % SECTOR == 0 && len <= REQUEST_MAX && range_valid(x, sector, len / SECTOR);
}

/* *moved: bytes of data put into the chain. */
static u8 blk_request(struct virtio_blk *x, const struct virtio_chain *c, u64 *moved)
{
	u8 header[HEADER_SIZE], status;
	struct transfer t = {c, HEADER_SIZE, c->out_bytes - HEADER_SIZE, 0};
	u64 sector, room = c->in_bytes - 1;

	*moved = 0;
	if (virtio_chain_read(&x->vpci.vdev, c, 0, header, HEADER_SIZE) != HEADER_SIZE)
		return BLK_IOERR;
	sector = load_le64(header + 8);
	t.offset = sector * SECTOR;
	switch (load_le32(header)) {
	case BLK_IN:
		if (!transfer_valid(x, sector, room))
			return BLK_IOERR;
		t.at = 0, t.len = room;
		status = blk_in(x, t);
		*moved = status == BLK_OK ? room : 0;
		return status;
	case BLK_OUT:
		if (x->block->read_only || !transfer_valid(x, sector, t.len))
			return BLK_IOERR;
		return blk_out(x, t);
	case BLK_FLUSH:
		return blk_flush(x);
	case BLK_GET_ID:
		*moved = room < ID_SIZE ? room : ID_SIZE;
		return blk_get_id(x, c, room);
	case BLK_DISCARD:
		return blk_ranges(x, t, true);
	case BLK_WRITE_ZEROES:
		return blk_ranges(x, t, false);
	default:
		return BLK_UNSUPP;
	}
}

static u64 blk_serve(struct virtio *v, const struct virtio_chain *c, u32 *written)
{
	u64 moved;
	u8 status;

	if (c->out_bytes < HEADER_SIZE || c->in_bytes < 1) {
		virtio_break(v, "a request without header or status");
		return 0;
	}
	status = blk_request(blk_of(v), c, &moved);
	if (virtio_chain_write(v, c, c->in_bytes - 1, &status, 1) != 1)
		virtio_break(v, "a status byte outside RAM");
	/* A short transfer leaves a gap in front of the status: then only nothing is certain. */
	*written = moved == c->in_bytes - 1 ? (u32)moved + 1 : (u32)moved;
	return c->out_bytes + c->in_bytes;
}

static void blk_notify(struct virtio *v, unsigned q)
{
	virtio_serve(v, q, BUDGET, blk_serve);
}

static void blk_virtio_reset(struct virtio *v)
{
	blk_of(v)->writeback = 1;
}

static const struct virtio_type blk_type = {
	.id = 2,
	.class_code = 0x010000,
	.config_len = CFG_LEN,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.notify = blk_notify,
	.reset = blk_virtio_reset,
};

static void blk_init(struct device *d)
{
	struct virtio_blk *x = (struct virtio_blk *)d;
	u64 features = BIT(BLK_F_SIZE_MAX) | BIT(BLK_F_SEG_MAX) | BIT(BLK_F_BLK_SIZE) |
		       BIT(BLK_F_FLUSH) | BIT(BLK_F_CONFIG_WCE);

	if (x->block->read_only)
		features |= BIT(BLK_F_RO);
	else
		features |= BIT(BLK_F_WRITE_ZEROES) | (x->block->discard ? BIT(BLK_F_DISCARD) : 0);
	virtio_init(&x->vpci.vdev, &blk_type, d, features);
	virtio_add_queue(&x->vpci.vdev, VIRTIO_QUEUE_MAX);
	virtio_pci_init(&x->vpci);
}

static void blk_reset(struct device *d)
{
	virtio_pci_reset(&((struct virtio_blk *)d)->vpci);
}

static bool blk_post_load(struct device *d)
{
	struct virtio_blk *x = (struct virtio_blk *)d;

	return x->writeback <= 1 && virtio_pci_post_load(&x->vpci);
}

static const struct state_field blk_state[] = {
	VIRTIO_PCI_STATE(struct virtio_blk, vpci),
	STATE_FIELD(struct virtio_blk, writeback),
	STATE_END,
};

const struct device_class virtio_blk_class = {
	.name = "virtio-blk",
	.size = sizeof(struct virtio_blk),
	.state = blk_state,
	.init = blk_init,
	.reset = blk_reset,
	.post_load = blk_post_load,
};
