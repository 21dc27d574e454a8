/*
 * Between nvme.c (registers, queues), nvme_io.c (transfers, NVM commands), nvme_admin.c (admin
 * commands, features), nvme_log.c (identify data, logs) and nvme_event.c (asynchronous events)
 * only.
 */
#ifndef DEVICES_NVME_INTERNAL_H
#define DEVICES_NVME_INTERNAL_H

#include "devices/nvme.h"

#define NVME_LBA 512
#define NVME_MQES 1024 /* entries per queue */
#define NVME_VERSION 0x00010300
#define NVME_MDTS 7
#define NVME_TEMPERATURE 313 /* kelvin, and it never changes */
#define NVME_WARNING_TEMPERATURE 343
#define NVME_CRITICAL_TEMPERATURE 353
#define NVME_NSID 1u
#define NVME_ALL_NSID 0xffffffffu

enum nvme_csts { CSTS_RDY = 1, CSTS_CFS = 2, CSTS_SHST_COMPLETE = 8, CSTS_SHST = 12 };

/* Status Code Type in bits 10:8, Status Code in 7:0, as in the completion's status field. */
enum nvme_status {
	NVME_SUCCESS = 0x000,
	NVME_INVALID_OPCODE = 0x001,
	NVME_INVALID_FIELD = 0x002,
	NVME_DATA_TRANSFER = 0x004,
	NVME_INTERNAL = 0x006,
	NVME_ABORT_REQUESTED = 0x007,
	NVME_INVALID_NAMESPACE = 0x00b,
	NVME_SEQUENCE = 0x00c,
	NVME_PRP_OFFSET = 0x013,
	NVME_LBA_RANGE = 0x080,
	NVME_CQ_INVALID = 0x100,
	NVME_QID_INVALID = 0x101,
	NVME_QUEUE_SIZE = 0x102,
	NVME_AER_LIMIT = 0x105,
	NVME_VECTOR = 0x108,
	NVME_LOG_PAGE = 0x109,
	NVME_QUEUE_DELETION = 0x10c,
	NVME_NOT_SAVEABLE = 0x10d,
	NVME_READ_ONLY = 0x182,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_COMPARE = 0x285,
	NVME_HELD = 0xffff, /* no completion now */
};

/* A command, copied in. */
struct nvme_command {
	u16 sqid, cid;
	u8 opcode, flags;
	u32 nsid;
	u64 prp1, prp2;
	u32 cdw[16]; /* only 10..15 are meant to be used */
	u32 result;  /* completion dword 0 */
};

/* Rows of the event table. */
enum nvme_event { EVENT_DOORBELL_REGISTER, EVENT_DOORBELL_VALUE, EVENT_TEMPERATURE, NVME_EVENTS };

u64 nvme_page_size(const struct nvme *n);
/* Something no driver does and no status can tell: CSTS.CFS, and nothing moves until a reset. */
void nvme_fatal(struct nvme *n, const char *why);
bool nvme_cq_full(const struct nvme *n, unsigned cqid);
/* Posts to the completion queue of sqid, which must have room. */
void nvme_complete(struct nvme *n, unsigned sqid, u16 cid, u32 result, u16 status);

/* Moves len <= NVME_MAX_TRANSFER bytes between the command's PRPs and n->buffer. */
u16 nvme_from_host(struct nvme *n, const struct nvme_command *c, u64 len);
u16 nvme_to_host(struct nvme *n, const struct nvme_command *c, u64 len);

u16 nvme_io_command(struct nvme *n, struct nvme_command *c);
u16 nvme_admin_command(struct nvme *n, struct nvme_command *c);
void nvme_reset_features(struct nvme *n);
u16 nvme_identify(struct nvme *n, struct nvme_command *c);
u16 nvme_get_log(struct nvme *n, struct nvme_command *c);
void nvme_log_error(struct nvme *n, const struct nvme_command *c, u16 status);
bool nvme_too_hot(const struct nvme *n);

void nvme_event(struct nvme *n, enum nvme_event event);
void nvme_deliver_events(struct nvme *n);
/* Reading a log page without Retain Asynchronous Event lets its events come again. */
void nvme_event_seen(struct nvme *n, u8 log_page);
u16 nvme_request_event(struct nvme *n, const struct nvme_command *c);
bool nvme_abort_event_request(struct nvme *n, u16 cid);

#endif
