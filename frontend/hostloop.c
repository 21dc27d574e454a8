/*
 * Host events: input, signals, the wall-clock limit, the debugger. The machine calls frontend_poll
 * between slices; while it is paused the call does not return.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "frontend/control/gdbstub.h"
#include "frontend/ui/terminal.h"

#define SIGNAL_CODE 128
#define SIGHUP_NUMBER 1
#define SIGPIPE_NUMBER 13

u64 frontend_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

void frontend_end(struct frontend *f, int code)
{
	if (f->ending)
		return;
	f->ending = true;
	machine_stop(f->machine, code);
}

static void check_signal(struct frontend *f)
{
	int sig = terminal_signal();

	if (!sig || f->ending)
		return;
	terminal_drain_wake();
	terminal_restore();
	fprintf(stderr, "gigogne: ended by signal %d (%s)\n", sig, strsignal(sig));
	frontend_end(f, SIGNAL_CODE + sig);
}

static void check_wall(struct frontend *f)
{
	if (!f->wall_end || f->ending || frontend_now_ms() < f->wall_end)
		return;
	fprintf(stderr, "gigogne: the limit of %llu seconds is reached\n",
		(unsigned long long)(f->set.timeout_ms / 1000));
	frontend_end(f, EXIT_WALL_LIMIT);
}

/* Output that cannot be written is reported once; a lost stdio ends the machine, as it would end
 * any program in a pipe. */
static void check_output(struct frontend *f, struct stream *s)
{
	if (!s->error || s->reported)
		return;
	s->reported = true;
	fprintf(stderr, "gigogne: output to '%s': %s\n", s->name, strerror(s->error));
	if (s->out == 1)
		frontend_end(f, SIGNAL_CODE + (s->error == EIO ? SIGHUP_NUMBER : SIGPIPE_NUMBER));
}

static int wait_time(const struct frontend *f, int max_ms)
{
	u64 now, left;

	if (!f->wall_end || !max_ms)
		return max_ms;
	now = frontend_now_ms();
	left = now < f->wall_end ? f->wall_end - now : 0;
	if (left > 1000000)
		left = 1000000;
	return max_ms < 0 || (u64)max_ms > left ? (int)left : max_ms;
}

static void wait_host(struct frontend *f, int max_ms)
{
	struct pollfd p[FRONTEND_STREAMS + GDB_POLL_FDS + 1];
	int gdb[GDB_POLL_FDS] = {-1, -1};
	unsigned n = 0, first_gdb;

	for (unsigned i = 0; i < f->streams; i++)
		p[n++] = (struct pollfd){.fd = stream_wait_fd(&f->stream[i]), .events = POLLIN};
	if (f->gdb)
		gdb_fds(f->gdb, gdb);
	first_gdb = n;
	for (unsigned i = 0; i < GDB_POLL_FDS; i++)
		p[n++] = (struct pollfd){.fd = gdb[i], .events = POLLIN};
	p[n++] = (struct pollfd){.fd = terminal_wake_fd(), .events = POLLIN};
	if (poll(p, n, wait_time(f, max_ms)) <= 0)
		return;
	for (unsigned i = 0; i < f->streams; i++)
		if (p[i].revents)
			stream_readable(&f->stream[i]);
	if (p[first_gdb].revents || p[first_gdb + 1].revents)
		gdb_ready(f->gdb);
}

void frontend_events(struct frontend *f, int max_ms)
{
	for (unsigned i = 0; i < f->streams; i++) {
		stream_flush(&f->stream[i]);
		check_output(f, &f->stream[i]);
	}
	if (f->log.out)
		fflush(f->log.out);
	check_signal(f);
	check_wall(f);
	if (f->ending)
		return;
	wait_host(f, max_ms);
	check_signal(f);
	check_wall(f);
}

void frontend_poll(void *owner, bool idle, int max_ms)
{
	struct frontend *f = owner;

	frontend_events(f, idle ? max_ms : 0);
	while (!f->ending && (f->paused || (f->gdb && gdb_stopped(f->gdb))))
		frontend_events(f, -1);
	if (f->ending)
		return;
	for (unsigned i = 0; i < f->streams; i++)
		stream_deliver(&f->stream[i]);
}
