/*
 * virtio over PCI, legacy and modern registers. See virtio_pci.h.
 */
#include "base/bits.h"
#include "devices/virtio_pci.h"

#define LEGACY_BAR 0
#define MSIX_BAR 1
#define MODERN_BAR 4
#define LEGACY_SIZE 128
#define MODERN_SIZE 0x4000
#define PART_SIZE 0x1000
#define MSIX_PBA 0x800
#define NOTIFY_MULTIPLIER 4
#define ISR_QUEUE 1

/* Parts of the modern BAR, in order, 4 KiB each; configuration type in the capability. */
enum part { PART_COMMON, PART_ISR, PART_DEVICE, PART_NOTIFY };
static const u8 part_type[] = {
	[PART_COMMON] = 1, [PART_ISR] = 3, [PART_DEVICE] = 4, [PART_NOTIFY] = 2};
#define CAP_TYPE_PCI_CFG 5

/* "PCI configuration access capability": places from its start. */
enum { CFG_BAR = 4, CFG_OFFSET = 8, CFG_LENGTH = 12, CFG_DATA = 16 };

/* "Common configuration structure layout": offset, bytes; 64-bit addresses as two halves. */
#define COMMON_FIELDS(F)                                                                           \
	F(OFFERED_SELECT, 0x00, 4)                                                                 \
	F(OFFERED, 0x04, 4)                                                                        \
	F(FEATURES_SELECT, 0x08, 4)                                                                \
	F(FEATURES, 0x0c, 4)                                                                       \
	F(CONFIG_VECTOR, 0x10, 2)                                                                  \
	F(QUEUES, 0x12, 2)                                                                         \
	F(STATUS, 0x14, 1)                                                                         \
	F(GENERATION, 0x15, 1)                                                                     \
	F(QUEUE_SELECT, 0x16, 2)                                                                   \
	F(QUEUE_SIZE, 0x18, 2)                                                                     \
	F(QUEUE_VECTOR, 0x1a, 2)                                                                   \
	F(QUEUE_ENABLE, 0x1c, 2)                                                                   \
	F(QUEUE_NOTIFY_OFF, 0x1e, 2)                                                               \
	F(QUEUE_DESC, 0x20, 4)                                                                     \
	F(QUEUE_DESC_HIGH, 0x24, 4)                                                                \
	F(QUEUE_AVAIL, 0x28, 4)                                                                    \
	F(QUEUE_AVAIL_HIGH, 0x2c, 4)                                                               \
	F(QUEUE_USED, 0x30, 4)                                                                     \
	F(QUEUE_USED_HIGH, 0x34, 4)

/* "Legacy Interfaces: A Note on PCI Device Layout" */
#define LEGACY_FIELDS(F)                                                                           \
	F(L_OFFERED, 0x00, 4)                                                                      \
	F(L_FEATURES, 0x04, 4)                                                                     \
	F(L_QUEUE_PFN, 0x08, 4)                                                                    \
	F(L_QUEUE_SIZE, 0x0c, 2)                                                                   \
	F(L_QUEUE_SELECT, 0x0e, 2)                                                                 \
	F(L_QUEUE_NOTIFY, 0x10, 2)                                                                 \
	F(L_STATUS, 0x12, 1)                                                                       \
	F(L_ISR, 0x13, 1)                                                                          \
	F(L_CONFIG_VECTOR, 0x14, 2)                                                                \
	F(L_QUEUE_VECTOR, 0x16, 2)

#define F(name, offset, size) FIELD_##name = (offset),
enum common_field { COMMON_FIELDS(F) };
enum legacy_field { LEGACY_FIELDS(F) };
#undef F

struct field {
	u8 offset, size;
};
#define F(name, offset, size) {offset, size},
static const struct field common_fields[] = {COMMON_FIELDS(F)};
static const struct field legacy_fields[] = {LEGACY_FIELDS(F)};
#undef F

/* Interrupts */

static void update_intx(struct virtio_pci *x)
{
	pci_set_intx(&x->pci, x->vdev.isr != 0);
}

static void raise_interrupt(void *owner, int q)
{
	struct virtio_pci *x = owner;

	if (pci_msix_enabled(&x->pci)) {
		pci_send_msix(&x->pci, q < 0 ? x->vdev.config_vector : x->vdev.q_vector[q]);
		return;
	}
	if (q >= 0)
		x->vdev.isr |= ISR_QUEUE;
	update_intx(x);
}

