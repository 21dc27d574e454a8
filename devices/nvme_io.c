/*
 * NVMe data transfers by Physical Region Pages ("Physical Region Page Entry and List") and the NVM
 * command set. See nvme.h.
 */
#include "base/bits.h"
#include "devices/nvme_internal.h"

/* 512 KiB of 4 KiB pages, one more if the first is entered in its middle. */
#define PRP_MAX (NVME_MAX_TRANSFER / 4096 + 1)

enum nvme_opcode {
	NVM_FLUSH = 0x00,
	NVM_WRITE = 0x01,
	NVM_READ = 0x02,
	NVM_COMPARE = 0x05,
	NVM_WRITE_ZEROES = 0x08,
	NVM_DATASET_MANAGEMENT = 0x09,
};

#define CDW12_FUA 0x40000000u
#define DSM_DEALLOCATE 4
#define DSM_RANGE 16

struct prp_map {
	unsigned count;
	struct {
		u64 addr;
		u64 len;
	} piece[PRP_MAX];
};

static u16 add_piece(struct prp_map *m, u64 addr, u64 len)
{
	if (m->count == PRP_MAX)
		return NVME_INTERNAL;
	m->piece[m->count].addr = addr;
	m->piece[m->count++].len = len;
	return NVME_SUCCESS;
}

static u16 read_entry(struct nvme *n, u64 at, u64 *entry)
{
	u8 le[8];

	if (!pci_dma_read(&n->pci, at, le, 8))
		return NVME_DATA_TRANSFER;
	*entry = load_le64(le);
	return *entry % nvme_page_size(n) ? NVME_PRP_OFFSET : NVME_SUCCESS;
}

/* The last entry of a list page points to the next one if more follow. Every list page but the
 * first yields hundreds of entries and their number is bounded by len, so the walk ends. */
static u16 map_list(struct nvme *n, struct prp_map *m, u64 list, u64 len)
{
	u64 page = nvme_page_size(n), entry;
	u16 status;

	if (list & 7)
		return NVME_PRP_OFFSET;
	while (len) {
		status = read_entry(n, list, &entry);
		if (status != NVME_SUCCESS)
			return status;
		if ((list + 8) % page == 0 && len > page) {
			list = entry;
			continue;
		}
		status = add_piece(m, entry, len < page ? len : page);
		if (status != NVME_SUCCESS)
			return status;
		len -= len < page ? len : page;
		list += 8;
	}
	return NVME_SUCCESS;
}

static u16 map_prps(struct nvme *n, const struct nvme_command *c, u64 len, struct prp_map *m)
{
	u64 page = nvme_page_size(n), first = page - c->prp1 % page;

	m->count = 0;
	if (c->prp1 & 3)
		return NVME_PRP_OFFSET;
	if (len > NVME_MAX_TRANSFER)
		return NVME_INVALID_FIELD;
	if (first > len)
		first = len;
	add_piece(m, c->prp1, first);
	len -= first;
	if (len == 0)
		return NVME_SUCCESS;
	if (len > page)
		return map_list(n, m, c->prp2, len);
	if (c->prp2 % page)
		return NVME_PRP_OFFSET;
	return add_piece(m, c->prp2, len);
}

u16 nvme_from_host(struct nvme *n, const struct nvme_command *c, u64 len)
{
	struct prp_map m;
	u16 status = map_prps(n, c, len, &m);
	u8 *at = n->buffer;

	for (unsigned i = 0; status == NVME_SUCCESS && i < m.count; i++) {
		if (!pci_dma_read(&n->pci, m.piece[i].addr, at, m.piece[i].len))
			status = NVME_DATA_TRANSFER;
		at += m.piece[i].len;
	}
	return status;
}

u16 nvme_to_host(struct nvme *n, const struct nvme_command *c, u64 len)
{
	struct prp_map m;
	u16 status = map_prps(n, c, len, &m);
	const u8 *at = n->buffer;

	for (unsigned i = 0; status == NVME_SUCCESS && i < m.count; i++) {
		if (!pci_dma_write(&n->pci, m.piece[i].addr, at, m.piece[i].len))
			status = NVME_DATA_TRANSFER;
		at += m.piece[i].len;
	}
	return status;
}

/* A command's range of logical blocks, in bytes. */
struct range {
	u64 offset, len;
};

static bool blocks_valid(const struct nvme *n, u64 lba, u64 blocks)
{
	u64 total = n->block->size / NVME_LBA;

	return lba <= total && blocks <= total - lba;
}

static u16 command_range(const struct nvme *n, const struct nvme_command *c, struct range *r)
{
	u64 lba = (u64)c->cdw[11] << 32 | c->cdw[10], blocks = (c->cdw[12] & 0xffff) + 1u;

	if (!blocks_valid(n, lba, blocks))
		return NVME_LBA_RANGE;
	r->offset = lba * NVME_LBA;
	r->len = blocks * NVME_LBA;
	return NVME_SUCCESS;
}

static u16 transfer_range(const struct nvme *n, const struct nvme_command *c, struct range *r)
{
	if (((u64)(c->cdw[12] & 0xffff) + 1) * NVME_LBA > NVME_MAX_TRANSFER)
		return NVME_INVALID_FIELD;
	return command_range(n, c, r);
}

static u16 flush(struct nvme *n)
{
	return n->block->flush(n->block->owner) < 0 ? NVME_WRITE_FAULT : NVME_SUCCESS;
}

