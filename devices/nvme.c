/*
 * NVMe controller: registers, doorbells, submission and completion queues. See nvme.h.
 */
#include "base/bits.h"
#include "devices/nvme_internal.h"

#define BAR_SIZE 0x4000
#define DOORBELLS 0x1000
#define MSIX_TABLE 0x2000
#define MSIX_PBA 0x3000
#define SQ_ENTRY 64
#define CQ_ENTRY 16
#define CAP_TIMEOUT 15 /* half seconds */
#define CAP_MPSMAX 4
/* Commands carried out before the guest runs on. */
#define BUDGET 64

enum nvme_reg {
	REG_CAP = 0x00,
	REG_CAP_HIGH = 0x04,
	REG_VS = 0x08,
	REG_INTMS = 0x0c,
	REG_INTMC = 0x10,
	REG_CC = 0x14,
	REG_CSTS = 0x1c,
	REG_AQA = 0x24,
	REG_ASQ = 0x28,
	REG_ASQ_HIGH = 0x2c,
	REG_ACQ = 0x30,
	REG_ACQ_HIGH = 0x34,
};

#define CC_EN 1u
#define CC_SHN 0xc000u
#define CC_WRITABLE 0x00fffff1u
#define AQA_WRITABLE 0x0fff0fffu

u64 nvme_page_size(const struct nvme *n)
{
	return 0x1000ull << bits(n->cc, 10, 7);
}

static bool running(const struct nvme *n)
{
	return (n->csts & (CSTS_RDY | CSTS_CFS)) == CSTS_RDY;
}

void nvme_fatal(struct nvme *n, const char *why)
{
	LOG(n->pci.dev.env.log, guest_error, "%s: %s: controller fatal status", n->pci.dev.id, why);
	n->csts |= CSTS_CFS;
}

/* Interrupts */

static bool vector_masked(const struct nvme *n, unsigned cqid)
{
	return n->intms >> (n->cq_vector[cqid] & 31) & 1;
}

static bool cq_asserts(const struct nvme *n, unsigned cqid)
{
	return n->cq_size[cqid] && n->cq_interrupts[cqid] && n->cq_head[cqid] != n->cq_tail[cqid] &&
	       !vector_masked(n, cqid);
}

static void update_pin(struct nvme *n)
{
	bool level = false;

	for (unsigned q = 0; q < NVME_QUEUES && !level; q++)
		level = cq_asserts(n, q);
	pci_set_intx(&n->pci, level);
}

/* The queue got entries, or software unmasked its vector while it has some. */
static void notify_cq(struct nvme *n, unsigned cqid)
{
	if (pci_msix_enabled(&n->pci)) {
		if (n->cq_interrupts[cqid])
			pci_send_msix(&n->pci, n->cq_vector[cqid]);
	} else if (pci_msi_enabled(&n->pci) && cq_asserts(n, cqid)) {
		pci_send_msi(&n->pci, n->cq_vector[cqid]);
	}
	update_pin(n);
}

static void set_mask(struct nvme *n, u32 mask)
{
	u32 opened = n->intms & ~mask;

	n->intms = mask;
	for (unsigned q = 0; q < NVME_QUEUES; q++)
		if (!pci_msix_enabled(&n->pci) && (opened >> (n->cq_vector[q] & 31) & 1) &&
		    cq_asserts(n, q))
			notify_cq(n, q);
	update_pin(n);
}

/* Completion queues */

bool nvme_cq_full(const struct nvme *n, unsigned cqid)
{
	return (n->cq_tail[cqid] + 1u) % n->cq_size[cqid] == n->cq_head[cqid];
}

