/*
 * NVMe asynchronous events: section "Asynchronous Event Request command". See nvme.h.
 */
#include "base/bits.h"
#include "devices/nvme_internal.h"

static const struct {
	u8 type, info, log_page;
} events[NVME_EVENTS] = {
	[EVENT_DOORBELL_REGISTER] = {0, 0, 1},
	[EVENT_DOORBELL_VALUE] = {0, 1, 1},
	[EVENT_TEMPERATURE] = {1, 1, 2},
};

static void complete_oldest(struct nvme *n, u32 result, u16 status)
{
	u16 cid = n->aer_cid[0];

	n->aer_count--;
	memmove(&n->aer_cid[0], &n->aer_cid[1], n->aer_count * sizeof(n->aer_cid[0]));
	n->aer_cid[n->aer_count] = 0;
	nvme_complete(n, 0, cid, result, status);
}

/* One event of a type is told, the rest wait until its log page was read. */
void nvme_deliver_events(struct nvme *n)
{
	for (unsigned i = 0; i < NVME_EVENTS; i++) {
		u8 type = (u8)(1u << events[i].type);

		if (!(n->event_pending >> i & 1) || (n->event_masked & type))
			continue;
		if (!n->aer_count || nvme_cq_full(n, 0) || (n->csts & CSTS_CFS))
			return;
		n->event_pending &= ~(1u << i);
		n->event_masked |= type;
		complete_oldest(n,
				events[i].type | (u32)events[i].info << 8 |
					(u32)events[i].log_page << 16,
				NVME_SUCCESS);
	}
}

void nvme_event(struct nvme *n, enum nvme_event event)
{
	n->event_pending |= 1u << event;
}

void nvme_event_seen(struct nvme *n, u8 log_page)
{
	for (unsigned i = 0; i < NVME_EVENTS; i++)
		if (events[i].log_page == log_page)
			n->event_masked &= (u8) ~(1u << events[i].type);
}

u16 nvme_request_event(struct nvme *n, const struct nvme_command *c)
{
	if (n->aer_count == NVME_AERS)
		return NVME_AER_LIMIT;
	n->aer_cid[n->aer_count++] = c->cid;
	return NVME_HELD;
}

/* False if there is no such request, or no room for its completion beside the Abort's own. */
bool nvme_abort_event_request(struct nvme *n, u16 cid)
{
	for (unsigned i = 0; i < n->aer_count; i++) {
		if (n->aer_cid[i] != cid)
			continue;
		if ((n->cq_tail[0] + 2u) % n->cq_size[0] == n->cq_head[0])
			return false;
		memmove(&n->aer_cid[1], &n->aer_cid[0], i * sizeof(n->aer_cid[0]));
		n->aer_cid[0] = cid;
		complete_oldest(n, 0, NVME_ABORT_REQUESTED);
		return true;
	}
	return false;
}
