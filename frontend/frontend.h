/*
 * The host side of one machine: everything that frontend/ keeps while it runs.
 */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include "frontend/block/disk.h"
#include "frontend/cli.h"
#include "frontend/ui/stream.h"

#define FRONTEND_STREAMS (CLI_SERIALS + 2)
#define CONSOLE_LINE 256

struct gdbstub;

/* stdin shared by a serial port and the monitor; Ctrl-A switches. */
struct console {
	struct stream *stream; /* the one on stdio, or NULL */
	bool escape;	       /* Ctrl-A seen */
	bool monitor;	       /* keys go to the monitor */
	bool shared;	       /* with a chip; else the monitor alone */
	char line[CONSOLE_LINE];
	unsigned len;
};

struct frontend {
	struct settings set;
	struct machine_config cfg;
	struct machine *machine;
	struct log log;
	struct stream stream[FRONTEND_STREAMS];
	unsigned streams;
	struct disk disk[MACHINE_MAX_DRIVES];
	unsigned disks;
	struct host_entropy entropy;
	u64 entropy_state;
	struct console console;
	struct gdbstub *gdb;
	u64 wall_end; /* host's monotonic ms, 0: no limit */
	bool paused;  /* by -S or the monitor */
	bool ending;
};

/* setup.c: settings -> machine_config, files opened. Returns 0 or the exit code after a message. */
int frontend_setup(struct frontend *f);
void frontend_close(struct frontend *f);

/* hostloop.c: host events, called by the machine's run loop. */
void frontend_poll(void *owner, bool idle, int max_ms);
/* One look at the host's events, waiting up to max_ms (-1: for ever). */
void frontend_events(struct frontend *f, int max_ms);
void frontend_end(struct frontend *f, int code);
u64 frontend_now_ms(void);

/* ui/console.c */
void console_attach(struct console *c, struct stream *stream, bool shared, struct frontend *f);
void console_greet(const struct console *c);

/* control/monitor.c: one command line; output goes to out. */
void monitor_command(struct frontend *f, const char *line, FILE *out);
#define MONITOR_PROMPT "(gigogne) "

#endif