void nvme_complete(struct nvme *n, unsigned sqid, u16 cid, u32 result, u16 status)
{
	unsigned cqid = n->sq_cq[sqid];
	u8 entry[CQ_ENTRY] = {0};

	store_le32(entry, result);
	store_le16(entry + 8, n->sq_head[sqid]);
	store_le16(entry + 10, sqid);
	store_le16(entry + 12, cid);
	store_le16(entry + 14, (u16)(status << 1 | n->cq_phase[cqid]));
	if (!pci_dma_write(&n->pci, n->cq_base[cqid] + (u64)n->cq_tail[cqid] * CQ_ENTRY, entry,
			   CQ_ENTRY)) {
		nvme_fatal(n, "a completion queue outside RAM");
		return;
	}
	if (++n->cq_tail[cqid] == n->cq_size[cqid]) {
		n->cq_tail[cqid] = 0;
		n->cq_phase[cqid] ^= 1;
	}
}

/* Submission queues */

static bool fetch(struct nvme *n, unsigned sqid, struct nvme_command *c)
{
	u8 e[SQ_ENTRY];

	if (!pci_dma_read(&n->pci, n->sq_base[sqid] + (u64)n->sq_head[sqid] * SQ_ENTRY, e,
			  SQ_ENTRY)) {
		nvme_fatal(n, "a submission queue outside RAM");
		return false;
	}
	n->sq_head[sqid] = (u16)((n->sq_head[sqid] + 1u) % n->sq_size[sqid]);
	c->sqid = (u16)sqid;
	c->opcode = e[0];
	c->flags = e[1];
	c->cid = load_le16(e + 2);
	c->nsid = load_le32(e + 4);
	c->prp1 = load_le64(e + 24);
	c->prp2 = load_le64(e + 32);
	for (unsigned i = 0; i < 16; i++)
		c->cdw[i] = load_le32(e + 4 * i);
	c->result = 0;
	return true;
}

/* Fused operations and SGLs (PSDT) are not offered. */
static u16 execute(struct nvme *n, struct nvme_command *c)
{
	if (c->flags & 0xc3)
		return NVME_INVALID_FIELD;
	return c->sqid == 0 ? nvme_admin_command(n, c) : nvme_io_command(n, c);
}

static bool sq_ready(const struct nvme *n, unsigned sqid)
{
	return running(n) && n->sq_size[sqid] && n->sq_head[sqid] != n->sq_tail[sqid] &&
	       !nvme_cq_full(n, n->sq_cq[sqid]);
}

/* Carries out at most *budget commands. */
static void run_queue(struct nvme *n, unsigned sqid, unsigned *budget)
{
	unsigned cqid = n->sq_cq[sqid];
	u16 before = n->cq_tail[cqid];
	struct nvme_command c;

	while (*budget && sq_ready(n, sqid) && fetch(n, sqid, &c)) {
		u16 status = execute(n, &c);

		*budget -= 1;
		if (status == NVME_HELD)
			continue;
		if (status != NVME_SUCCESS)
			nvme_log_error(n, &c, status);
		nvme_complete(n, sqid, c.cid, c.result, status);
	}
	if (sqid == 0)
		nvme_deliver_events(n);
	if (n->cq_tail[cqid] != before)
		notify_cq(n, cqid);
}

static void later(struct nvme *n)
{
	struct clock *clock = n->pci.dev.env.clock;

	for (unsigned q = 0; q < NVME_QUEUES; q++)
		if (sq_ready(n, q)) {
			timer_set(clock, &n->more, clock_now(clock));
			return;
		}
}

/* One budget for all queues, a few commands from each in turn. */
static void run_all(void *owner, u64 now)
{
	struct nvme *n = owner;
	unsigned total = BUDGET;

	(void)now;
	for (unsigned q = 0; q < NVME_QUEUES && total; q++) {
		unsigned share = total < BUDGET / 8 ? total : BUDGET / 8;
		unsigned rest = share;

		if (!sq_ready(n, q))
			continue;
		run_queue(n, q, &rest);
		total -= share - rest;
	}
	later(n);
}

/* Doorbells */

static void deliver_events(struct nvme *n)
{
	u16 before = n->cq_tail[0];

	nvme_deliver_events(n);
	if (n->cq_tail[0] != before)
		notify_cq(n, 0);
}