static u8 read_isr(struct virtio_pci *x)
{
	u8 isr = x->vdev.isr;

	x->vdev.isr = 0;
	update_intx(x);
	return isr;
}

/* A vector that the table does not have is answered with "no vector". */
static u16 checked_vector(const struct virtio_pci *x, u32 vector)
{
	return vector < x->pci.msix_vectors ? (u16)vector : VIRTIO_NO_VECTOR;
}

static void write_status(struct virtio_pci *x, u8 status)
{
	virtio_set_status(&x->vdev, status);
	update_intx(x);
}

static bool dma_in(void *owner, u64 addr, void *buf, u64 len)
{
	return pci_dma_read(&((struct virtio_pci *)owner)->pci, addr, buf, len);
}

static bool dma_out(void *owner, u64 addr, const void *buf, u64 len)
{
	return pci_dma_write(&((struct virtio_pci *)owner)->pci, addr, buf, len);
}

/* Common configuration */

static u32 half(u64 value, u32 select)
{
	return select == 0 ? (u32)value : select == 1 ? (u32)(value >> 32) : 0;
}

static void set_half(u64 *value, u32 select, u32 half_value)
{
	if (select <= 1)
		*value = (*value & ~(0xffffffffull << (32 * select))) | (u64)half_value
										<< (32 * select);
}

/* The selected queue's address that a field is half of. */
static u64 *queue_address(struct virtio *v, unsigned field)
{
	unsigned q = v->queue_select;

	return field < FIELD_QUEUE_AVAIL  ? &v->q_desc[q]
	       : field < FIELD_QUEUE_USED ? &v->q_avail[q]
					  : &v->q_used[q];
}

static u32 read_queue_field(struct virtio *v, unsigned field)
{
	unsigned q = v->queue_select;

	if (q >= v->queues)
		return field == FIELD_QUEUE_VECTOR ? VIRTIO_NO_VECTOR : 0;
	switch (field) {
	case FIELD_QUEUE_SIZE:
		return v->q_size[q];
	case FIELD_QUEUE_VECTOR:
		return v->q_vector[q];
	case FIELD_QUEUE_ENABLE:
		return v->q_enabled[q];
	case FIELD_QUEUE_NOTIFY_OFF:
		return q;
	default:
		return half(*queue_address(v, field), field >> 2 & 1);
	}
}

static u32 read_common_field(struct virtio *v, unsigned field)
{
	switch (field) {
	case FIELD_OFFERED_SELECT:
		return v->offered_select;
	case FIELD_OFFERED:
		return half(v->offered, v->offered_select);
	case FIELD_FEATURES_SELECT:
		return v->features_select;
	case FIELD_FEATURES:
		return half(v->features, v->features_select);
	case FIELD_CONFIG_VECTOR:
		return v->config_vector;
	case FIELD_QUEUES:
		return v->queues;
	case FIELD_STATUS:
		return v->status;
	case FIELD_GENERATION:
		return v->generation;
	case FIELD_QUEUE_SELECT:
		return v->queue_select;
	default:
		return read_queue_field(v, field);
	}
}

static void enable_queue(struct virtio *v, unsigned q)
{
	if ((v->q_desc[q] & 15) || (v->q_avail[q] & 1) || (v->q_used[q] & 3) || !v->q_size[q])
		virtio_break(v, "a queue is enabled with impossible addresses");
	else
		v->q_enabled[q] = 1;
}

static void write_queue_size(struct virtio *v, unsigned q, u32 size)
{
	if (size == 0 || size > v->queue_max[q] || (size & (size - 1)))
		LOG(v->dev->env.log, guest_error, "%s: queue size %u", v->dev->id, size);
	else
		v->q_size[q] = (u16)size;
}

/* Size and addresses stand still while the queue is enabled. */
static void write_queue_field(struct virtio_pci *x, unsigned field, u32 value)
{
	struct virtio *v = &x->vdev;
	unsigned q = v->queue_select;

	if (q >= v->queues)
		return;
	if (field == FIELD_QUEUE_VECTOR) {
		v->q_vector[q] = checked_vector(x, value);
		return;
	}
	if (v->q_enabled[q]) {
		LOG(v->dev->env.log, guest_error, "%s: queue %u changed while enabled", v->dev->id,
		    q);
		return;
	}
	switch (field) {
	case FIELD_QUEUE_SIZE:
		write_queue_size(v, q, value);
		break;
	case FIELD_QUEUE_ENABLE:
		if (value == 1)
			enable_queue(v, q);
		break;
	case FIELD_QUEUE_NOTIFY_OFF:
		break;
	default:
		set_half(queue_address(v, field), field >> 2 & 1, value);
	}
}

