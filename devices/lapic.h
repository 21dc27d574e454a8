/*
 * Local APIC: xAPIC, x2APIC and TSC-deadline timer. One per CPU; the CPU itself is only known
 * through the wires.
 */
#ifndef DEVICES_LAPIC_H
#define DEVICES_LAPIC_H

#include "devices/device.h"

struct lapic;

/* All wires must be set (none may be NULL) before init. */
struct lapic_wires {
	void *owner; /* passed to each */
	/* lapic_pending or lapic_accepts_extint may answer differently now. */
	void (*intr_changed)(void *owner);
	void (*init)(void *owner); /* INIT; the machine calls lapic_reset(l, true) as part of it */
	void (*sipi)(void *owner, u8 vector);
	void (*nmi)(void *owner);
	void (*smi)(void *owner);
	/* Message to the other APICs and this one; see lapic_bus_send. True: somebody took it. */
	bool (*send)(void *owner, const struct lapic *from, const struct apic_message *m);
	void (*eoi)(void *owner, u8 vector); /* EOI broadcast to the I/O APICs */
	void (*base_changed)(void *owner);   /* lapic->base has a new value */
	u64 (*tsc_now)(void *owner);	     /* this CPU's TSC */
	/* First virtual ns at which TSC >= tsc; CLOCK_NEVER if that is beyond 64 bits. */
	u64 (*tsc_to_ns)(void *owner, u64 tsc);
};

/* Index of an LVT entry in lapic.lvt. */
enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_CMCI,
	LAPIC_LVTS,
};

enum lapic_result { LAPIC_OK, LAPIC_GP };

#define LAPIC_DEFAULT_BASE 0xfee00000ull
#define LAPIC_BASE_BSP 0x100ull
#define LAPIC_BASE_EXTD 0x400ull
#define LAPIC_BASE_EN 0x800ull

struct lapic {
	struct device device;
	struct lapic_wires wires;
	/* Configuration, before init. */
	u32 id;	  /* x2APIC ID; its low 8 bits are the xAPIC ID after power-up */
	bool bsp; /* IA32_APIC_BASE.BSP after power-up */
	bool has_x2apic;
	bool has_tsc_deadline;
	bool has_cmci;	       /* LVT CMCI register */
	bool has_eoi_suppress; /* SVR bit 12 */
	u8 phys_bits;	       /* MAXPHYADDR; 0 means 46 */
	u32 timer_hz;	       /* input clock of the timer; 0 means CORE_CRYSTAL_HZ */
	/* Memory: the 4 KiB page at base & ~FFFh, for a machine that maps one page per CPU. */
	struct io_region io;

	/* State */
	u64 base;    /* IA32_APIC_BASE */
	u8 xapic_id; /* software can write it in xAPIC mode */
	u32 tpr, ldr, dfr, svr;
	u32 isr[8], tmr[8], irr[8];
	u32 esr;	 /* as read */
	u32 esr_pending; /* collected since the last write of ESR */
	u64 icr;	 /* destination in 63:32 (xAPIC mode: in 63:56) */
	u32 lvt[LAPIC_LVTS];
	u32 timer_initial;
	u32 timer_divide;   /* divide configuration register */
	u32 timer_first;    /* count at timer_start; 0: stopped */
	u64 timer_start;    /* ns */
	u64 timer_expiries; /* counted since timer_start */
	u64 tsc_deadline;   /* 0: disarmed */
	u8 lint;	    /* levels of LINT1:LINT0 */
	u8 extint;	    /* an ExtINT message waits for its INTA cycle */
	struct timer timer;
};

extern const struct device_class lapic_class;

/* init: an INIT signal, which keeps APIC_BASE and the ID; else power-up. */
void lapic_reset(struct lapic *l, bool init);

static inline bool lapic_enabled(const struct lapic *l)
{
	return l->base & LAPIC_BASE_EN;
}

static inline bool lapic_in_x2apic(const struct lapic *l)
{
	return (l->base & (LAPIC_BASE_EN | LAPIC_BASE_EXTD)) == (LAPIC_BASE_EN | LAPIC_BASE_EXTD);
}

/* Registers. MMIO handlers are shaped for io_region; outside xAPIC mode they answer as nothing. */
u64 lapic_mmio_read(void *lapic, u64 offset, unsigned size);
void lapic_mmio_write(void *lapic, u64 offset, u64 value, unsigned size);
/* MSRs 1Bh, 6E0h, 800h..8FFh; anything else is LAPIC_GP. */
enum lapic_result lapic_msr_read(struct lapic *l, u32 msr, u64 *value);
enum lapic_result lapic_msr_write(struct lapic *l, u32 msr, u64 value);
/* The TSC was written or scaled: the TSC-deadline timer is aimed anew. */
void lapic_tsc_changed(struct lapic *l);
/* What a BIOS sets up on the boot processor for PIC mode: software-enabled, LINT0 ExtINT, LINT1
 * NMI. For boots without firmware. */
void lapic_set_virtual_wire(struct lapic *l);
/* CR8: TPR bits 7:4 as 0..15. */
u64 lapic_get_tpr(const struct lapic *l);
void lapic_set_tpr(struct lapic *l, u64 cr8);

/* Interrupts to the CPU: highest deliverable vector, or -1. */
int lapic_pending(const struct lapic *l);
/* Takes the pending vector (IRR to ISR); the spurious vector if there is none any more; -1 if the
 * APIC is disabled. */
int lapic_acknowledge(struct lapic *l);
/* True if the 8259's INTR reaches this CPU: LINT0 as ExtINT, an ExtINT message, or APIC disabled.
 * The caller ands this with pic_pending. */
bool lapic_accepts_extint(const struct lapic *l);
/* The CPU ran the INTA cycle for an external interrupt. */
void lapic_extint_taken(struct lapic *l);

/* As a write of the EOI register. */
void lapic_eoi(struct lapic *l);
/* The notification of a posted interrupt that the CPU itself sends: fixed, to a physical destination
 * in the form of the descriptor's NDST (xAPIC mode: bits 15:8), through the ICR. */
void lapic_notify(struct lapic *l, u32 ndst, u8 vector);

/* Local sources. LINT0/LINT1: n is 0 or 1, shaped for irq_line.set. */
void lapic_set_lint(void *lapic, unsigned n, bool level);
/* An event of the thermal, performance or CMCI kind: delivered as its LVT entry says. A performance
 * interrupt sets the mask of its entry. */
void lapic_local_event(struct lapic *l, enum lapic_lvt which);

/* The APIC bus. from is NULL for messages of an I/O APIC or MSI. */
bool lapic_matches(const struct lapic *l, const struct apic_message *m, const struct lapic *from);
/* Delivers to this APIC, whatever the destination says. True if taken. */
bool lapic_accept(struct lapic *l, const struct apic_message *m);
/* Of the matching APICs, the one with the lowest priority; NULL if none can take it. */
struct lapic *lapic_arbitrate(struct lapic *const *all, unsigned n, const struct apic_message *m,
			      const struct lapic *from);
/* Matching, arbitration and delivery over all APICs of a machine: a whole bus. */
bool lapic_bus_send(struct lapic *const *all, unsigned n, const struct apic_message *m,
		    const struct lapic *from);
/* The message that a write of data to FEExxxxxh stands for. */
struct apic_message lapic_msi_message(u64 addr, u32 data);

#endif
