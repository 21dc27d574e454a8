/*
 * NVMe admin commands: queues, features, abort. See nvme.h.
 */
#include "base/bits.h"
#include "devices/nvme_internal.h"

enum nvme_admin_opcode {
	ADMIN_DELETE_SQ = 0x00,
	ADMIN_CREATE_SQ = 0x01,
	ADMIN_GET_LOG = 0x02,
	ADMIN_DELETE_CQ = 0x04,
	ADMIN_CREATE_CQ = 0x05,
	ADMIN_IDENTIFY = 0x06,
	ADMIN_ABORT = 0x08,
	ADMIN_SET_FEATURES = 0x09,
	ADMIN_GET_FEATURES = 0x0a,
	ADMIN_ASYNC_EVENT = 0x0c,
};

enum nvme_feature {
	FEATURE_ARBITRATION = 0x01,
	FEATURE_POWER = 0x02,
	FEATURE_TEMPERATURE = 0x04,
	FEATURE_ERROR_RECOVERY = 0x05,
	FEATURE_WRITE_CACHE = 0x06,
	FEATURE_QUEUES = 0x07,
	FEATURE_COALESCING = 0x08,
	FEATURE_VECTOR = 0x09,
	FEATURE_ATOMICITY = 0x0a,
	FEATURE_ASYNC_EVENTS = 0x0b,
	FEATURE_TIMESTAMP = 0x0e,
};

#define PHYSICALLY_CONTIGUOUS 1
#define CQ_INTERRUPTS 2
#define SMART_TEMPERATURE 2
#define SAVE 0x80000000u

/* Queues */

static bool vector_allowed(const struct nvme *n, unsigned vector)
{
	if (pci_msix_enabled(&n->pci))
		return vector < NVME_QUEUES;
	if (pci_msi_enabled(&n->pci))
		return vector < pci_msi_granted(&n->pci);
	return vector == 0;
}

/* What both kinds of queue must satisfy. exists: a queue with this identifier is there already. */
static u16 check_queue(const struct nvme *n, const struct nvme_command *c, bool exists)
{
	unsigned qid = c->cdw[10] & 0xffff, size = c->cdw[10] >> 16;

	if (qid == 0 || qid >= NVME_QUEUES || exists)
		return NVME_QID_INVALID;
	if (size == 0 || size >= NVME_MQES)
		return NVME_QUEUE_SIZE;
	if (!(c->cdw[11] & PHYSICALLY_CONTIGUOUS))
		return NVME_INVALID_FIELD;
	if (c->prp1 % nvme_page_size(n))
		return NVME_PRP_OFFSET;
	return NVME_SUCCESS;
}

static bool sq_exists(const struct nvme *n, unsigned qid)
{
	return qid < NVME_QUEUES && n->sq_size[qid];
}

static bool cq_exists(const struct nvme *n, unsigned qid)
{
	return qid < NVME_QUEUES && n->cq_size[qid];
}

static u16 create_cq(struct nvme *n, const struct nvme_command *c)
{
	unsigned qid = c->cdw[10] & 0xffff, vector = c->cdw[11] >> 16;
	u16 status = check_queue(n, c, cq_exists(n, qid));

	if (status != NVME_SUCCESS)
		return status;
	if (bits(n->cc, 23, 20) != 4)
		return NVME_QUEUE_SIZE;
	if (!vector_allowed(n, vector))
		return NVME_VECTOR;
	n->cq_base[qid] = c->prp1;
	n->cq_size[qid] = (u16)((c->cdw[10] >> 16) + 1);
	n->cq_head[qid] = n->cq_tail[qid] = 0;
	n->cq_phase[qid] = 1;
	n->cq_vector[qid] = (u16)vector;
	n->cq_interrupts[qid] = (c->cdw[11] & CQ_INTERRUPTS) != 0;
	return NVME_SUCCESS;
}

static u16 create_sq(struct nvme *n, const struct nvme_command *c)
{
	unsigned qid = c->cdw[10] & 0xffff, cqid = c->cdw[11] >> 16;
	u16 status = check_queue(n, c, sq_exists(n, qid));

	if (cqid == 0 || !cq_exists(n, cqid))
		return NVME_CQ_INVALID;
	if (status != NVME_SUCCESS)
		return status;
	if (bits(n->cc, 19, 16) != 6)
		return NVME_QUEUE_SIZE;
	n->sq_base[qid] = c->prp1;
	n->sq_size[qid] = (u16)((c->cdw[10] >> 16) + 1);
	n->sq_head[qid] = n->sq_tail[qid] = 0;
	n->sq_cq[qid] = (u16)cqid;
	return NVME_SUCCESS;
}

