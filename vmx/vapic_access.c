/*
 * The APIC-access page: which accesses the virtual-APIC page serves, APIC-write emulation,
 * APIC-access and APIC-write VM exits (SDM Vol. 3, "Virtualizing Memory-Mapped APIC Accesses").
 *
 * Left out: accesses to the page that only fetch translations (PREFETCH, CLFLUSH of bytes that are
 * virtualized), which have no effect here; physical accesses, which operate on the page itself.
 */
#include "vmx/vapic.h"

enum {
	TYPE_READ,
	TYPE_WRITE,
	TYPE_FETCH,
	TYPE_DELIVERY,
	TYPE_PHYS_DELIVERY = 10,
	TYPE_PHYS = 15,
};

static int access_exit(struct vcpu *v, u64 laddr, unsigned offset, unsigned type)
{
	struct vm_exit e = {.reason = EXIT_REASON_APIC_ACCESS, .laddr = laddr};

	e.rf = v->delivering ? RF_KEEP : RF_SET;
	e.qualification = offset | type << 12;
	e.length = insn_length_now(v);
	return vm_exit(v, &e);
}

int vmx_apic_access_exit(struct vcpu *v, u64 laddr, unsigned offset, unsigned access)
{
	unsigned type = v->delivering		? TYPE_DELIVERY
			: access & ACCESS_FETCH ? TYPE_FETCH
			: access & ACCESS_WRITE ? TYPE_WRITE
						: TYPE_READ;

	return access_exit(v, laddr, offset, type);
}

int vmx_apic_guest_physical(struct vcpu *v)
{
	return access_exit(v, 0, 0, v->delivering ? TYPE_PHYS_DELIVERY : TYPE_PHYS);
}

/* --- which accesses are virtualized --- */

static bool register_virtualized(unsigned offset, bool write)
{
	static const struct {
		u16 first, last;
		bool reads, writes;
	} rows[] = {
#define V(first, last, reads, writes) {first, last, reads, writes},
#include "vmx/vapic_regs.def"
	};
	unsigned reg = offset & 0xff0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (reg >= rows[i].first && reg <= rows[i].last)
			return write ? rows[i].writes : rows[i].reads;
	return false;
}

static bool reads(const struct vmx_state *x, unsigned offset)
{
	if (vmx_on(x, PROC2_APIC_REGISTER_VIRTUALIZATION))
		return register_virtualized(offset, false);
	return offset == VAPIC_TPR;
}

static bool writes(const struct vmx_state *x, unsigned offset)
{
	if (vmx_on(x, PROC2_APIC_REGISTER_VIRTUALIZATION))
		return register_virtualized(offset, true);
	switch (offset) {
	case VAPIC_TPR:
		return true;
	case VAPIC_EOI:
		return vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	case VAPIC_ICR_LO:
		return vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY) ||
		       vmx_on(x, PROC3_IPI_VIRTUALIZATION);
	default:
		return false;
	}
}

/* Behind a virtualized write, an operation may only repeat it. */
static bool follows_write(const struct vmx_state *x, unsigned offset, unsigned size, bool read)
{
	return x->apic_write_pending &&
	       (read || offset != x->apic_write_offset || size != x->apic_write_size);
}

static bool virtualized(const struct vmx_state *x, unsigned offset, unsigned size, unsigned access)
{
	if (!vmx_on(x, PROC_USE_TPR_SHADOW) || access & ACCESS_FETCH || size > 4 ||
	    (offset & 15) + size > 4 || follows_write(x, offset, size, access & ACCESS_READ))
		return false;
	return (!(access & ACCESS_READ) || reads(x, offset)) &&
	       (!(access & ACCESS_WRITE) || writes(x, offset));
}

void vmx_apic_write(struct vcpu *v, unsigned offset, unsigned size, u64 value)
{
	struct vmx_state *x = &v->vmx;

	vapic_write(v, offset, value, size);
	x->apic_write_pending = true;
	x->apic_write_offset = (u16)offset;
	x->apic_write_size = (u8)size;
	v->recheck = true;
}

int vmx_apic_access(struct vcpu *v, u64 laddr, unsigned offset, unsigned size, unsigned access,
		    u64 *value)
{
	if (!virtualized(&v->vmx, offset, size, access))
		return vmx_apic_access_exit(v, laddr, offset, access);
	if (access & ACCESS_READ)
		*value = vapic_read(v, offset, size);
	else
		vmx_apic_write(v, offset, size, *value);
	return 0;
}

/* --- "APIC-Write Emulation" --- */

#define ICR_RESERVED 0xfff33000u /* 31:20, 17:16, 13, and delivery status */
#define ICR_SHORTHAND 0xc0000u
#define ICR_SELF 0x40000u
#define ICR_TRIGGER 0x8000u
#define ICR_LOGICAL 0x800u
#define ICR_MODE 0x700u

static bool icr_is_self_ipi(const struct vmx_state *x, u32 low)
{
	return vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY) && !(low & ICR_RESERVED) &&
	       (low & ICR_SHORTHAND) == ICR_SELF && !(low & (ICR_TRIGGER | ICR_MODE)) &&
	       low >> 4 & 15;
}

void vapic_icr_written(struct vcpu *v, u32 low, u32 destination)
{
	bool plain = !(low & (ICR_RESERVED | ICR_SHORTHAND | ICR_TRIGGER | ICR_LOGICAL | ICR_MODE));

	if (!vmx_on(&v->vmx, PROC3_IPI_VIRTUALIZATION) || !plain ||
	    !ipi_virtualization(v, (u8)low, destination))
		vapic_trap_exit(v, EXIT_REASON_APIC_WRITE, VAPIC_ICR_LO);
}

static void icr_low_written(struct vcpu *v)
{
	u32 low = (u32)vapic_read(v, VAPIC_ICR_LO, 4);

	if (icr_is_self_ipi(&v->vmx, low))
		vid_self_ipi_virtualization(v, (u8)low);
	else
		vapic_icr_written(v, low, (u32)vapic_read(v, VAPIC_ICR_HI, 4) >> 24);
}

void vapic_write_emulation(struct vcpu *v)
{
	unsigned offset = v->vmx.apic_write_offset;

	v->vmx.apic_write_pending = false;
	if (offset == VAPIC_TPR) {
		vapic_write(v, VAPIC_TPR, vapic_read(v, VAPIC_TPR, 1), 4);
		vapic_tpr_virtualization(v);
	} else if (offset == VAPIC_EOI && vmx_on(&v->vmx, PROC2_VIRTUAL_INTERRUPT_DELIVERY)) {
		vapic_write(v, VAPIC_EOI, 0, 4);
		vid_eoi_virtualization(v);
	} else if (offset == VAPIC_ICR_LO) {
		icr_low_written(v);
	} else if ((offset & ~3u) == VAPIC_ICR_HI) {
		vapic_write(v, VAPIC_ICR_HI, vapic_read(v, VAPIC_ICR_HI, 4) & 0xff000000, 4);
	} else {
		vapic_trap_exit(v, EXIT_REASON_APIC_WRITE, (u16)offset);
	}
}