static void write_common_field(struct virtio_pci *x, unsigned field, u32 value)
{
	struct virtio *v = &x->vdev;
	u64 features = v->features;

	switch (field) {
	case FIELD_OFFERED_SELECT:
		v->offered_select = value;
		break;
	case FIELD_FEATURES_SELECT:
		v->features_select = value;
		break;
	case FIELD_FEATURES:
		set_half(&features, v->features_select, value);
		virtio_set_features(v, features);
		break;
	case FIELD_CONFIG_VECTOR:
		v->config_vector = checked_vector(x, value);
		break;
	case FIELD_STATUS:
		write_status(x, (u8)value);
		break;
	case FIELD_QUEUE_SELECT:
		v->queue_select = (u16)value;
		break;
	case FIELD_OFFERED:
	case FIELD_QUEUES:
	case FIELD_GENERATION:
		break;
	default:
		write_queue_field(x, field, value);
	}
}

static const struct field *find_field(const struct field *f, size_t n, u64 offset)
{
	for (size_t i = 0; i < n; i++)
		if (offset >= f[i].offset && offset < f[i].offset + (u64)f[i].size)
			return &f[i];
	return NULL;
}

static const struct field *exact_field(struct virtio *v, const struct field *f, size_t n,
				       u64 offset, unsigned size)
{
	f = find_field(f, n, offset);
	if (f && f->offset == offset && f->size == size)
		return f;
	LOG(v->dev->env.log, guest_error, "%s: %u-byte write at %u fits no field", v->dev->id, size,
	    (unsigned)offset);
	return NULL;
}

static u64 read_common(struct virtio_pci *x, u64 offset, unsigned size)
{
	u64 v = 0;

	for (unsigned i = 0; i < size; i++) {
		const struct field *f =
			find_field(common_fields, ARRAY_SIZE(common_fields), offset + i);

		if (f)
			v |= (u64)(u8)(read_common_field(&x->vdev, f->offset) >>
				       (8 * (offset + i - f->offset)))
			     << (8 * i);
	}
	return v;
}

/* Device configuration */

static u64 read_config(struct virtio *v, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		if (offset + i < v->type->config_len)
			value |= (u64)v->type->config_read(v, (unsigned)offset + i) << (8 * i);
	return value;
}

static void write_config(struct virtio *v, u64 offset, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (offset + i < v->type->config_len && v->type->config_write)
			v->type->config_write(v, (unsigned)offset + i, (u8)(value >> (8 * i)));
}

/* The modern BAR */

static u64 modern_read(struct pci_device *p, u64 offset, unsigned size)
{
	struct virtio_pci *x = (struct virtio_pci *)p;
	u64 at = offset % PART_SIZE;

	switch (offset / PART_SIZE) {
	case PART_COMMON:
		return read_common(x, at, size);
	case PART_ISR:
		return at == 0 ? read_isr(x) : 0;
	case PART_DEVICE:
		return read_config(&x->vdev, at, size);
	default:
		return 0;
	}
}

static void modern_write(struct pci_device *p, u64 offset, u64 value, unsigned size)
{
	struct virtio_pci *x = (struct virtio_pci *)p;
	u64 at = offset % PART_SIZE;

	switch (offset / PART_SIZE) {
	case PART_COMMON:
		if (exact_field(&x->vdev, common_fields, ARRAY_SIZE(common_fields), at, size))
			write_common_field(x, (unsigned)at, (u32)value);
		break;
	case PART_DEVICE:
		write_config(&x->vdev, at, value, size);
		break;
	case PART_NOTIFY:
		virtio_queue_notify(&x->vdev, (unsigned)at / NOTIFY_MULTIPLIER);
		break;
	default:
		break;
	}
}

/* The legacy BAR */

static unsigned legacy_config_start(const struct virtio_pci *x)
{
	return pci_msix_enabled(&x->pci) ? 0x18 : 0x14;
}

