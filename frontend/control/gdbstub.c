/*
 * The gdb stub: connection, packet framing, stopping and going on. One connection; all processors
 * stop and run together. Protocol: the GDB manual, "GDB Remote Serial Protocol".
 *
 * Left out: non-stop mode, read and access watchpoints, reverse execution.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "frontend/control/gdb_internal.h"

#define SEND_TIMEOUT 10 /* seconds until a peer that does not read is given up */

struct vcpu *gdb_vcpu(const struct gdbstub *g)
{
	return machine_cpu(g->f->machine, g->cpu);
}

/* --- sending --- */

static void send_all(struct gdbstub *g, const char *data, size_t len)
{
	while (len && g->fd >= 0) {
		ssize_t n = send(g->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			gdb_disconnect(g);
			return;
		}
		data += n;
		len -= (size_t)n;
	}
}

void gdb_put(struct gdbstub *g, const char *fmt, ...)
{
	size_t room = sizeof(g->out) - 4 - g->out_len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(g->out + g->out_len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		g->out_len += (size_t)n < room ? (size_t)n : room - 1;
}

void gdb_put_hex(struct gdbstub *g, const void *data, size_t len)
{
	const u8 *p = data;

	while (len--)
		gdb_put(g, "%02x", *p++);
}

void gdb_put_binary(struct gdbstub *g, const char *data, size_t len)
{
	for (; len; len--, data++) {
		bool special = *data == '}' || *data == '#' || *data == '$' || *data == '*';

		gdb_put(g, special ? "}%c" : "%c", special ? *data ^ 0x20 : *data);
	}
}

/* out holds '$' and the body. */
void gdb_send(struct gdbstub *g)
{
	u8 sum = 0;

	for (size_t i = 1; i < g->out_len; i++)
		sum = (u8)(sum + (u8)g->out[i]);
	gdb_put(g, "#%02x", sum);
	send_all(g, g->out, g->out_len);
	/* Kept for a '-'; the next gdb_put after gdb_begin starts anew. */
}

static void begin_reply(struct gdbstub *g)
{
	g->out[0] = '$';
	g->out_len = 1;
}

/* --- stopping and running --- */

void gdb_update_hooks(struct gdbstub *g)
{
	bool on = g->fd >= 0 && (g->points || g->step_cpu >= 0);

	for (unsigned n = 0; n < machine_cpus(g->f->machine); n++) {
		struct vcpu *v = machine_cpu(g->f->machine, n);

		if (v->debugger == on)
			continue;
		v->debugger = on;
		v->recheck = true;
		vcpu_recompute(v);
	}
}

void gdb_stop(struct gdbstub *g, unsigned cpu, const char *why)
{
	g->stopped = true;
	g->step_cpu = -1;
	g->cpu = cpu;
	g->stop_cpu = (int)cpu;
	snprintf(g->stop_reply, sizeof(g->stop_reply), "T%02x%sthread:%x;", *why ? 5 : 2,
		 strcmp(why, "step") ? why : "", cpu + 1);
	gdb_update_hooks(g);
	if (g->fd < 0)
		return;
	begin_reply(g);
	gdb_put(g, "%s", g->stop_reply);
	gdb_send(g);
}

void gdb_resume(struct gdbstub *g, int step_cpu)
{
	g->stopped = false;
	g->step_cpu = step_cpu;
	if (step_cpu >= 0)
		g->step_from = vcpu_icount(machine_cpu(g->f->machine, (unsigned)step_cpu));
	for (unsigned i = 0; i < g->points; i++)
		g->point[i].known = false;
	gdb_update_hooks(g);
}

void gdb_disconnect(struct gdbstub *g)
{
	if (g->fd < 0)
		return;
	close(g->fd);
	g->fd = -1;
	g->points = 0;
	g->frame = FRAME_IDLE;
	g->no_ack = false;
	g->physical = false;
	gdb_resume(g, -1);
}

/* A write watchpoint fires behind the instruction that changed the value. */
static bool changed(struct gdbstub *g, struct vcpu *v, struct gdb_point *p)
{
	u8 now[8];
	bool differs;

	if (!gdb_memory_read(g, v, p->addr, now, p->len))
		return false;
	differs = p->known && memcmp(now, p->last, p->len);
	memcpy(p->last, now, p->len);
	p->known = true;
	return differs;
}

/* Why this CPU must stop before its next instruction; "" if it need not. */
static const char *stop_reason(struct gdbstub *g, struct vcpu *v, char *buf, size_t size)
{
	u64 pc = v->mode == MODE_64 ? v->rip : (u32)(v->seg[SEG_CS].base + v->rip);
	const char *why = "";

	for (unsigned i = 0; i < g->points; i++) {
		struct gdb_point *p = &g->point[i];

		if (p->kind == POINT_WRITE && changed(g, v, p)) {
			snprintf(buf, size, "watch:%llx;", (unsigned long long)p->addr);
			why = buf;
		} else if (p->kind != POINT_WRITE && p->addr == pc) {
			why = p->kind == POINT_SW ? "swbreak:;" : "hwbreak:;";
		}
	}
	if (!*why && g->step_cpu == (int)v->id && vcpu_icount(v) != g->step_from)
		why = "step";
	return why;
}

static void before_instruction(void *owner, struct vcpu *v)
{
	struct gdbstub *g = owner;
	const char *why;
	char buf[48];

	if (g->fd < 0 || g->f->ending)
		return;
	why = stop_reason(g, v, buf, sizeof(buf));
	if (!*why)
		return;
	gdb_stop(g, v->id, why);
	while (g->stopped && !g->f->ending)
		frontend_events(g->f, -1);
}

/* --- receiving --- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void packet_end(struct gdbstub *g)
{
	bool good = g->sum == g->sent_sum && !g->overlong;

	g->frame = FRAME_IDLE;
	if (!g->no_ack)
		send_all(g, good ? "+" : "-", 1);
	if (!good || g->fd < 0)
		return;
	g->in[g->in_len] = 0;
	begin_reply(g);
	gdb_command(g, g->in, g->in_len);
}

static void idle_byte(struct gdbstub *g, char c)
{
	if (c == '$') {
		g->frame = FRAME_BODY;
		g->in_len = 0;
		g->sum = 0;
		g->overlong = false;
	} else if (c == 3 && !g->stopped) {
		gdb_stop(g, g->cpu, "");
	} else if (c == '-' && !g->no_ack && g->out_len > 1) {
		send_all(g, g->out, g->out_len);
	}
}

static void take_byte(struct gdbstub *g, char c)
{
	int digit = hex_digit(c);

	switch (g->frame) {
	case FRAME_BODY:
		if (c == '#') {
			g->frame = FRAME_SUM1;
			break;
		}
		g->sum = (u8)(g->sum + (u8)c);
		if (g->in_len < GDB_PACKET)
			g->in[g->in_len++] = c;
		else
			g->overlong = true;
		break;
	case FRAME_SUM1:
		g->sent_sum = (u8)((digit & 15) << 4);
		g->frame = FRAME_SUM2;
		g->overlong |= digit < 0;
		break;
	case FRAME_SUM2:
		g->sent_sum |= (u8)(digit & 15);
		g->overlong |= digit < 0;
		packet_end(g);
		break;
	default:
		idle_byte(g, c);
	}
}

static void receive(struct gdbstub *g)
{
	char buf[4096];
	ssize_t n = recv(g->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		gdb_disconnect(g);
		return;
	}
	for (ssize_t i = 0; i < n && g->fd >= 0; i++)
		take_byte(g, buf[i]);
}

static void accept_one(struct gdbstub *g)
{
	struct timeval limit = {.tv_sec = SEND_TIMEOUT};
	int on = 1, fd;

	if (g->fd >= 0)
		return; /* one debugger at a time; the next one waits */
	fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	g->fd = fd;
	g->out_len = 0;
	g->stopped = true;
	g->stop_cpu = 0;
	g->cpu = 0;
	snprintf(g->stop_reply, sizeof(g->stop_reply), "T05thread:1;");
}

