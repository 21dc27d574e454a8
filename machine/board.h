/*
 * The board's inside, shared by the files of this folder only.
 */
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include "cpu/decode.h"
#include "cpu/run.h"
#include "devices/acpi_pm.h"
#include "devices/debug_exit.h"
#include "devices/debugcon.h"
#include "devices/fwcfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/nvme.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/piix3.h"
#include "devices/pit.h"
#include "devices/port92.h"
#include "devices/pvpanic.h"
#include "devices/rtc.h"
#include "devices/testdev.h"
#include "devices/uart.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_rng.h"
#include "machine/machine.h"

#define PM_BASE 0x600
#define GPE_BASE 0xafe0
#define PCI_MEM_BASE 0xe0000000ull
#define PCI_MEM_END 0xfec00000ull
#define SCI_IRQ 9
#define MAX_DEVICES 64

struct cpu_slot {
	struct machine *m;
	struct vcpu v;
	struct lapic lapic;
	struct cpu_wires wires;
};

/* Where at least one local APIC has its registers: normally one page for all. */
struct apic_page {
	struct machine *m;
	struct io_region io;
	bool attached;
};

struct machine {
	struct machine_config cfg;
	struct log *log;
	struct clock clock;
	struct physmem mem;
	struct bus mmio, pio;
	struct block_cache *blocks;
	struct decoder *decoder;
	struct cpu_slot *cpu[MACHINE_MAX_CPUS];
	struct lapic *lapics[MACHINE_MAX_CPUS];
	struct vcpu *cur; /* the CPU that is running now, or NULL */
	unsigned turn;	  /* the CPU that ran last */
	u64 ticks;	  /* virtual time outside turns */
	u64 insns;	  /* executed by all CPUs, for --hash-every */
	u64 next_hash;
	int exit_code;
	bool stopping, reset_wanted, panic_seen;
	bool sleep_wanted, asleep; /* S3: asked for, entered */
	unsigned panic_match;
	u64 random_state;

	/* chips */
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct ioapic ioapic;
	struct hpet hpet;
	struct acpi_pm pm;
	struct uart uart[4];
	struct i8042 i8042;
	struct port92 port92;
	struct debug_exit debug_exit;
	struct testdev testdev;
	struct debugcon debugcon;
	struct pvpanic pvpanic;
	struct fwcfg fwcfg;
	struct pci_bus pci;
	struct i440fx i440fx;
	struct piix3 piix3;
	struct piix4_pm piix4_pm;
	struct virtio_console console;
	struct virtio_rng rng;
	struct nvme *nvme[MACHINE_MAX_DRIVES];
	struct virtio_blk *vblk[MACHINE_MAX_DRIVES];
	struct device *device[MAX_DEVICES]; /* in reset order */
	unsigned devices;
	struct apic_page apic_page[MACHINE_MAX_CPUS];
	struct host_chardev serial_tap; /* serial0, watched for a kernel panic */
	struct host_chardev *serial_host;
	void (*debug_hook)(void *owner, struct vcpu *v);
	void *debug_owner;
};

static inline u64 machine_ticks(const struct machine *m)
{
	return m->cur ? vcpu_ticks(m->cur) : m->ticks;
}

/* board_pc.c */
bool board_build(struct machine *m, char *err, size_t errlen);
void board_reset(struct machine *m);
/* S3: everything but RAM, the RTC and the power management registers loses its state; then firmware
 * makes the board as board_reset leaves it. */
void board_suspend(struct machine *m);
void board_resume(struct machine *m);
void board_free(struct machine *m);
/* acpi.c: writes the tables into RAM below 1 MiB; returns the RSDP's address. */
u64 acpi_build(struct machine *m);
#define ACPI_AREA 0xe0000u
#define ACPI_FACS (ACPI_AREA + 64)
#define ACPI_AREA_END 0x100000u
/* sleep.c: enters S3, and leaves it when something wakes the machine. */
void sleep_step(struct machine *m);
/* boot.c: loads the kernel and sets up CPU 0. err as in machine_new. */
bool boot_setup(struct machine *m, char *err, size_t errlen);

#endif
