/*
 * Host bridge of the 440FX PCIset: Intel 82441FX PCI and Memory Controller (PMC) datasheet. The
 * registers that steer shadowing (PAM) and SMRAM are stored and reported to the board; DRAM timing
 * and the like are storage. Left out: deturbo, TRC (port CF9h is the piix3's), ECC.
 */
#ifndef DEVICES_I440FX_H
#define DEVICES_I440FX_H

#include "devices/pci.h"

#define I440FX_PAM_AREAS 13

struct i440fx {
	struct pci_device pci;
	/* Wires; both may be NULL. pam: attr bit 0 reads go to RAM, bit 1 writes go to RAM. */
	void (*pam)(void *owner, u64 base, u64 len, u8 attr);
	void (*smram)(void *owner, u8 value);
	void *owner;
	u8 pam_seen[I440FX_PAM_AREAS]; /* what the board was last told; 0xff: nothing yet */
};

extern const struct device_class i440fx_class;

#endif
