/*
 * The machine: RAM, CPUs, chips and who is wired to whom. Only this folder knows the board.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "base/clock.h"
#include "base/log.h"
#include "devices/host.h"

struct machine;

#define MACHINE_MAX_CPUS 16
#define MACHINE_MAX_DRIVES 8

enum drive_kind { DRIVE_NVME, DRIVE_VIRTIO };

struct drive {
	enum drive_kind kind;
	const char *file;
	struct host_block *block;
	const char *serial;
};

/* Everything the board needs to know; filled by the frontend, read-only afterwards. */
struct machine_config {
	u64 ram;       /* bytes */
	unsigned cpus; /* 1..MACHINE_MAX_CPUS */
	const struct cpu_model *model;
	const char *kernel, *initrd, *append; /* file names; initrd may be "file args,file args" */
	const u8 *image; /* a kernel in memory instead of a file (demos); name in kernel */
	size_t image_size;
	struct host_chardev *serial[4]; /* NULL: the port is there with nothing plugged in */
	struct host_chardev *debugcon, *console; /* console: virtio-console */
	struct host_entropy *entropy;
	struct drive drive[MACHINE_MAX_DRIVES];
	unsigned drives;
	bool rng, no_reboot, no_shutdown, pvpanic, testdev;
	u16 debug_exit_base; /* 0: none */
	u8 debug_exit_size;
	s64 epoch;	/* seconds since 1970 for the RTC; 0: the default */
	u64 hash_every; /* instructions; 0: off */
	u64 max_insns;	/* stop after this many instructions; 0: no limit */
	u64 max_ns;	/* virtual-time limit; 0: none */
	struct log *log;
	/* Host side of the run loop. poll: called now and then, and with idle = true when the guest
	 * waits; it may block for up to max_ms (-1 for ever) when idle. */
	void (*poll)(void *owner, bool idle, int max_ms);
	void *poll_owner;
};

/* NULL on failure, with a one-line reason in err. */
struct machine *machine_new(const struct machine_config *cfg, char *err, size_t errlen);
void machine_free(struct machine *m);
/* Runs until the machine ends; returns the exit code of the process (product.md). */
int machine_run(struct machine *m);
/* Ends the run loop with this exit code; may be called from a signal-safe flag poller. */
void machine_stop(struct machine *m, int code);
void machine_print_state(struct machine *m, FILE *out);
/* The last VM exits and exceptions of every CPU. */
void machine_print_ring(struct machine *m, FILE *out);
u64 machine_hash(struct machine *m);

/* For a debugger. */
struct vcpu;
unsigned machine_cpus(const struct machine *m);
struct vcpu *machine_cpu(struct machine *m, unsigned n);
/* Called before each instruction while set and the CPU's debugger flag is on. */
void machine_set_debugger(struct machine *m, void (*hook)(void *owner, struct vcpu *v),
			  void *owner);

/*
 * Moves *list behind the next "file args" of a multiboot kernel's modules and copies it, without a 0;
 * returns its length, room if it does not fit. ",," is a comma inside of one.
 */
size_t machine_next_module(const char **list, char *out, size_t room);

/* Exit codes of the process. */
enum {
	EXIT_OK = 0,
	EXIT_USAGE = 64,
	EXIT_BAD_IMAGE = 65,
	EXIT_TRIPLE_FAULT = 66,
	EXIT_GUEST_PANIC = 67,
	EXIT_WALL_LIMIT = 68,
	EXIT_TIME_LIMIT = 69,
	EXIT_INTERNAL = 70,
	EXIT_WAIT_TEXT = 71,
	EXIT_STATE_MISMATCH = 72,
};

#endif