static u32 read_legacy_field(struct virtio_pci *x, unsigned field)
{
	struct virtio *v = &x->vdev;
	unsigned q = v->queue_select;

	switch (field) {
	case FIELD_L_OFFERED:
		return (u32)v->offered;
	case FIELD_L_FEATURES:
		return (u32)v->features;
	case FIELD_L_QUEUE_PFN:
		return q < v->queues && v->q_enabled[q] ? (u32)(v->q_desc[q] >> 12) : 0;
	case FIELD_L_QUEUE_SIZE:
		return q < v->queues ? v->queue_max[q] : 0;
	case FIELD_L_QUEUE_SELECT:
		return q;
	case FIELD_L_STATUS:
		return v->status;
	case FIELD_L_ISR:
		return read_isr(x);
	case FIELD_L_CONFIG_VECTOR:
		return v->config_vector;
	case FIELD_L_QUEUE_VECTOR:
		return q < v->queues ? v->q_vector[q] : VIRTIO_NO_VECTOR;
	default:
		return 0;
	}
}

/* "Legacy Interfaces: A Note on Virtqueue Layout": one block, the used ring on the next page. */
static void set_legacy_queue(struct virtio *v, unsigned q, u32 pfn)
{
	u64 size = v->queue_max[q];

	v->q_enabled[q] = pfn != 0;
	v->q_size[q] = (u16)size;
	v->q_desc[q] = (u64)pfn << 12;
	v->q_avail[q] = v->q_desc[q] + 16 * size;
	v->q_used[q] = (v->q_avail[q] + 2 * (3 + size) + 0xfff) & ~0xfffull;
	v->q_next_avail[q] = v->q_next_used[q] = v->q_signalled[q] = 0;
	v->q_signalled_valid[q] = 0;
}

static void write_legacy_field(struct virtio_pci *x, unsigned field, u32 value)
{
	struct virtio *v = &x->vdev;
	unsigned q = v->queue_select;

	switch (field) {
	case FIELD_L_FEATURES:
		virtio_set_features(v, value);
		break;
	case FIELD_L_QUEUE_PFN:
		if (q < v->queues)
			set_legacy_queue(v, q, value);
		break;
	case FIELD_L_QUEUE_SELECT:
		v->queue_select = (u16)value;
		break;
	case FIELD_L_QUEUE_NOTIFY:
		virtio_queue_notify(v, value);
		break;
	case FIELD_L_STATUS:
		write_status(x, (u8)value);
		break;
	case FIELD_L_CONFIG_VECTOR:
		v->config_vector = checked_vector(x, value);
		break;
	case FIELD_L_QUEUE_VECTOR:
		if (q < v->queues)
			v->q_vector[q] = checked_vector(x, value);
		break;
	default:
		break;
	}
}

static u64 legacy_read(struct pci_device *p, u64 offset, unsigned size)
{
	struct virtio_pci *x = (struct virtio_pci *)p;
	unsigned start = legacy_config_start(x);
	const struct field *f;

	if (offset >= start)
		return read_config(&x->vdev, offset - start, size);
	f = find_field(legacy_fields, ARRAY_SIZE(legacy_fields), offset);
	return f ? read_legacy_field(x, f->offset) >> (8 * (offset - f->offset)) & size_mask(size)
		 : 0;
}

static void legacy_write(struct pci_device *p, u64 offset, u64 value, unsigned size)
{
	struct virtio_pci *x = (struct virtio_pci *)p;
	unsigned start = legacy_config_start(x);

	if (offset >= start)
		write_config(&x->vdev, offset - start, value, size);
	else if (exact_field(&x->vdev, legacy_fields, ARRAY_SIZE(legacy_fields), offset, size))
		write_legacy_field(x, (unsigned)offset, (u32)value);
}

/* PCI configuration access capability: a window on the BARs for code that cannot reach them. */

static struct pci_bar *window(struct virtio_pci *x, u64 *offset, unsigned *len)
{
	const u8 *cap = &x->pci.config[x->cfg_cap];
	unsigned n = cap[CFG_BAR];
	u32 want = load_le32(cap + CFG_LENGTH);
	struct pci_bar *b = n < PCI_BARS ? &x->pci.bar[n] : NULL;

	*offset = load_le32(cap + CFG_OFFSET);
	*len = want;
	if (!b || !b->read || (want != 1 && want != 2 && want != 4) || *offset % want ||
	    *offset + want > b->size)
		return NULL;
	return b;
}

static bool touches_data(const struct virtio_pci *x, unsigned reg, unsigned size)
{
	return reg < x->cfg_cap + CFG_DATA + 4u && reg + size > x->cfg_cap + (unsigned)CFG_DATA;
}

static void window_read(struct pci_device *p, unsigned reg, unsigned size)
{
	struct virtio_pci *x = (struct virtio_pci *)p;
	struct pci_bar *b;
	unsigned len;
	u64 offset;

	if (!touches_data(x, reg, size))
		return;
	b = window(x, &offset, &len);
	if (b)
		store_le(&p->config[x->cfg_cap + CFG_DATA], b->read(p, offset, len), len);
}

