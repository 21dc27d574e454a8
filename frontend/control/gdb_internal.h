/*
 * The inside of the gdb stub.
 */
#ifndef FRONTEND_CONTROL_GDB_INTERNAL_H
#define FRONTEND_CONTROL_GDB_INTERNAL_H

#include "cpu/cpu.h"
#include "frontend/control/gdbstub.h"

#define GDB_PACKET 16384 /* payload bytes */
#define GDB_POINTS 64
#define GDB_REG_MAX 16 /* bytes of the longest register */

enum gdb_point_kind { POINT_SW, POINT_HW, POINT_WRITE }; /* as in Z0, Z1, Z2 */

struct gdb_point {
	enum gdb_point_kind kind;
	u64 addr;
	u32 len;
	u8 last[8]; /* POINT_WRITE: what was there */
	bool known; /* last is valid */
};

enum gdb_run { GDB_RUN, GDB_STEP };

struct gdbstub {
	struct frontend *f;
	int listen_fd, fd;
	bool stopped, attached;
	/* framing */
	char in[GDB_PACKET + 8];
	size_t in_len;
	enum { FRAME_IDLE, FRAME_BODY, FRAME_SUM1, FRAME_SUM2 } frame;
	u8 sum, sent_sum;
	bool overlong, no_ack;
	char out[2 * GDB_PACKET + 64];
	size_t out_len;
	/* debugging */
	unsigned cpu;  /* for registers and memory (Hg) */
	int step_cpu;  /* -1: none */
	u64 step_from; /* its instruction count when the step began */
	bool physical; /* memory packets take physical addresses */
	int stop_cpu;
	char stop_reply[96]; /* for '?' */
	struct gdb_point point[GDB_POINTS];
	unsigned points;
};

/* gdbstub.c */
void gdb_put(struct gdbstub *g, const char *fmt, ...) ATTR_PRINTF(2, 3); /* adds to the reply */
void gdb_put_hex(struct gdbstub *g, const void *data, size_t len);
void gdb_put_binary(struct gdbstub *g, const char *data, size_t len);
void gdb_send(struct gdbstub *g); /* what was put, as a packet */
void gdb_disconnect(struct gdbstub *g);
void gdb_stop(struct gdbstub *g, unsigned cpu, const char *why); /* SIGTRAP, or "" for SIGINT */
void gdb_resume(struct gdbstub *g, int step_cpu);
void gdb_update_hooks(struct gdbstub *g);
struct vcpu *gdb_vcpu(const struct gdbstub *g);

/* gdb_commands.c */
void gdb_command(struct gdbstub *g, char *packet, size_t len);

/* gdb_regs.c */
unsigned gdb_reg_count(void);
unsigned gdb_reg_read(const struct vcpu *v, unsigned n, u8 buf[GDB_REG_MAX]); /* bytes, 0: none */
/* Bytes taken, 0: there is no such register or it cannot be set. */
unsigned gdb_reg_write(struct vcpu *v, unsigned n, const u8 *buf);
unsigned gdb_reg_size(unsigned n);
/* The target description; malloc'ed. */
char *gdb_target_xml(const struct vcpu *v);

/* gdb_memory.c: without side effects on devices. False: something is not there. */
bool gdb_memory_read(const struct gdbstub *g, struct vcpu *v, u64 addr, void *buf, size_t len);
bool gdb_memory_write(const struct gdbstub *g, struct vcpu *v, u64 addr, const void *buf,
		      size_t len);

#endif
