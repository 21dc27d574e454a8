/*
 * PCI bus 0: configuration mechanism #1, configuration spaces with per-bit write masks, base
 * address registers, INTx, MSI and MSI-X. PCI Local Bus Specification 3.0, chapters "Configuration
 * Space" and "Message Signaled Interrupts". Left out: bridges and further buses, expansion ROMs,
 * parity, hot plug, PCI Express.
 *
 * To put a function on the board: device_setup(), set the chip's wires, pci_plug(). A chip's struct
 * begins with struct pci_device, its state table with PCI_STATE, its reset calls pci_reset and its
 * post_load pci_post_load.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "devices/device.h"

#define PCI_DEVFN(slot, fn) ((u8)((slot) << 3 | (fn)))
#define PCI_SLOT(devfn) ((devfn) >> 3)
#define PCI_FN(devfn) ((devfn)&7)
#define PCI_CONFIG_SIZE 256
#define PCI_BARS 6
#define PCI_MSIX_MAX 64
#define PCI_PINS 4

/* Type 00h header. */
enum pci_reg {
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09, /* three bytes: interface, sub-class, base class */
	PCI_CACHE_LINE = 0x0c,
	PCI_LATENCY = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM_ID = 0x2e,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
};

enum pci_command_bit {
	PCI_COMMAND_IO = 1 << 0,
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
	PCI_COMMAND_PARITY = 1 << 6,
	PCI_COMMAND_SERR = 1 << 8,
	PCI_COMMAND_INTX_DISABLE = 1 << 10,
};

enum pci_status_bit {
	PCI_STATUS_INTERRUPT = 1 << 3,
	PCI_STATUS_CAPABILITIES = 1 << 4,
	PCI_STATUS_MASTER_ABORT = 1 << 13,
};

enum pci_cap_id { PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_device;

struct pci_bar {
	struct io_region region; /* the pci layer's; mapped says whether it is on a bus */
	struct pci_device *dev;
	u64 (*read)(struct pci_device *p, u64 offset, unsigned size);
	void (*write)(struct pci_device *p, u64 offset, u64 value, unsigned size);
	u64 size; /* bytes or ports, a power of two */
	enum pci_bar_kind kind;
	bool mapped;
	bool refused; /* wants to decode, but something else lies there */
};

struct pci_bus {
	struct device dev;
	/* Wires, set before init. */
	struct bus *mem, *io;
	struct msi_sink msi;
	struct irq_line pirq[PCI_PINS]; /* PIRQA..D, e.g. to piix3_set_pirq */
	/* Port CF9h lies inside the address register's dword; piix3 serves it. */
	u8 (*cf9_read)(void *owner);
	void (*cf9_write)(void *owner, u8 value);
	void *cf9_owner;

