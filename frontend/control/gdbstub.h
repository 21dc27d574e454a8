/*
 * Remote debugging over TCP by the protocol of gdb.
 */
#ifndef FRONTEND_CONTROL_GDBSTUB_H
#define FRONTEND_CONTROL_GDBSTUB_H

#include "frontend/frontend.h"

#define GDB_POLL_FDS 2

/* Listens on set.gdb_host:gdb_port. NULL: one line in err. */
struct gdbstub *gdb_new(struct frontend *f, char *err, size_t errlen);
void gdb_free(struct gdbstub *g);
/* Once the machine is there. paused: wait for gdb before the first instruction (-S). */
void gdb_attach(struct gdbstub *g, bool paused);
/* Descriptors to wait for, -1 where there is none; and what to do when they are readable. */
void gdb_fds(const struct gdbstub *g, int fds[GDB_POLL_FDS]);
void gdb_ready(struct gdbstub *g);
/* The machine must not run. */
bool gdb_stopped(const struct gdbstub *g);
/* The machine has ended: tells gdb. */
void gdb_ended(struct gdbstub *g, int code);

#endif
