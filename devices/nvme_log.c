/*
 * NVMe identify data structures and log pages. See nvme.h.
 */
#include <stdio.h>

#include "base/bits.h"
#include "devices/nvme_internal.h"

#define IDENTIFY_SIZE 4096
#define FIRMWARE "1.0"
#define MODEL "Gigogne NVMe Controller"

enum identify_cns { CNS_NAMESPACE, CNS_CONTROLLER, CNS_ACTIVE_LIST, CNS_DESCRIPTORS };

enum log_page { LOG_ERRORS = 1, LOG_SMART = 2, LOG_FIRMWARE = 3 };

static const char *serial(const struct nvme *n)
{
	return n->serial ? n->serial : "GIGOGNE0001";
}

/* ASCII fields are padded with blanks and not terminated. */
static void put_text(u8 *field, size_t len, const char *text)
{
	size_t n = strnlen(text, len);

	memset(field, ' ', len);
	memcpy(field, text, n);
}

/* A locally administered EUI-64 that follows from the serial number. */
static void put_eui64(const struct nvme *n, u8 *eui)
{
	u64 h = hash_bytes(0, serial(n), strnlen(serial(n), 20));

	store_le64(eui, h);
	eui[0] = 0x52;
	eui[1] = 0x54;
	eui[2] = 0x00;
}

/* "Identify Controller Data Structure"; what is not set reads zero: not supported. */
static void identify_controller(const struct nvme *n, u8 *d)
{
	store_le16(d + 0, load_le16(&n->pci.initial[PCI_VENDOR_ID]));
	store_le16(d + 2, load_le16(&n->pci.initial[PCI_SUBSYSTEM_VENDOR]));
	put_text(d + 4, 20, serial(n));
	put_text(d + 24, 40, MODEL);
	put_text(d + 64, 8, FIRMWARE);
	d[72] = 6; /* RAB */
	d[77] = NVME_MDTS;
	store_le32(d + 80, NVME_VERSION);
	d[258] = NVME_AERS - 1; /* ACL */
	d[259] = NVME_AERS - 1; /* AERL */
	d[260] = 0x03;		/* FRMW: one slot, read-only */
	d[261] = 0x04;		/* LPA: log pages have offsets */
	d[262] = NVME_ERRORS - 1;
	store_le16(d + 266, NVME_WARNING_TEMPERATURE);
	store_le16(d + 268, NVME_CRITICAL_TEMPERATURE);
	d[512] = 0x66;		   /* SQES */
	d[513] = 0x44;		   /* CQES */
	store_le32(d + 516, 1);	   /* NN */
	store_le16(d + 520, 0x4d); /* ONCS: compare, DSM, write zeroes, timestamp */
	d[525] = 1;		   /* VWC */
	snprintf((char *)d + 768, 256, "nqn.2026-01.org.gigogne:nvme:%.20s", serial(n));
	store_le16(d + 2048, 2500); /* power state 0: 25 W */
}

static void identify_namespace(const struct nvme *n, u8 *d)
{
	u64 blocks = n->block->size / NVME_LBA;

	store_le64(d + 0, blocks);  /* NSZE */
	store_le64(d + 8, blocks);  /* NCAP */
	store_le64(d + 16, blocks); /* NUSE */
	put_eui64(n, d + 120);
	d[130] = 9; /* LBA format 0: 512 bytes, no metadata */
}

static void identify_descriptors(const struct nvme *n, u8 *d)
{
	d[0] = 1; /* EUI-64 */
	d[1] = 8;
	put_eui64(n, d + 4);
}

u16 nvme_identify(struct nvme *n, struct nvme_command *c)
{
	u8 cns = (u8)c->cdw[10];

	memset(n->buffer, 0, IDENTIFY_SIZE);
	switch (cns) {
	case CNS_NAMESPACE:
	case CNS_DESCRIPTORS:
		if (c->nsid != NVME_NSID)
			return NVME_INVALID_NAMESPACE;
		if (cns == CNS_NAMESPACE)
			identify_namespace(n, n->buffer);
		else
			identify_descriptors(n, n->buffer);
		break;
	case CNS_CONTROLLER:
		identify_controller(n, n->buffer);
		break;
	case CNS_ACTIVE_LIST:
		if (c->nsid >= NVME_ALL_NSID - 1)
			return NVME_INVALID_NAMESPACE;
		if (c->nsid < NVME_NSID)
			store_le32(n->buffer, NVME_NSID);
		break;
	default:
		return NVME_INVALID_FIELD;
	}
	return nvme_to_host(n, c, IDENTIFY_SIZE);
}