static void window_written(struct pci_device *p, unsigned reg, unsigned size)
{
	struct virtio_pci *x = (struct virtio_pci *)p;
	struct pci_bar *b;
	unsigned len;
	u64 offset;

	if (!touches_data(x, reg, size))
		return;
	b = window(x, &offset, &len);
	if (b)
		b->write(p, offset, load_le(&p->config[x->cfg_cap + CFG_DATA], len), len);
}

static unsigned add_cap(struct pci_device *p, u8 type, unsigned len, u32 offset, u32 length)
{
	unsigned at = pci_add_capability(p, PCI_CAP_VENDOR, len);

	pci_set_initial(p, at + 2, len, 1);
	pci_set_initial(p, at + 3, type, 1);
	pci_set_initial(p, at + CFG_BAR, type == CAP_TYPE_PCI_CFG ? 0 : MODERN_BAR, 1);
	pci_set_initial(p, at + CFG_OFFSET, offset, 4);
	pci_set_initial(p, at + CFG_LENGTH, length, 4);
	return at;
}

static void add_capabilities(struct virtio_pci *x)
{
	struct pci_device *p = &x->pci;
	unsigned at;

	for (unsigned i = 0; i < ARRAY_SIZE(part_type); i++) {
		at = add_cap(p, part_type[i], i == PART_NOTIFY ? 20 : 16, i * PART_SIZE, PART_SIZE);
		if (i == PART_NOTIFY)
			pci_set_initial(p, at + 16, NOTIFY_MULTIPLIER, 4);
	}
	at = add_cap(p, CAP_TYPE_PCI_CFG, 20, 0, 0);
	pci_set_writable(p, at + CFG_BAR, 0xff, 1);
	pci_set_writable(p, at + CFG_OFFSET, 0xffffffff, 4);
	pci_set_writable(p, at + CFG_LENGTH, 0xffffffff, 4);
	pci_set_writable(p, at + CFG_DATA, 0xffffffff, 4);
	x->cfg_cap = (u8)at;
	p->config_reading = window_read;
	p->config_written = window_written;
}

/* Transitional device IDs are not in the order of virtio IDs. */
static u16 transitional_id(u16 id)
{
	static const u16 by_id[] = {0,	    0x1000, 0x1001, 0x1003, 0x1005,
				    0x1002, 0,	    0,	    0x1004, 0x1009};

	return id < ARRAY_SIZE(by_id) ? by_id[id] : 0;
}

void virtio_pci_init(struct virtio_pci *x)
{
	struct virtio *v = &x->vdev;
	struct pci_device *p = &x->pci;
	u16 legacy_id = x->modern_only ? 0 : transitional_id(v->type->id);

	v->raise = raise_interrupt;
	v->dma_read = dma_in;
	v->dma_write = dma_out;
	v->owner = x;
	pci_init(p, 0x1af4, legacy_id ? legacy_id : 0x1040 + v->type->id, v->type->class_code,
		 legacy_id ? 0 : 1);
	pci_set_subsystem(p, 0x1af4, legacy_id ? v->type->id : 0x1100);
	pci_set_pin(p, 1);
	if (legacy_id)
		pci_add_bar(p, LEGACY_BAR, PCI_BAR_IO, LEGACY_SIZE, 1, 4, legacy_read,
			    legacy_write);
	pci_add_bar(p, MSIX_BAR, PCI_BAR_MEM32, 0x1000, 1, 8, NULL, NULL);
	pci_add_bar(p, MODERN_BAR, PCI_BAR_MEM64, MODERN_SIZE, 1, 4, modern_read, modern_write);
	pci_add_msix(p, v->queues + 1, MSIX_BAR, 0, MSIX_PBA);
	add_capabilities(x);
}

void virtio_pci_reset(struct virtio_pci *x)
{
	pci_reset(&x->pci);
	virtio_reset(&x->vdev);
}

static bool vector_valid(const struct virtio_pci *x, u16 vector)
{
	return vector == VIRTIO_NO_VECTOR || vector < x->pci.msix_vectors;
}

bool virtio_pci_post_load(struct virtio_pci *x)
{
	for (unsigned q = 0; q < VIRTIO_QUEUES; q++)
		if (!vector_valid(x, x->vdev.q_vector[q]))
			return false;
	return vector_valid(x, x->vdev.config_vector) && virtio_post_load(&x->vdev) &&
	       pci_post_load(&x->pci);
}
