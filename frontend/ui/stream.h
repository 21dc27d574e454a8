/*
 * Byte streams for chips: stdio, files, pseudo-terminals. Output is written by the line, input waits
 * in a queue until the chip has room.
 */
#ifndef FRONTEND_UI_STREAM_H
#define FRONTEND_UI_STREAM_H

#include "devices/host.h"
#include "frontend/cli.h"

#define STREAM_BUFFER 4096

struct stream {
	struct host_chardev chr;
	const char *name;
	int in, out, slave; /* descriptors or -1; slave: kept open so that a pty never hangs up */
	u8 queue[STREAM_BUFFER];
	unsigned head, queued;
	u8 buffer[STREAM_BUFFER];
	unsigned buffered;
	int error; /* errno of the write that failed; nothing is written after it */
	bool reported;
	/* Sees input before it is queued; NULL: all of it is queued. */
	void (*filter)(void *owner, const u8 *data, size_t len);
	void *filter_owner;
};

/* False: one line in err. */
bool stream_open(struct stream *s, const struct stream_setting *set, char *err, size_t errlen);
void stream_close(struct stream *s);
void stream_write(struct stream *s, const void *data, size_t len);
void stream_flush(struct stream *s);
/* The descriptor to wait for, or -1: no input, or no room for it. */
int stream_wait_fd(const struct stream *s);
void stream_readable(struct stream *s);
/* One byte into the queue; dropped if it is full. */
void stream_queue(struct stream *s, u8 byte);
/* Gives the chip what it takes. */
void stream_deliver(struct stream *s);

#endif
