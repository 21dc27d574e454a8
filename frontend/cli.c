/*
 * Walks argv by the table in options.def and calls the handler of each option. An option that is
 * not in the table is an error that names the nearest one; nothing is ignored.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "frontend/cli.h"

struct option {
	const char *name, *arg;
	cli_handler *handler;
};

static const struct option options[] = {
#define O(id, name, arg, text) {name, arg, opt_##id},
#include "frontend/options.def"
};

bool cli_error(struct cli *c, const char *fmt, ...)
{
	size_t n = 0;
	va_list ap;

	if (c->option)
		n = (size_t)snprintf(c->err, sizeof(c->err), "-%.64s: ", c->option);
	va_start(ap, fmt);
	vsnprintf(c->err + n, sizeof(c->err) - n, fmt, ap);
	va_end(ap);
	return false;
}

bool cli_unknown(struct cli *c, const char *what, const char *name, const char *nearest)
{
	if (nearest)
		return cli_error(c, "no %s '%.128s'; the nearest is '%s'", what, name, nearest);
	return cli_error(c, "no %s '%.128s'", what, name);
}

void *cli_keep(struct cli *c, void *p)
{
	void **more = realloc(c->kept, (c->nkept + 1) * sizeof(*more));

	if (!p || !more) {
		fprintf(stderr, "gigogne: out of memory\n");
		exit(EXIT_INTERNAL);
	}
	c->kept = more;
	c->kept[c->nkept++] = p;
	return p;
}

void cli_free(struct cli *c)
{
	for (unsigned i = 0; i < c->nkept; i++)
		free(c->kept[i]);
	free(c->kept);
	c->kept = NULL;
	c->nkept = 0;
}

bool cli_number(struct cli *c, const char *s, u64 min, u64 max, u64 *value)
{
	char *end;

	errno = 0;
	*value = strtoull(s, &end, 0);
	if (*s < '0' || *s > '9' || *end || errno)
		return cli_error(c, "'%.64s' is not a number", s);
	if (*value < min || *value > max)
		return cli_error(c, "%.64s is not from %llu to %llu", s, (unsigned long long)min,
				 (unsigned long long)max);
	return true;
}

bool cli_on_off(struct cli *c, const char *what, const char *s, bool *value)
{
	*value = s && !strcmp(s, "on");
	if (!s || *value || !strcmp(s, "off"))
		return true;
	return cli_error(c, "%s='%.64s': give on or off", what, s);
}

static const struct option *find_option(struct cli *c, const char *name)
{
	struct nearest n;

	nearest_init(&n, name, strlen(name));
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!strcmp(options[i].name, name))
			return &options[i];
		nearest_offer(&n, options[i].name);
	}
	cli_error(c, "no option '-%.128s'; the nearest is '-%s'", name, n.best);
	return NULL;
}

/* "-name arg" or "--name arg"; for help also "-help=topic". Returns the arguments eaten, 0: error. */
static int parse_one(struct cli *c, int left, char **argv)
{
	const char *name = argv[0] + 1 + (argv[0][1] == '-');
	const struct option *o;

	if (!strncmp(name, "help=", 5)) {
		c->option = "help";
		return opt_help(c, name + 5);
	}
	o = find_option(c, name);
	if (!o)
		return 0;
	c->option = o->name;
	if (!o->arg)
		return o->handler(c, NULL);
	if (left < 2) {
		cli_error(c, "needs an argument: %s", o->arg);
		return 0;
	}
	return o->handler(c, argv[1]) ? 2 : 0;
}

/* What can only be judged when all options are known. */
static bool check_whole(struct cli *c)
{
	struct settings *s = c->set;
	unsigned on_stdio = 0;

	c->option = NULL;
	if (!s->kernel && !s->demo)
		return cli_error(c, "nothing to boot: give -kernel FILE or -demo nest");
	if (s->demo && (s->kernel || s->initrd))
		return cli_error(c, "-demo brings its own kernel: leave -kernel and -initrd out");
	if (!s->kernel && s->initrd)
		return cli_error(c, "-initrd needs -kernel");
	for (unsigned i = 0; i < s->drives; i++)
		if (s->drive[i].interface == IF_NONE && !s->drive[i].used)
			return cli_error(c, "-drive '%s' with if=none is used by no -device",
					 s->drive[i].file);
	for (unsigned i = 0; i < s->serials; i++)
		on_stdio += s->serial[i].kind == STREAM_STDIO;
	on_stdio += s->debugcon.kind == STREAM_STDIO;
	on_stdio += s->virtconsole.kind == STREAM_STDIO;
	if (on_stdio > 1)
		return cli_error(c, "stdio can be given to one stream only, not to %u", on_stdio);
	if (on_stdio && s->monitor_stdio)
		return cli_error(c, "-monitor stdio: stdio is taken; use -serial mon:stdio");
	return true;
}

/* The serial port on stdio, unless something else was asked for. */
static void default_console(struct settings *s)
{
	bool taken = s->debugcon.kind == STREAM_STDIO || s->virtconsole.kind == STREAM_STDIO ||
		     s->monitor_stdio;

	if (s->serials || taken || (s->nodefaults && !s->nographic))
		return;
	s->serial[0] = (struct stream_setting){.kind = STREAM_STDIO, .monitor = !s->monitor_none};
	s->serials = 1;
}

bool cli_parse(struct cli *c, struct settings *set, int argc, char **argv)
{
	memset(c, 0, sizeof(*c));
	memset(set, 0, sizeof(*set));
	c->set = set;
	set->ram = 512ull << 20;
	set->cpus = 1;
	if (!cpu_model_parse(&set->model, &set->vmx_mask, "max", c->err, sizeof(c->err)))
		return false;
	if (argc < 2) {
		c->action = CLI_HINT;
		return true;
	}
	for (int i = 1; i < argc;) {
		int eaten;

		if (argv[i][0] != '-' || !argv[i][1])
			return cli_error(
				c, "'%.128s' is no option; disks are given with -drive file=%.128s",
				argv[i], argv[i]);
		c->option = NULL;
		eaten = parse_one(c, argc - i, argv + i);
		if (!eaten)
			return false;
		if (c->action == CLI_DONE)
			return true;
		i += eaten;
	}
	default_console(set);
	return check_whole(c);
}
