/*
 * PCI-to-ISA bridge: Intel 82371SB (PIIX3) datasheet, function 0, with the PIRQ routing registers
 * and the Reset Control Register (port CF9h); and the power management function of the 82371AB
 * (PIIX4) datasheet as function 3, which tells the board where the PM registers lie. Left out: IDE
 * and USB functions, SMI generation, distributed DMA, SMBus transfers.
 */
#ifndef DEVICES_PIIX3_H
#define DEVICES_PIIX3_H

#include "devices/pci.h"

struct piix3 {
	struct pci_device pci;
	/* Wires. irq: ISA interrupt requests by number, driven with the OR of the PIRQs routed
	 * there (only numbers some PIRQ was ever routed to are driven). ioapic: PIRQA..D as they
	 * are, for IOAPIC pins 16..19. reset: port CF9h; hard when RCR bit 1 is set. */
	struct irq_line irq[16];
	struct irq_line ioapic[PCI_PINS];
	void (*reset)(void *owner, bool hard);
	void *reset_owner;

	u8 pirq_level; /* bit per PIRQ */
	u16 irq_level; /* bit per ISA interrupt as driven now */
	u8 rcr;
};

/* owner is a struct piix3: the target of pci_bus.pirq[n]. */
void piix3_set_pirq(void *owner, unsigned n, bool level);
/* As firmware would program PIRQRCA..D; 0 leaves a PIRQ unrouted. */
void piix3_set_routes(struct piix3 *x, const u8 irq[PCI_PINS]);
/* Port CF9h; piix3's init connects them to its pci_bus. */
u8 piix3_cf9_read(void *owner);
void piix3_cf9_write(void *owner, u8 value);

extern const struct device_class piix3_class;

#define PIIX4_PM_DEFAULT_BASE 0x600

struct piix4_pm {
	struct pci_device pci;
	/* Told at reset, at load and whenever the PM register block (64 ports) moves; may be NULL.
	 */
	void (*decode)(void *owner, u16 base, bool enabled);
	void *owner;
};

extern const struct device_class piix4_pm_class;

#endif