/* "Error Information": newest entry first. */
void nvme_log_error(struct nvme *n, const struct nvme_command *c, u16 status)
{
	u8 *e = n->errors[0];

	memmove(n->errors[1], n->errors[0], sizeof(n->errors) - NVME_ERROR_SIZE);
	memset(e, 0, NVME_ERROR_SIZE);
	store_le64(e, ++n->error_count);
	store_le16(e + 8, c->sqid);
	store_le16(e + 10, c->cid);
	store_le16(e + 12, (u16)(status << 1));
	store_le16(e + 14, 0xffff); /* no particular byte of the command */
	store_le64(e + 16, c->sqid ? (u64)c->cdw[11] << 32 | c->cdw[10] : 0);
	store_le32(e + 24, c->nsid);
}

bool nvme_too_hot(const struct nvme *n)
{
	return n->temp_threshold[0] <= NVME_TEMPERATURE || n->temp_threshold[1] >= NVME_TEMPERATURE;
}

/* "SMART / Health Information". Data units are thousands of 512 bytes, rounded up. */
static void smart_log(const struct nvme *n, u8 *d)
{
	d[0] = nvme_too_hot(n) ? 2 : 0;
	store_le16(d + 1, NVME_TEMPERATURE);
	d[3] = 100; /* available spare */
	d[4] = 10;
	store_le64(d + 32, (n->sectors_read + 999) / 1000);
	store_le64(d + 48, (n->sectors_written + 999) / 1000);
	store_le64(d + 64, n->reads);
	store_le64(d + 80, n->writes);
	store_le64(d + 112, 1); /* power cycles */
	store_le64(d + 128, clock_now(n->pci.dev.env.clock) / 3600000000000ull);
	store_le64(d + 144, n->unsafe_shutdowns);
	store_le64(d + 160, n->media_errors);
	store_le64(d + 176, n->error_count);
}

/* Builds the page at the start of n->buffer; 0 if there is no such page. */
static u64 build_log(struct nvme *n, u8 page)
{
	memset(n->buffer, 0, 4096);
	switch (page) {
	case LOG_ERRORS:
		memcpy(n->buffer, n->errors, sizeof(n->errors));
		return sizeof(n->errors);
	case LOG_SMART:
		smart_log(n, n->buffer);
		return 512;
	case LOG_FIRMWARE:
		n->buffer[0] = 1; /* slot 1 is active */
		put_text(n->buffer + 8, 8, FIRMWARE);
		return 512;
	default:
		return 0;
	}
}

/* Bytes asked for behind the end of a page read zero. */
u16 nvme_get_log(struct nvme *n, struct nvme_command *c)
{
	u8 page = (u8)c->cdw[10];
	u64 dwords = ((u64)(c->cdw[11] & 0xffff) << 16 | c->cdw[10] >> 16) + 1;
	u64 offset = (u64)c->cdw[13] << 32 | c->cdw[12], have;
	bool retain = c->cdw[10] & 0x8000;
	u16 status;

	if (dwords * 4 > NVME_MAX_TRANSFER)
		return NVME_INVALID_FIELD;
	have = build_log(n, page);
	if (have == 0)
		return NVME_LOG_PAGE;
	if (offset % 4 || offset > have)
		return NVME_INVALID_FIELD;
	memmove(n->buffer, n->buffer + offset, have - offset);
	if (dwords * 4 > have - offset)
		memset(n->buffer + (have - offset), 0, dwords * 4 - (have - offset));
	status = nvme_to_host(n, c, dwords * 4);
	if (status == NVME_SUCCESS && !retain)
		nvme_event_seen(n, page);
	return status;
}
