/*
 * Interrupt wires as values. A chip drives lines; it does not know what is at the other end.
 */
#ifndef DEVICES_IRQ_H
#define DEVICES_IRQ_H

#include "base/types.h"

/* A wire: set(owner, n, level) is called on every change the chip drives (and may be called again
 * with the same level). An unconnected line has set == NULL. */
struct irq_line {
	void (*set)(void *owner, unsigned n, bool level);
	void *owner;
	unsigned n;
};

static inline void irq_set(const struct irq_line *l, bool level)
{
	if (l->set)
		l->set(l->owner, l->n, level);
}

/* Where message-signalled interrupts go: a memory write of `data` at `addr` (FEExxxxxh). */
struct msi_sink {
	void (*send)(void *owner, u64 addr, u32 data);
	void *owner;
};

/* Messages on the APIC bus, as the IOAPIC, MSIs and the local APICs' ICR send them. Delivery mode
 * values are those of the SDM's ICR (000 fixed, 001 lowest priority, 010 SMI, 100 NMI, 101 INIT,
 * 110 start-up, 111 ExtINT). */
struct apic_message {
	u32 dest; /* destination field; 32 bits in x2APIC mode */
	u8 mode;  /* delivery mode, 0..7 */
	u8 vector;
	bool logical; /* destination mode */
	bool level;   /* trigger mode */
	bool assert_; /* level: assert (1) or de-assert (0) */
	bool x2apic;  /* dest is an x2APIC destination (cluster form when logical) */
	u8 shorthand; /* 0 none, 1 self, 2 all including self, 3 all excluding self */
};

#endif
