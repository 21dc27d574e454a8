// What the three files of the small monitor share: the machine, its devices and its start.

#ifndef GUEST_VMM_H
#define GUEST_VMM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiny.h"

// Exit statuses; 1 is any failure of the host side.
enum { END_POWER_OFF = 0, END_HOST_ERROR = 1, END_RESET = 2, END_SHUTDOWN = 3, END_KVM_ERROR = 4 };

// Where boot.c puts things below 1 MiB and what the ACPI tables tell the guest.
enum {
	GDT_BASE = 0x1000,
	PML4_BASE = 0x2000,
	ZERO_PAGE_BASE = 0x10000,
	COMMAND_LINE_BASE = 0x20000,
	ACPI_BASE = 0xe0000,
	CODE_SELECTOR = 0x10,
	DATA_SELECTOR = 0x18,
	PORT_RESET = 0xcf9,
	PORT_PM1_EVENT = 0x600,
	PORT_PM1_CONTROL = 0x604,
	SLEEP_TYPE_S5 = 5,
	RESET_VALUE = 6,
	IRQ_ACPI = 9,
	MAX_VCPUS = 16,
};

struct ram {
	uint8_t *base;
	uint64_t size;
};

struct start {
	const char *kernel, *initrd, *command_line;
	int vcpus;
	uint64_t entry;		 // filled in by boot_load
	const struct tiny *tiny; // instead of a kernel
};

// Returns NULL or what was wrong, naming no file.
const char *boot_load(struct ram *ram, struct start *start);

struct uart {
	uint8_t ier, lcr, mcr, scratch, fcr;
	uint8_t divisor[2];
	uint8_t rx[16];
	unsigned rx_head, rx_count;
	bool thre_pending, line;
	pthread_mutex_t lock;
	pthread_cond_t room;
};

struct devices {
	struct uart uart;
	int vm;		 // file descriptor interrupts are raised on
	bool debug_port; // print what is written to port E9h
	uint16_t pm1_enable, pm1_control;
	_Atomic uint64_t bench_out, bench_mmio;
	struct tiny_run tiny;
	void (*stop)(void *context, int status);
	void *context;
};

void devices_init(struct devices *d);
void devices_port_out(struct devices *d, uint16_t port, uint32_t value, unsigned size);
uint32_t devices_port_in(struct devices *d, uint16_t port, unsigned size);
void devices_mmio(struct devices *d, uint64_t gpa, bool write, uint8_t *data, unsigned size);
// A byte typed by the user; waits while the receive FIFO is full.
void devices_type(struct devices *d, uint8_t byte);

#endif