/* Without a volatile write cache, or with Force Unit Access, a write is durable when it completes.
 */
static u16 written(struct nvme *n, const struct nvme_command *c)
{
	return (c->cdw[12] & CDW12_FUA) || !n->write_cache ? flush(n) : NVME_SUCCESS;
}

static u16 fill_buffer(struct nvme *n, const struct range *r)
{
	if (n->block->read(n->block->owner, r->offset, n->buffer, r->len) >= 0)
		return NVME_SUCCESS;
	n->media_errors++;
	return NVME_READ_ERROR;
}

static u16 nvm_read(struct nvme *n, const struct nvme_command *c)
{
	struct range r;
	u16 status = transfer_range(n, c, &r);

	if (status == NVME_SUCCESS)
		status = fill_buffer(n, &r);
	if (status == NVME_SUCCESS)
		status = nvme_to_host(n, c, r.len);
	if (status == NVME_SUCCESS) {
		n->sectors_read += r.len / NVME_LBA;
		n->reads++;
	}
	return status;
}

static u16 write_buffer(struct nvme *n, u64 offset, u64 len)
{
	if (n->block->write(n->block->owner, offset, n->buffer, len) >= 0)
		return NVME_SUCCESS;
	n->media_errors++;
	return NVME_WRITE_FAULT;
}

static u16 nvm_write(struct nvme *n, const struct nvme_command *c)
{
	struct range r;
	u16 status = transfer_range(n, c, &r);

	if (status == NVME_SUCCESS && n->block->read_only)
		status = NVME_READ_ONLY;
	if (status == NVME_SUCCESS)
		status = nvme_from_host(n, c, r.len);
	if (status == NVME_SUCCESS)
		status = write_buffer(n, r.offset, r.len);
	if (status != NVME_SUCCESS)
		return status;
	n->sectors_written += r.len / NVME_LBA;
	n->writes++;
	return written(n, c);
}

static u16 nvm_compare(struct nvme *n, const struct nvme_command *c)
{
	struct range r;
	u16 status = transfer_range(n, c, &r);
	u8 disk[4096];

	if (status == NVME_SUCCESS)
		status = nvme_from_host(n, c, r.len);
	for (u64 at = 0; status == NVME_SUCCESS && at < r.len; at += sizeof(disk)) {
		u64 len = r.len - at < sizeof(disk) ? r.len - at : sizeof(disk);

		if (n->block->read(n->block->owner, r.offset + at, disk, len) < 0)
			status = NVME_READ_ERROR;
		else if (memcmp(disk, n->buffer + at, len) != 0)
			status = NVME_COMPARE;
	}
	return status;
}

static u16 nvm_write_zeroes(struct nvme *n, const struct nvme_command *c)
{
	struct range r;
	u16 status = command_range(n, c, &r);

	if (status == NVME_SUCCESS && n->block->read_only)
		status = NVME_READ_ONLY;
	if (status != NVME_SUCCESS)
		return status;
	memset(n->buffer, 0, r.len < sizeof(n->buffer) ? r.len : sizeof(n->buffer));
	while (r.len && status == NVME_SUCCESS) {
		u64 len = r.len < sizeof(n->buffer) ? r.len : sizeof(n->buffer);

		status = write_buffer(n, r.offset, len);
		r.offset += len, r.len -= len;
	}
	return status == NVME_SUCCESS ? written(n, c) : status;
}

/* All ranges are checked before the first is given up. */
static u16 nvm_dataset_management(struct nvme *n, const struct nvme_command *c)
{
	unsigned ranges = (c->cdw[10] & 0xff) + 1;
	struct host_block *b = n->block;
	u16 status = nvme_from_host(n, c, (u64)ranges * DSM_RANGE);

	if (status != NVME_SUCCESS || !(c->cdw[11] & DSM_DEALLOCATE))
		return status;
	if (b->read_only)
		return NVME_READ_ONLY;
	for (unsigned i = 0; i < ranges; i++) {
		const u8 *r = n->buffer + i * DSM_RANGE;

		if (!blocks_valid(n, load_le64(r + 8), load_le32(r + 4)))
			return NVME_LBA_RANGE;
	}
	for (unsigned i = 0; b->discard && i < ranges; i++) {
		const u8 *r = n->buffer + i * DSM_RANGE;
		u64 len = (u64)load_le32(r + 4) * NVME_LBA;

		if (len && b->discard(b->owner, load_le64(r + 8) * NVME_LBA, len) < 0)
			return NVME_WRITE_FAULT;
	}
	return NVME_SUCCESS;
}

u16 nvme_io_command(struct nvme *n, struct nvme_command *c)
{
	if (c->nsid != NVME_NSID && !(c->opcode == NVM_FLUSH && c->nsid == NVME_ALL_NSID))
		return NVME_INVALID_NAMESPACE;
	switch (c->opcode) {
	case NVM_FLUSH:
		return flush(n);
	case NVM_WRITE:
		return nvm_write(n, c);
	case NVM_READ:
		return nvm_read(n, c);
	case NVM_COMPARE:
		return nvm_compare(n, c);
	case NVM_WRITE_ZEROES:
		return nvm_write_zeroes(n, c);
	case NVM_DATASET_MANAGEMENT:
		return nvm_dataset_management(n, c);
	default:
		return NVME_INVALID_OPCODE;
	}
}
