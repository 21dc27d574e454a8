/*
 * Between pci.c and pci_msi.c only.
 */
#ifndef DEVICES_PCI_INTERNAL_H
#define DEVICES_PCI_INTERNAL_H

#include "devices/pci.h"

/* False if the access is not to the MSI-X table or pending bits. */
bool pci_msix_read(struct pci_device *p, unsigned bar, u64 offset, unsigned size, u64 *value);
bool pci_msix_write(struct pci_device *p, unsigned bar, u64 offset, u64 value, unsigned size);
u8 pci_msi_pending_byte(const struct pci_device *p, unsigned reg);
/* Sends what is pending and no longer masked. */
void pci_msi_flush(struct pci_device *p);
void pci_msi_reset(struct pci_device *p);
bool pci_msi_valid(const struct pci_device *p);

#endif
