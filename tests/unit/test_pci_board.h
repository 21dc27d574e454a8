/*
 * A small board for the tests of PCI devices: RAM, buses, host bridge, ISA bridge, a disk in memory
 * and records of the interrupts that arrived.
 */
#ifndef TESTS_UNIT_TEST_PCI_BOARD_H
#define TESTS_UNIT_TEST_PCI_BOARD_H

#include <check.h>

#include "base/bits.h"
#include "devices/host.h"
#include "devices/i440fx.h"
#include "devices/piix3.h"

#define BOARD_RAM 0x1000000ull
#define BOARD_DISK 0x200000ull
#define BOARD_MSIS 64

struct board {
	struct clock clock;
	u64 now;
	struct log log;
	struct physmem mem;
	struct bus memory, ports;
	struct device_env env;
	struct pci_bus pci;
	struct i440fx host;
	struct piix3 isa;
	struct piix4_pm pm;
	struct {
		u64 addr;
		u32 data;
	} msi[BOARD_MSIS];
	unsigned msis;
	bool irq[16], pin[PCI_PINS];
	unsigned resets, hard_resets;
	u16 pm_base;
	bool pm_on;
	u8 pam[I440FX_PAM_AREAS];

	struct host_block block;
	u8 *disk;
	bool block_fails;
	unsigned flushes;
	u64 discarded; /* bytes */
};

struct board *board_new(void);
void board_free(struct board *b);
/* Resources as for a directly booted guest. */
void board_assign(struct board *b);
void board_run_timers(struct board *b);

u32 cfg_read(struct board *b, u8 devfn, unsigned reg, unsigned size);
void cfg_write(struct board *b, u8 devfn, unsigned reg, u32 value, unsigned size);
/* First capability with this id at or behind `after` in the list; 0 if none. */
unsigned cfg_find_cap(struct board *b, u8 devfn, u8 id, unsigned after);

void ram_fill(struct board *b, u64 addr, u8 value, u64 len);
void ram_put(struct board *b, u64 addr, u64 value, unsigned size);
u64 ram_get(struct board *b, u64 addr, unsigned size);

/* save -> reset -> load -> post_load must give the same state; refused if truncated. */
void check_round_trip(struct device *d);
/* Damages every byte of the saved state in turn: post_load must survive, whatever it answers. */
void check_hostile_state(struct device *d);

u32 test_random(u64 *seed);
void test_fill(u8 *p, u64 len, u64 seed);
/* Loads the state with a few random bytes changed; what is refused is undone. */
void damage_state(struct device *d, u64 *seed);

Suite *pci_suite(void);
Suite *nvme_suite(void);
Suite *virtio_suite(void);

#endif
