/*
 * NVMe controller with one namespace: NVM Express Base Specification 1.3, memory-based PCIe
 * transport. Admin and I/O queues, PRP transfers, pin, MSI and MSI-X interrupts. Commands are
 * carried out when a doorbell announces them, a bounded amount at a time; the rest follows from a
 * timer. Left out: SGLs, metadata and protection, controller memory buffer, reservations, namespace
 * management, firmware download, self-test, more than one namespace.
 */
#ifndef DEVICES_NVME_H
#define DEVICES_NVME_H

#include "devices/host.h"
#include "devices/pci.h"

#define NVME_QUEUES 17 /* the admin pair and 16 I/O pairs */
#define NVME_AERS 4    /* Asynchronous Event Requests that may be outstanding */
#define NVME_ERRORS 16 /* Error Information log entries */
#define NVME_ERROR_SIZE 64
#define NVME_MAX_TRANSFER 0x80000u /* bytes, 2^MDTS pages of 4 KiB */

struct nvme {
	struct pci_device pci;
	/* Wires, set before init. serial: up to 20 characters, NULL for a default. */
	struct host_block *block;
	const char *serial;

	/* Controller registers. */
	u32 intms, cc, csts, aqa;
	u64 asq, acq;

	/* Queues by identifier; 0 is the admin pair. size counts entries, 0: no such queue. */
	u64 sq_base[NVME_QUEUES];
	u16 sq_size[NVME_QUEUES], sq_head[NVME_QUEUES], sq_tail[NVME_QUEUES], sq_cq[NVME_QUEUES];
	u64 cq_base[NVME_QUEUES];
	u16 cq_size[NVME_QUEUES], cq_head[NVME_QUEUES], cq_tail[NVME_QUEUES];
	u16 cq_vector[NVME_QUEUES];
	u8 cq_phase[NVME_QUEUES], cq_interrupts[NVME_QUEUES];

	/* Features, by identifier. */
	u32 arbitration, power_state, temp_threshold[2], error_recovery, write_cache, coalescing;
	u32 vector_config[NVME_QUEUES];
	u32 write_atomicity, async_config;
	u64 timestamp_base; /* milliseconds, and the virtual time at which it was set */
	u64 timestamp_at;
	u8 timestamp_origin;

	/* Asynchronous events: requests waiting, events waiting, types masked until their log page
	 * is read. */
	u16 aer_cid[NVME_AERS];
	u8 aer_count;
	u32 event_pending; /* bit per row of the event table in nvme_event.c */
	u8 event_masked;   /* bit per event type */

	/* Logs. */
	u64 error_count;
	u8 errors[NVME_ERRORS][NVME_ERROR_SIZE]; /* newest first */
	u64 sectors_read, sectors_written, reads, writes, media_errors, unsafe_shutdowns;

	struct timer more; /* work left over */
	u8 buffer[NVME_MAX_TRANSFER];
};

extern const struct device_class nvme_class;

#endif
