/*
 * Start and end of the program: command line, machine, exit code.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/control/gdbstub.h"
#include "frontend/ui/terminal.h"

static bool wants_raw(const struct settings *s, bool *keep_signals)
{
	bool stdio = s->monitor_stdio || s->debugcon.kind == STREAM_STDIO ||
		     s->virtconsole.kind == STREAM_STDIO;

	*keep_signals = true;
	for (unsigned i = 0; i < s->serials; i++) {
		stdio |= s->serial[i].kind == STREAM_STDIO;
		*keep_signals &= !s->serial[i].monitor;
	}
	*keep_signals &= !s->virtconsole.monitor && !s->debugcon.monitor;
	return stdio;
}

static int run(struct frontend *f)
{
	bool keep_signals;
	int code;

	if (f->set.timeout_ms)
		f->wall_end = frontend_now_ms() + f->set.timeout_ms;
	if (f->gdb)
		gdb_attach(f->gdb, f->set.paused);
	else
		f->paused = f->set.paused;
	console_greet(&f->console);
	if (wants_raw(&f->set, &keep_signals))
		terminal_raw(keep_signals);
	frontend_poll(f, false, 0);
	code = machine_run(f->machine);
	frontend_events(f, 0);
	terminal_restore();
	if (code == EXIT_TIME_LIMIT && !f->ending)
		fprintf(stderr,
			"gigogne: the limit of the guest's time or instructions is reached\n");
	if (f->gdb)
		gdb_ended(f->gdb, code);
	return code;
}

static int start(struct frontend *f)
{
	char err[512] = "";
	int code = frontend_setup(f);

	if (code)
		return code;
	errno = 0;
	f->machine = machine_new(&f->cfg, err, sizeof(err));
	if (!f->machine) {
		code = errno == ENOMEM ? EXIT_INTERNAL : EXIT_BAD_IMAGE;
		fprintf(stderr, "gigogne: %s\n", err);
		return code;
	}
	code = run(f);
	machine_free(f->machine);
	return code;
}

static int begin(struct cli *c, struct frontend *f, int argc, char **argv)
{
	if (!terminal_init()) {
		fprintf(stderr, "gigogne: %s\n", strerror(errno));
		return EXIT_INTERNAL;
	}
	if (!cli_parse(c, &f->set, argc, argv)) {
		fprintf(stderr, "gigogne: %s\n", c->err);
		return EXIT_USAGE;
	}
	if (c->action == CLI_HINT)
		help_hint(stdout);
	if (c->action != CLI_RUN)
		return EXIT_OK;
	if (f->set.dump_config) {
		dump_config(&f->set, stdout);
		return EXIT_OK;
	}
	return start(f);
}

int main(int argc, char **argv)
{
	struct frontend *f = calloc(1, sizeof(*f));
	struct cli c = {0};
	int code = EXIT_INTERNAL;

	if (f) {
		code = begin(&c, f, argc, argv);
		frontend_close(f);
	}
	cli_free(&c);
	free(f);
	if (fflush(stdout) && code == EXIT_OK) {
		fprintf(stderr, "gigogne: standard output: %s\n", strerror(errno));
		code = EXIT_INTERNAL;
	}
	return code;
}
