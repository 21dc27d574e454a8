/*
 * I/O APIC: 82093AA registers, 24 inputs, with the version 20h EOI register.
 */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "devices/device.h"

#define IOAPIC_PINS 24

struct ioapic {
	struct device device;
	/* Wires: the APIC bus. Returns whether any local APIC took the message. */
	bool (*send)(void *owner, const struct apic_message *m);
	void *send_owner;
	/* Configuration: APIC ID after reset, 0..15. */
	u8 initial_id;
	/* Memory: FEC00000h (1000h). */
	struct io_region io;
	u8 select;
	u32 id;	   /* as register 0 reads */
	u32 lines; /* input levels */
	u64 redirection[IOAPIC_PINS];
};

extern const struct device_class ioapic_class;

/* Shaped for irq_line.set; `level` is "asserted", the polarity bit does not invert it. */
void ioapic_set_irq(void *ioapic, unsigned n, bool level);
/* EOI broadcast for a level-triggered vector. */
void ioapic_eoi(struct ioapic *io, u8 vector);

#endif
