/*
 * Ctrl-A on stdio, and the line that is typed to the monitor.
 */
#include <string.h>
#include <unistd.h>

#include "frontend/frontend.h"

#define CTRL(c) ((c)&0x1f)

static void say(struct console *c, const char *text)
{
	stream_write(c->stream, text, strlen(text));
	stream_flush(c->stream);
}

static void help(struct console *c)
{
	say(c, "\nCtrl-A h  this help\n"
	       "Ctrl-A x  end gigogne\n"
	       "Ctrl-A c  between serial port and monitor\n"
	       "Ctrl-A Ctrl-A  send Ctrl-A\n");
}

static void switch_focus(struct console *c)
{
	c->monitor = !c->monitor;
	c->len = 0;
	say(c, c->monitor ? "\n" MONITOR_PROMPT : "\n");
}

static void run_line(struct console *c, struct frontend *f)
{
	c->line[c->len] = 0;
	c->len = 0;
	say(c, "\n");
	fflush(stdout);
	monitor_command(f, c->line, stdout);
	fflush(stdout);
	if (c->monitor && !f->ending)
		say(c, MONITOR_PROMPT);
}

static void monitor_key(struct console *c, struct frontend *f, u8 key)
{
	if (key == '\r' || key == '\n') {
		run_line(c, f);
	} else if ((key == 0x7f || key == '\b') && c->len) {
		c->len--;
		say(c, "\b \b");
	} else if (key == CTRL('u')) {
		c->len = 0;
		say(c, "\n" MONITOR_PROMPT);
	} else if (key == CTRL('d') && !c->len && c->shared) {
		switch_focus(c);
	} else if (key >= ' ' && key < 0x7f && c->len < CONSOLE_LINE - 1) {
		c->line[c->len++] = (char)key;
		if (isatty(STDIN_FILENO)) {
			stream_write(c->stream, &key, 1);
			stream_flush(c->stream);
		}
	}
}

/* The key after Ctrl-A. */
static void escape_key(struct console *c, struct frontend *f, u8 key)
{
	switch (key) {
	case 'x':
		frontend_end(f, EXIT_OK);
		break;
	case 'c':
		if (c->shared)
			switch_focus(c);
		break;
	case CTRL('a'):
		if (!c->monitor)
			stream_queue(c->stream, key);
		break;
	default:
		help(c);
	}
}

static void console_input(void *owner, const u8 *data, size_t len)
{
	struct frontend *f = owner;
	struct console *c = &f->console;

	for (size_t i = 0; i < len && !f->ending; i++) {
		if (c->escape) {
			c->escape = false;
			escape_key(c, f, data[i]);
		} else if (data[i] == CTRL('a')) {
			c->escape = true;
		} else if (c->monitor) {
			monitor_key(c, f, data[i]);
		} else {
			stream_queue(c->stream, data[i]);
		}
	}
}

void console_attach(struct console *c, struct stream *stream, bool shared, struct frontend *f)
{
	c->stream = stream;
	c->shared = shared;
	c->monitor = !shared;
	stream->filter = console_input;
	stream->filter_owner = f;
}

void console_greet(const struct console *c)
{
	if (!c->stream)
		return;
	if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
		fprintf(stderr, "gigogne: Ctrl-A x ends, Ctrl-A h helps\n");
	if (c->monitor)
		stream_write(c->stream, MONITOR_PROMPT, strlen(MONITOR_PROMPT));
	stream_flush(c->stream);
}