static void ring_sq(struct nvme *n, unsigned qid, u16 tail)
{
	unsigned budget = BUDGET;

	n->sq_tail[qid] = tail;
	run_queue(n, qid, &budget);
	later(n);
}

static void raise_event(struct nvme *n, enum nvme_event event)
{
	nvme_event(n, event);
	deliver_events(n);
}

/* Software may only release entries that were posted. A queue that was full holds up others. */
static void ring_cq(struct nvme *n, unsigned qid, u16 head)
{
	unsigned size = n->cq_size[qid];
	bool was_full = nvme_cq_full(n, qid);

	if ((head + size - n->cq_head[qid]) % size >
	    (n->cq_tail[qid] + size - n->cq_head[qid]) % size) {
		raise_event(n, EVENT_DOORBELL_VALUE);
		return;
	}
	n->cq_head[qid] = head;
	update_pin(n);
	if (was_full)
		later(n);
	if (was_full && qid == 0)
		deliver_events(n);
}

static void write_doorbell(struct nvme *n, u64 index, u32 value)
{
	unsigned qid = (unsigned)(index / 2);
	bool cq = index & 1;
	unsigned size;

	if (!running(n))
		return;
	size = qid >= NVME_QUEUES ? 0 : cq ? n->cq_size[qid] : n->sq_size[qid];
	if (size == 0 || value >= size) {
		LOG(n->pci.dev.env.log, guest_error, "%s: doorbell %u := %x", n->pci.dev.id,
		    (unsigned)index, value);
		raise_event(n, size == 0 ? EVENT_DOORBELL_REGISTER : EVENT_DOORBELL_VALUE);
		return;
	}
	if (cq)
		ring_cq(n, qid, (u16)value);
	else
		ring_sq(n, qid, (u16)value);
}

/* Controller configuration */

static void stop(struct nvme *n)
{
	memset(n->sq_size, 0, sizeof(n->sq_size));
	memset(n->sq_base, 0, sizeof(n->sq_base));
	memset(n->sq_head, 0, sizeof(n->sq_head));
	memset(n->sq_tail, 0, sizeof(n->sq_tail));
	memset(n->sq_cq, 0, sizeof(n->sq_cq));
	memset(n->cq_size, 0, sizeof(n->cq_size));
	memset(n->cq_base, 0, sizeof(n->cq_base));
	memset(n->cq_head, 0, sizeof(n->cq_head));
	memset(n->cq_tail, 0, sizeof(n->cq_tail));
	memset(n->cq_vector, 0, sizeof(n->cq_vector));
	memset(n->cq_phase, 0, sizeof(n->cq_phase));
	memset(n->cq_interrupts, 0, sizeof(n->cq_interrupts));
	n->aer_count = 0;
	memset(n->aer_cid, 0, sizeof(n->aer_cid));
	n->event_pending = 0;
	n->event_masked = 0;
	n->intms = 0;
	n->csts = 0;
	nvme_reset_features(n);
	timer_cancel(n->pci.dev.env.clock, &n->more);
	update_pin(n);
}

static bool can_start(const struct nvme *n)
{
	u64 page = nvme_page_size(n);

	return bits(n->cc, 6, 4) == 0 && bits(n->cc, 10, 7) <= CAP_MPSMAX &&
	       bits(n->cc, 13, 11) == 0 && n->asq % page == 0 && n->acq % page == 0 &&
	       bits(n->aqa, 11, 0) != 0 && bits(n->aqa, 27, 16) != 0;
}

static void start(struct nvme *n)
{
	if (!can_start(n)) {
		nvme_fatal(n, "enabled with an impossible configuration");
		return;
	}
	n->sq_base[0] = n->asq;
	n->sq_size[0] = (u16)(bits(n->aqa, 11, 0) + 1);
	n->cq_base[0] = n->acq;
	n->cq_size[0] = (u16)(bits(n->aqa, 27, 16) + 1);
	n->cq_phase[0] = 1;
	n->cq_interrupts[0] = 1;
	n->csts = CSTS_RDY;
}