void gdb_fds(const struct gdbstub *g, int fds[GDB_POLL_FDS])
{
	fds[0] = g->fd < 0 ? g->listen_fd : -1;
	fds[1] = g->fd;
}

void gdb_ready(struct gdbstub *g)
{
	if (g->fd >= 0)
		receive(g);
	accept_one(g); /* does not block */
}

bool gdb_stopped(const struct gdbstub *g)
{
	return g->stopped;
}

/* --- life --- */

static bool listen_at(struct gdbstub *g, const char *host, u16 port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	errno = EINVAL;
	if (*host && strcmp(host, "localhost") && !inet_aton(host, &at.sin_addr))
		return false;
	g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listen_fd < 0)
		return false;
	setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return !bind(g->listen_fd, (struct sockaddr *)&at, sizeof(at)) && !listen(g->listen_fd, 1);
}

struct gdbstub *gdb_new(struct frontend *f, char *err, size_t errlen)
{
	struct gdbstub *g = calloc(1, sizeof(*g));

	if (!g) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	g->f = f;
	g->listen_fd = g->fd = g->step_cpu = -1;
	if (listen_at(g, f->set.gdb_host, f->set.gdb_port))
		return g;
	snprintf(err, errlen, "gdb port tcp:%s:%u: %s", f->set.gdb_host, f->set.gdb_port,
		 strerror(errno));
	gdb_free(g);
	return NULL;
}

void gdb_free(struct gdbstub *g)
{
	if (!g)
		return;
	if (g->fd >= 0)
		close(g->fd);
	if (g->listen_fd >= 0)
		close(g->listen_fd);
	free(g);
}

void gdb_attach(struct gdbstub *g, bool paused)
{
	machine_set_debugger(g->f->machine, before_instruction, g);
	g->stopped = paused;
	snprintf(g->stop_reply, sizeof(g->stop_reply), "T05thread:1;");
}

void gdb_ended(struct gdbstub *g, int code)
{
	if (g->fd < 0)
		return;
	begin_reply(g);
	gdb_put(g, "W%02x", code & 0xff);
	gdb_send(g);
}
