/*
 * Byte streams, see stream.h. Left out: sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/ui/stream.h"
#include "frontend/ui/terminal.h"

/* Waits for a descriptor that somebody else made non-blocking; a pty without reader drops. */
static bool wait_writable(const struct stream *s)
{
	struct pollfd p = {.fd = s->out, .events = POLLOUT};

	return s->slave < 0 && poll(&p, 1, 1000) >= 0;
}

void stream_flush(struct stream *s)
{
	unsigned done = 0;

	while (done < s->buffered && !s->error && s->out >= 0) {
		ssize_t n = write(s->out, s->buffer + done, s->buffered - done);

		if (n >= 0)
			done += (unsigned)n;
		else if (errno == EAGAIN && !wait_writable(s))
			break;
		else if (errno == EINTR && terminal_signal())
			break; /* asked to end while the reader sleeps: the output is dropped */
		else if (errno != EAGAIN && errno != EINTR)
			s->error = errno;
	}
	s->buffered = 0;
}

void stream_write(struct stream *s, const void *data, size_t len)
{
	const u8 *p = data;

	while (len--) {
		s->buffer[s->buffered++] = *p;
		if (s->buffered == STREAM_BUFFER || *p == '\n')
			stream_flush(s);
		p++;
	}
}

static void chr_write(void *owner, const u8 *data, size_t len)
{
	stream_write(owner, data, len);
}

static bool open_file(struct stream *s, const char *path, char *err, size_t errlen)
{
	s->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (s->out >= 0)
		return true;
	snprintf(err, errlen, "file '%s': %s", path, strerror(errno));
	return false;
}

static bool open_pty(struct stream *s, char *err, size_t errlen)
{
	char name[128];

	s->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	s->in = s->out;
	if (s->out < 0 || grantpt(s->out) || unlockpt(s->out) ||
	    ptsname_r(s->out, name, sizeof(name)) ||
	    (s->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		snprintf(err, errlen, "pty: %s", strerror(errno));
		return false;
	}
	fprintf(stderr, "gigogne: serial port on %s\n", name);
	return true;
}

bool stream_open(struct stream *s, const struct stream_setting *set, char *err, size_t errlen)
{
	memset(s, 0, sizeof(*s));
	s->in = s->out = s->slave = -1;
	s->chr.write = chr_write;
	s->chr.owner = s;
	s->name = set->kind == STREAM_FILE ? set->path : "stdio";
	switch (set->kind) {
	case STREAM_STDIO:
		s->in = STDIN_FILENO;
		s->out = STDOUT_FILENO;
		return true;
	case STREAM_FILE:
		return open_file(s, set->path, err, errlen);
	case STREAM_PTY:
		s->name = "pty";
		return open_pty(s, err, errlen);
	default:
		return true;
	}
}

void stream_close(struct stream *s)
{
	stream_flush(s);
	if (s->slave >= 0)
		close(s->slave);
	if (s->out > STDERR_FILENO)
		close(s->out);
	s->in = s->out = s->slave = -1;
}

int stream_wait_fd(const struct stream *s)
{
	return s->queued < STREAM_BUFFER ? s->in : -1;
}

void stream_queue(struct stream *s, u8 byte)
{
	if (s->queued < STREAM_BUFFER)
		s->queue[(s->head + s->queued++) % STREAM_BUFFER] = byte;
}

void stream_readable(struct stream *s)
{
	u8 buf[STREAM_BUFFER];
	ssize_t n = read(s->in, buf, STREAM_BUFFER - s->queued);

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
		s->in = -1; /* end of input; output goes on */
		return;
	}
	if (n > 0 && s->filter)
		s->filter(s->filter_owner, buf, (size_t)n);
	else
		for (ssize_t i = 0; i < n; i++)
			stream_queue(s, buf[i]);
}

void stream_deliver(struct stream *s)
{
	while (s->queued && s->chr.receive && s->chr.can_receive) {
		size_t room = s->chr.can_receive(s->chr.chip);
		size_t run = STREAM_BUFFER - s->head;

		if (run > s->queued)
			run = s->queued;
		if (run > room)
			run = room;
		if (!run)
			return;
		s->chr.receive(s->chr.chip, s->queue + s->head, run);
		s->head = (unsigned)((s->head + run) % STREAM_BUFFER);
		s->queued -= (unsigned)run;
	}
}