static void write_cc(struct nvme *n, u32 value)
{
	u32 old = n->cc;
	struct host_block *b = n->block;

	/* While enabled only EN and SHN can change. */
	if ((old & CC_EN) && (value & CC_EN))
		value = (old & ~CC_SHN) | (value & CC_SHN);
	n->cc = value & CC_WRITABLE;
	if ((old & CC_EN) && !(n->cc & CC_EN))
		stop(n);
	if (!(old & CC_EN) && (n->cc & CC_EN))
		start(n);
	if (bits(n->cc, 15, 14) && !(n->csts & CSTS_SHST)) {
		b->flush(b->owner);
		n->csts |= CSTS_SHST_COMPLETE;
	}
}

/* Registers */

static u32 read_register(const struct nvme *n, u64 offset)
{
	switch (offset) {
	case REG_CAP:
		return (NVME_MQES - 1) | 1u << 16 | CAP_TIMEOUT << 24;
	case REG_CAP_HIGH:
		return 1u << (37 - 32) | CAP_MPSMAX << (52 - 32);
	case REG_VS:
		return NVME_VERSION;
	case REG_INTMS:
	case REG_INTMC:
		return n->intms;
	case REG_CC:
		return n->cc;
	case REG_CSTS:
		return n->csts;
	case REG_AQA:
		return n->aqa;
	case REG_ASQ:
		return (u32)n->asq;
	case REG_ASQ_HIGH:
		return (u32)(n->asq >> 32);
	case REG_ACQ:
		return (u32)n->acq;
	case REG_ACQ_HIGH:
		return (u32)(n->acq >> 32);
	default:
		return 0;
	}
}

static void set_low(u64 *reg, u32 value)
{
	*reg = (*reg & ~0xffffffffull) | (value & 0xfffff000u);
}

static void set_high(u64 *reg, u32 value)
{
	*reg = (*reg & 0xffffffffull) | (u64)value << 32;
}

static void write_register(struct nvme *n, u64 offset, u32 value)
{
	switch (offset) {
	case REG_INTMS:
		set_mask(n, n->intms | value);
		break;
	case REG_INTMC:
		set_mask(n, n->intms & ~value);
		break;
	case REG_CC:
		write_cc(n, value);
		break;
	case REG_AQA:
		n->aqa = value & AQA_WRITABLE;
		break;
	case REG_ASQ:
		set_low(&n->asq, value);
		break;
	case REG_ASQ_HIGH:
		set_high(&n->asq, value);
		break;
	case REG_ACQ:
		set_low(&n->acq, value);
		break;
	case REG_ACQ_HIGH:
		set_high(&n->acq, value);
		break;
	default:
		LOG(n->pci.dev.env.log, guest_error, "%s: write to register %x", n->pci.dev.id,
		    (unsigned)offset);
	}
}

static u64 nvme_bar_read(struct pci_device *p, u64 offset, unsigned size)
{
	struct nvme *n = (struct nvme *)p;
	u64 v = read_register(n, offset);

	return size == 8 ? v | (u64)read_register(n, offset + 4) << 32 : v;
}

static void nvme_bar_write(struct pci_device *p, u64 offset, u64 value, unsigned size)
{
	struct nvme *n = (struct nvme *)p;

	for (unsigned i = 0; i < size; i += 4, offset += 4, value >>= 32) {
		if (offset >= DOORBELLS)
			write_doorbell(n, (offset - DOORBELLS) / 4, (u32)value);
		else
			write_register(n, offset, (u32)value);
	}
}

/* Class */

static void nvme_init(struct device *d)
{
	struct nvme *n = (struct nvme *)d;
	struct pci_device *p = &n->pci;

	pci_init(p, 0x1b36, 0x0010, 0x010802, 0x02);
	pci_set_subsystem(p, 0x1af4, 0x1100);
	pci_set_pin(p, 1);
	pci_add_bar(p, 0, PCI_BAR_MEM64, BAR_SIZE, 4, 8, nvme_bar_read, nvme_bar_write);
	pci_add_msi(p, 5, true);
	pci_add_msix(p, NVME_QUEUES, 0, MSIX_TABLE, MSIX_PBA);
	timer_init(&n->more, run_all, n);
}