	u32 address; /* CONFIG_ADDRESS */
	struct io_region address_region, data_region;
	struct pci_device *fn[256]; /* by devfn */
	u8 plugged[256];	    /* devfns, in the order of plugging */
	unsigned count;
};

struct pci_device {
	struct device dev;
	struct pci_bus *bus;
	u8 devfn;
	u8 fixed_line; /* nonzero: pci_assign_resources puts this in Interrupt Line */
	u8 config[PCI_CONFIG_SIZE];
	u8 initial[PCI_CONFIG_SIZE]; /* contents after reset */
	u8 wmask[PCI_CONFIG_SIZE];   /* bits software can write */
	u8 w1c[PCI_CONFIG_SIZE];     /* bits software clears by writing 1 */
	struct pci_bar bar[PCI_BARS];
	u8 intx;    /* the function asserts its interrupt pin */
	u8 cap_end; /* first free byte behind the capabilities, and the last of them */
	u8 cap_last;
	u8 msi_cap, msi_vectors_log2, msi_maskable;
	u32 msi_pending;
	u8 msix_cap, msix_bar;
	u16 msix_vectors;
	u32 msix_table_offset, msix_pba_offset;
	u32 msix_table[PCI_MSIX_MAX][4]; /* address, upper address, data, vector control */
	u64 msix_pending;
	/* Told after the common part took a write of 1, 2 or 4 bytes; may be NULL. */
	void (*config_written)(struct pci_device *p, unsigned reg, unsigned size);
	/* Overrides a read after the common part; may be NULL. Bytes reg.. of config are current.
	 */
	void (*config_reading)(struct pci_device *p, unsigned reg, unsigned size);
};

#define PCI_STATE(type, m)                                                                         \
	STATE_BYTES(type, m.config), STATE_FIELD(type, m.intx), STATE_FIELD(type, m.msi_pending),  \
		STATE_ARRAY(type, m.msix_table, m.msix_table[0][0]),                               \
		STATE_FIELD(type, m.msix_pending)

extern const struct device_class pci_bus_class;

/* Puts the function on the bus and runs its class's init and reset. False if the place is taken. */
bool pci_plug(struct pci_bus *bus, struct pci_device *p, u8 devfn);
/* Which PIRQ line (0..3) pin (0 = INTA#) of a slot drives: one step per slot, slot 1 straight. For
 * writing _PRT and MP tables. */
unsigned pci_pirq(unsigned slot, unsigned pin);

u32 pci_config_read(struct pci_device *p, unsigned reg, unsigned size);
void pci_config_write(struct pci_device *p, unsigned reg, u32 value, unsigned size);

/* For a chip's init. */
void pci_init(struct pci_device *p, u16 vendor, u16 device, u32 class_code, u8 revision);
void pci_set_subsystem(struct pci_device *p, u16 vendor, u16 id);
void pci_set_pin(struct pci_device *p, unsigned pin); /* 1 = INTA# */
void pci_set_initial(struct pci_device *p, unsigned reg, u32 value, unsigned size);
void pci_set_writable(struct pci_device *p, unsigned reg, u32 mask, unsigned size);
/* min and max are the access sizes of read and write; offsets are from the BAR's start. */
void pci_add_bar(struct pci_device *p, unsigned n, enum pci_bar_kind kind, u64 size, u8 min, u8 max,
		 u64 (*read)(struct pci_device *p, u64 offset, unsigned size),
		 void (*write)(struct pci_device *p, u64 offset, u64 value, unsigned size));
/* Returns the capability's place; its first two bytes are filled in, the rest is zero. */
unsigned pci_add_capability(struct pci_device *p, u8 id, unsigned len);
void pci_add_msi(struct pci_device *p, unsigned vectors_log2, bool maskable);
/* Table and pending bits lie in BAR `bar`, in front of whatever the chip has there. */
void pci_add_msix(struct pci_device *p, unsigned vectors, unsigned bar, u32 table_offset,
		  u32 pba_offset);

/* For a chip's reset and post_load. */
void pci_reset(struct pci_device *p);
bool pci_post_load(struct pci_device *p);

/* Interrupts. */
void pci_set_intx(struct pci_device *p, bool level);
bool pci_msi_enabled(const struct pci_device *p);
bool pci_msix_enabled(const struct pci_device *p);
/* How many MSI vectors software granted, 1..32. */
unsigned pci_msi_granted(const struct pci_device *p);
void pci_send_msi(struct pci_device *p, unsigned vector);
void pci_send_msix(struct pci_device *p, unsigned vector);

/* Bus mastering. False, and all-ones on a read, if the function may not master the bus or any byte
 * lies outside RAM; then Received Master Abort is set. */
bool pci_dma_read(struct pci_device *p, u64 addr, void *buf, u64 len);
bool pci_dma_write(struct pci_device *p, u64 addr, const void *buf, u64 len);

/* What firmware would do: gives every BAR an address, largest first, switches decoding on and fills
 * Interrupt Line from irq[PIRQ]. What does not fit stays off and is logged. */
struct pci_window {
	u64 mem_base, mem_end; /* end is exclusive; below 4 GiB */
	u32 io_base, io_end;
	u8 irq[PCI_PINS];
};
bool pci_assign_resources(struct pci_bus *bus, const struct pci_window *w);

#endif