/* Commands that were announced but not fetched yet vanish with their queue. */
static u16 delete_sq(struct nvme *n, const struct nvme_command *c)
{
	unsigned qid = c->cdw[10] & 0xffff;

	if (qid == 0 || !sq_exists(n, qid))
		return NVME_QID_INVALID;
	n->sq_base[qid] = 0;
	n->sq_size[qid] = n->sq_head[qid] = n->sq_tail[qid] = n->sq_cq[qid] = 0;
	return NVME_SUCCESS;
}

static u16 delete_cq(struct nvme *n, const struct nvme_command *c)
{
	unsigned qid = c->cdw[10] & 0xffff;

	if (qid == 0 || !cq_exists(n, qid))
		return NVME_QID_INVALID;
	for (unsigned i = 1; i < NVME_QUEUES; i++)
		if (n->sq_size[i] && n->sq_cq[i] == qid)
			return NVME_QUEUE_DELETION;
	n->cq_base[qid] = 0;
	n->cq_size[qid] = n->cq_head[qid] = n->cq_tail[qid] = n->cq_vector[qid] = 0;
	n->cq_phase[qid] = n->cq_interrupts[qid] = 0;
	return NVME_SUCCESS;
}

/* Every other command is done when the next is looked at: there is nothing else to abort. */
static u16 abort_command(struct nvme *n, struct nvme_command *c)
{
	unsigned sqid = c->cdw[10] & 0xffff;

	c->result = sqid != 0 || !nvme_abort_event_request(n, (u16)(c->cdw[10] >> 16));
	return NVME_SUCCESS;
}

/* Features */

void nvme_reset_features(struct nvme *n)
{
	n->arbitration = 0;
	n->power_state = 0;
	n->temp_threshold[0] = NVME_WARNING_TEMPERATURE;
	n->temp_threshold[1] = 0;
	n->error_recovery = 0;
	n->write_cache = 1;
	n->coalescing = 0;
	for (unsigned i = 0; i < NVME_QUEUES; i++)
		n->vector_config[i] = i;
	n->write_atomicity = 0;
	n->async_config = 0;
	n->timestamp_base = n->timestamp_origin = 0;
	n->timestamp_at = clock_now(n->pci.dev.env.clock);
}

static u32 *plain_feature(struct nvme *n, u8 feature)
{
	switch (feature) {
	case FEATURE_ARBITRATION:
		return &n->arbitration;
	case FEATURE_POWER:
		return &n->power_state;
	case FEATURE_ERROR_RECOVERY:
		return &n->error_recovery;
	case FEATURE_WRITE_CACHE:
		return &n->write_cache;
	case FEATURE_COALESCING:
		return &n->coalescing;
	case FEATURE_ATOMICITY:
		return &n->write_atomicity;
	case FEATURE_ASYNC_EVENTS:
		return &n->async_config;
	default:
		return NULL;
	}
}

static u32 plain_mask(u8 feature)
{
	switch (feature) {
	case FEATURE_ARBITRATION:
		return 0xffffff07;
	case FEATURE_POWER:
		return 0xff;
	case FEATURE_ERROR_RECOVERY:
		return 0x1ffff;
	case FEATURE_WRITE_CACHE:
	case FEATURE_ATOMICITY:
		return 1;
	default:
		return 0xffff;
	}
}

/* "Temperature Threshold": only the composite temperature is there; 15 means all sensors. */
static u16 threshold(struct nvme *n, u32 select, u32 **reg)
{
	unsigned sensor = select >> 16 & 15, kind = select >> 20 & 3;

	if ((sensor != 0 && sensor != 15) || kind > 1)
		return NVME_INVALID_FIELD;
	*reg = &n->temp_threshold[kind];
	return NVME_SUCCESS;
}

static u16 set_temperature(struct nvme *n, u32 value)
{
	u32 *reg;
	u16 status = threshold(n, value, &reg);

	if (status != NVME_SUCCESS)
		return status;
	*reg = value & 0xffff;
	if (nvme_too_hot(n) && (n->async_config & SMART_TEMPERATURE))
		nvme_event(n, EVENT_TEMPERATURE);
	return NVME_SUCCESS;
}

/* 0's-based numbers of submission and completion queues; all 16 pairs, whatever was asked. */
static u16 set_queues(struct nvme *n, struct nvme_command *c)
{
	for (unsigned q = 1; q < NVME_QUEUES; q++)
		if (n->sq_size[q] || n->cq_size[q])
			return NVME_SEQUENCE;
	if ((c->cdw[11] & 0xffff) == 0xffff || c->cdw[11] >> 16 == 0xffff)
		return NVME_INVALID_FIELD;
	c->result = (NVME_QUEUES - 2) << 16 | (NVME_QUEUES - 2);
	return NVME_SUCCESS;
}