/* Health counters outlive a reset, as on a real drive. */
static void nvme_reset(struct device *d)
{
	struct nvme *n = (struct nvme *)d;

	if ((n->csts & CSTS_RDY) && !(n->csts & CSTS_SHST))
		n->unsafe_shutdowns++;
	pci_reset(&n->pci);
	n->cc = n->aqa = 0;
	n->asq = n->acq = 0;
	stop(n);
}

static bool queues_valid(const struct nvme *n)
{
	for (unsigned q = 0; q < NVME_QUEUES; q++) {
		u16 max = q ? NVME_MQES : 4096;
		u16 sq = n->sq_size[q], cq = n->cq_size[q];

		if (sq == 1 || sq > max || cq == 1 || cq > max || n->cq_vector[q] > 31)
			return false;
		if (sq && (n->sq_cq[q] >= NVME_QUEUES || !n->cq_size[n->sq_cq[q]]))
			return false;
		if ((sq && (n->sq_head[q] >= sq || n->sq_tail[q] >= sq)) ||
		    (cq && (n->cq_head[q] >= cq || n->cq_tail[q] >= cq)))
			return false;
		if (n->cq_phase[q] > 1 || n->cq_interrupts[q] > 1)
			return false;
	}
	return true;
}

static bool nvme_post_load(struct device *d)
{
	struct nvme *n = (struct nvme *)d;

	if (!queues_valid(n) || (n->cc & ~CC_WRITABLE) || (n->aqa & ~AQA_WRITABLE) ||
	    (n->asq & 0xfff) || (n->acq & 0xfff))
		return false;
	if ((n->csts & ~(u32)(CSTS_RDY | CSTS_CFS | CSTS_SHST)) || n->aer_count > NVME_AERS ||
	    n->event_pending >> NVME_EVENTS)
		return false;
	if ((n->csts & CSTS_RDY) &&
	    (bits(n->cc, 10, 7) > CAP_MPSMAX || !n->sq_size[0] || n->sq_cq[0]))
		return false;
	if (!pci_post_load(&n->pci))
		return false;
	timer_cancel(n->pci.dev.env.clock, &n->more);
	later(n);
	return true;
}

#define N(m) STATE_FIELD(struct nvme, m)
#define A(m) STATE_ARRAY(struct nvme, m, m[0])
static const struct state_field nvme_state[] = {
	PCI_STATE(struct nvme, pci),
	N(intms),
	N(cc),
	N(csts),
	N(aqa),
	N(asq),
	N(acq),
	A(sq_base),
	A(sq_size),
	A(sq_head),
	A(sq_tail),
	A(sq_cq),
	A(cq_base),
	A(cq_size),
	A(cq_head),
	A(cq_tail),
	A(cq_vector),
	A(cq_phase),
	A(cq_interrupts),
	N(arbitration),
	N(power_state),
	A(temp_threshold),
	N(error_recovery),
	N(write_cache),
	N(coalescing),
	A(vector_config),
	N(write_atomicity),
	N(async_config),
	N(timestamp_base),
	N(timestamp_at),
	N(timestamp_origin),
	A(aer_cid),
	N(aer_count),
	N(event_pending),
	N(event_masked),
	N(error_count),
	STATE_BYTES(struct nvme, errors),
	N(sectors_read),
	N(sectors_written),
	N(reads),
	N(writes),
	N(media_errors),
	N(unsafe_shutdowns),
	STATE_END,
};
#undef N
#undef A

const struct device_class nvme_class = {
	.name = "nvme",
	.size = sizeof(struct nvme),
	.state = nvme_state,
	.init = nvme_init,
	.reset = nvme_reset,
	.post_load = nvme_post_load,
};