static u16 set_vector(struct nvme *n, u32 value)
{
	if ((value & 0xffff) >= NVME_QUEUES)
		return NVME_INVALID_FIELD;
	n->vector_config[value & 0xffff] = value & 0x1ffff;
	return NVME_SUCCESS;
}

static u16 set_timestamp(struct nvme *n, const struct nvme_command *c)
{
	u16 status = nvme_from_host(n, c, 8);

	if (status != NVME_SUCCESS)
		return status;
	n->timestamp_base = load_le(n->buffer, 6);
	n->timestamp_at = clock_now(n->pci.dev.env.clock);
	n->timestamp_origin = 1;
	return NVME_SUCCESS;
}

static u16 get_timestamp(struct nvme *n, const struct nvme_command *c)
{
	u64 passed = (clock_now(n->pci.dev.env.clock) - n->timestamp_at) / 1000000;

	memset(n->buffer, 0, 8);
	store_le(n->buffer, n->timestamp_base + passed, 6);
	n->buffer[6] = (u8)(n->timestamp_origin << 1);
	return nvme_to_host(n, c, 8);
}

static u16 set_features(struct nvme *n, struct nvme_command *c)
{
	u8 feature = (u8)c->cdw[10];
	u32 value = c->cdw[11], *reg = plain_feature(n, feature);

	if (c->cdw[10] & SAVE)
		return NVME_NOT_SAVEABLE;
	if (feature == FEATURE_POWER && (value & 31))
		return NVME_INVALID_FIELD; /* the only power state is 0 */
	if (reg) {
		*reg = value & plain_mask(feature);
		if (feature == FEATURE_ASYNC_EVENTS && (value & SMART_TEMPERATURE) &&
		    nvme_too_hot(n))
			nvme_event(n, EVENT_TEMPERATURE);
		return NVME_SUCCESS;
	}
	switch (feature) {
	case FEATURE_TEMPERATURE:
		return set_temperature(n, value);
	case FEATURE_QUEUES:
		return set_queues(n, c);
	case FEATURE_VECTOR:
		return set_vector(n, value);
	case FEATURE_TIMESTAMP:
		return set_timestamp(n, c);
	default:
		return NVME_INVALID_FIELD;
	}
}

static u16 get_features(struct nvme *n, struct nvme_command *c)
{
	u8 feature = (u8)c->cdw[10];
	u32 *reg = plain_feature(n, feature);
	u16 status = NVME_SUCCESS;

	switch (feature) {
	case FEATURE_TEMPERATURE:
		status = threshold(n, c->cdw[11], &reg);
		break;
	case FEATURE_QUEUES:
		c->result = (NVME_QUEUES - 2) << 16 | (NVME_QUEUES - 2);
		return NVME_SUCCESS;
	case FEATURE_VECTOR:
		if ((c->cdw[11] & 0xffff) < NVME_QUEUES)
			reg = &n->vector_config[c->cdw[11] & 0xffff];
		break;
	case FEATURE_TIMESTAMP:
		return get_timestamp(n, c);
	default:
		break;
	}
	if (status != NVME_SUCCESS || !reg)
		return NVME_INVALID_FIELD;
	c->result = *reg;
	return NVME_SUCCESS;
}

u16 nvme_admin_command(struct nvme *n, struct nvme_command *c)
{
	switch (c->opcode) {
	case ADMIN_DELETE_SQ:
		return delete_sq(n, c);
	case ADMIN_CREATE_SQ:
		return create_sq(n, c);
	case ADMIN_GET_LOG:
		return nvme_get_log(n, c);
	case ADMIN_DELETE_CQ:
		return delete_cq(n, c);
	case ADMIN_CREATE_CQ:
		return create_cq(n, c);
	case ADMIN_IDENTIFY:
		return nvme_identify(n, c);
	case ADMIN_ABORT:
		return abort_command(n, c);
	case ADMIN_SET_FEATURES:
		return set_features(n, c);
	case ADMIN_GET_FEATURES:
		return get_features(n, c);
	case ADMIN_ASYNC_EVENT:
		return nvme_request_event(n, c);
	default:
		LOG(n->pci.dev.env.log, dev, "%s: admin opcode %02x", n->pci.dev.id, c->opcode);
		return NVME_INVALID_OPCODE;
	}
}
