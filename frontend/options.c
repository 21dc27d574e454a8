/*
 * Handlers of options.def, all but disks, devices and streams (options_dev.c).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/nearest.h"
#include "frontend/props.h"

#define RAM_MAX (1ull << 40)
#define SECONDS_MAX 1000000000ull

/* Sets *to once; giving an option twice is more often a mistake than meant. */
static bool set_once(struct cli *c, const char **to, const char *value)
{
	if (*to)
		return cli_error(c, "is given twice ('%.100s' and '%.100s')", *to, value);
	*to = value;
	return true;
}

static bool one_of(struct cli *c, const char *arg, const char *const *names)
{
	struct nearest n;

	nearest_init(&n, arg, strlen(arg));
	for (; *names; names++) {
		if (!strcmp(*names, arg))
			return true;
		nearest_offer(&n, *names);
	}
	return cli_error(c, "'%.100s' is not built; the nearest is '%s'", arg, n.best);
}

static bool only_none(struct cli *c, const char *arg)
{
	return one_of(c, arg, (const char *const[]){"none", NULL});
}

/* --- starting --- */

bool opt_kernel(struct cli *c, const char *arg)
{
	return set_once(c, &c->set->kernel, arg);
}

bool opt_initrd(struct cli *c, const char *arg)
{
	return set_once(c, &c->set->initrd, arg);
}

bool opt_append(struct cli *c, const char *arg)
{
	return set_once(c, &c->set->append, arg);
}

bool opt_demo(struct cli *c, const char *arg)
{
	struct settings *s = c->set;
	const char *depth, *value;
	bool shadow = true, ticks = false;
	struct props p;
	char line[64];
	u64 n = 4;

	if (!props_parse(c, arg, "depth shadow clock", &p))
		return false;
	if (!p.first || strcmp(p.first, "nest"))
		return cli_error(c, "no demo '%.64s'; the nearest is 'nest'",
				 p.first ? p.first : "");
	depth = props_get(&p, "depth");
	if (depth && !cli_number(c, depth, 1, 12, &n))
		return false;
	value = props_get(&p, "shadow");
	if (value && !cli_on_off(c, "shadow", value, &shadow))
		return false;
	if (!cli_on_off(c, "clock", props_get(&p, "clock"), &ticks))
		return false;
	snprintf(line, sizeof(line), "depth=%u%s%s", (unsigned)n, shadow ? "" : " shadow=0",
		 ticks ? " clock=1" : "");
	return set_once(c, &s->demo, "nest") && set_once(c, &s->append, cli_keep(c, strdup(line)));
}

/* --- machine --- */

bool opt_m(struct cli *c, const char *arg)
{
	const char *s = strncmp(arg, "size=", 5) ? arg : arg + 5;
	unsigned shift = 20;
	char number[24], *unit;
	u64 n;

	snprintf(number, sizeof(number), "%s", s);
	unit = number + strspn(number, "0123456789");
	if (unit == number || strlen(s) >= sizeof(number) - 1 || strlen(unit) > 1 ||
	    (*unit && !strchr("kKmMgGtT", *unit)))
		return cli_error(c, "'%.64s' is not a size; give MiB, or a number with M or G",
				 arg);
	if (*unit)
		shift = *unit == 'k' || *unit == 'K'   ? 10
			: *unit == 'm' || *unit == 'M' ? 20
			: *unit == 'g' || *unit == 'G' ? 30
						       : 40;
	*unit = 0;
	if (!cli_number(c, number, 0, UINT64_MAX, &n))
		return false;
	if (n > RAM_MAX >> shift || n << shift < 1 << 20)
		return cli_error(c, "%.64s: memory can be 1M to 1024G", arg);
	c->set->ram = n << shift & ~0xfffull;
	return true;
}

bool opt_smp(struct cli *c, const char *arg)
{
	const char *s = strncmp(arg, "cpus=", 5) ? arg : arg + 5;
	u64 n;

	if (!cli_number(c, s, 1, MACHINE_MAX_CPUS, &n))
		return false;
	c->set->cpus = (unsigned)n;
	return true;
}

bool opt_cpu(struct cli *c, const char *arg)
{
	char err[256];

	if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
		cpu_model_list(stdout);
		c->action = CLI_DONE;
		return true;
	}
	if (!cpu_model_parse(&c->set->model, &c->set->vmx_mask, arg, err, sizeof(err)))
		return cli_error(c, "%s", err);
	return true;
}

bool opt_accel(struct cli *c, const char *arg)
{
	return one_of(c, arg, (const char *const[]){"interp", "tcg", NULL});
}

bool opt_machine(struct cli *c, const char *arg)
{
	const char *type, *accel;
	struct props p;

	if (!props_parse(c, arg, "type accel", &p))
		return false;
	type = p.first ? p.first : props_get(&p, "type");
	accel = props_get(&p, "accel");
	if (type && !one_of(c, type, (const char *const[]){"pc", NULL}))
		return false;
	return !accel || opt_accel(c, accel);
}

bool opt_M(struct cli *c, const char *arg)
{
	return opt_machine(c, arg);
}

bool opt_name(struct cli *c, const char *arg)
{
	return set_once(c, &c->set->name, arg);
}

static bool parse_date(const char *s, s64 *epoch)
{
	struct tm tm = {0};
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(s, "%Y-%m-%d", &tm);
	}
	if (!end || *end || tm.tm_year < 70)
		return false;
	*epoch = timegm(&tm);
	return true;
}

bool opt_rtc(struct cli *c, const char *arg)
{
	const char *base;
	time_t now = time(NULL);
	struct tm tm;
	struct props p;

	if (!props_parse(c, arg, "base", &p))
		return false;
	base = props_get(&p, "base");
	if (!base || p.first)
		return cli_error(c, "give base=utc, base=localtime or base=DATE");
	if (!strcmp(base, "utc"))
		c->set->epoch = now;
	else if (!strcmp(base, "localtime") && localtime_r(&now, &tm))
		c->set->epoch = timegm(&tm);
	else if (!parse_date(base, &c->set->epoch))
		return cli_error(c,
				 "base='%.64s': give utc, localtime or a date like "
				 "2026-01-31T12:00:00",
				 base);
	return true;
}

bool opt_icount(struct cli *c, const char *arg)
{
	return one_of(c, arg, (const char *const[]){"auto", "shift=auto", NULL});
}

bool opt_nodefaults(struct cli *c, const char *arg)
{
	(void)arg;
	return c->set->nodefaults = true;
}

bool opt_no_reboot(struct cli *c, const char *arg)
{
	(void)arg;
	return c->set->no_reboot = true;
}

bool opt_no_shutdown(struct cli *c, const char *arg)
{
	(void)arg;
	return c->set->no_shutdown = true;
}

/* --- what is only there to be switched off --- */

bool opt_nic(struct cli *c, const char *arg)
{
	return only_none(c, arg);
}

bool opt_net(struct cli *c, const char *arg)
{
	return only_none(c, arg);
}

bool opt_display(struct cli *c, const char *arg)
{
	return only_none(c, arg);
}

bool opt_vga(struct cli *c, const char *arg)
{
	return only_none(c, arg);
}

bool opt_vnc(struct cli *c, const char *arg)
{
	return only_none(c, arg);
}

bool opt_parallel(struct cli *c, const char *arg)
{
	return only_none(c, arg);
}

/* --- limits --- */

bool opt_timeout(struct cli *c, const char *arg)
{
	u64 n;

	if (!cli_number(c, arg, 1, SECONDS_MAX, &n))
		return false;
	c->set->timeout_ms = n * 1000;
	return true;
}

bool opt_max_time(struct cli *c, const char *arg)
{
	u64 n;

	if (!cli_number(c, arg, 1, SECONDS_MAX, &n))
		return false;
	c->set->max_ns = n * 1000000000;
	return true;
}

bool opt_max_insns(struct cli *c, const char *arg)
{
	return cli_number(c, arg, 1, UINT64_MAX / 2, &c->set->max_insns);
}

bool opt_hash_every(struct cli *c, const char *arg)
{
	return cli_number(c, arg, 1, UINT64_MAX / 2, &c->set->hash_every);
}

/* --- debugging --- */

bool opt_d(struct cli *c, const char *arg)
{
	struct nearest n;
	const char *bad;
	size_t len;

	if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
		help_log_kinds(stdout);
		c->action = CLI_DONE;
		return true;
	}
	if (log_parse(arg, &c->set->log_mask, &bad))
		return true;
	len = strcspn(bad, ",");
	nearest_init(&n, bad, len);
	for (unsigned k = 0; k < LOG_KINDS; k++)
		nearest_offer(&n, log_kind_name((enum log_kind)k));
	return cli_error(c, "no kind '%.*s'; the nearest is '%s'", (int)(len < 64 ? len : 64), bad,
			 n.best);
}

bool opt_D(struct cli *c, const char *arg)
{
	return set_once(c, &c->set->log_file, arg);
}

bool opt_gdb(struct cli *c, const char *arg)
{
	const char *colon = strrchr(arg, ':'), *host = arg + 4;
	u64 port;

	if (strncmp(arg, "tcp:", 4) || !colon || colon < host)
		return cli_error(c, "'%.64s': give tcp::PORT", arg);
	if (!cli_number(c, colon + 1, 1, 65535, &port))
		return false;
	c->set->gdb_port = (u16)port;
	c->set->gdb_host = cli_keep(c, strndup(host, (size_t)(colon - host)));
	return true;
}

bool opt_s(struct cli *c, const char *arg)
{
	(void)arg;
	return opt_gdb(c, "tcp::1234");
}

bool opt_S(struct cli *c, const char *arg)
{
	(void)arg;
	return c->set->paused = true;
}

/* --- other --- */

bool opt_dump_config(struct cli *c, const char *arg)
{
	(void)arg;
	return c->set->dump_config = true;
}

bool opt_version(struct cli *c, const char *arg)
{
	(void)arg;
	printf("gigogne %s\n", GIGOGNE_VERSION);
	c->action = CLI_DONE;
	return true;
}

bool opt_help(struct cli *c, const char *topic)
{
	if (!topic)
		help_print(stdout);
	else if (!strcmp(topic, "man"))
		help_man(stdout);
	else if (!strcmp(topic, "bash"))
		help_bash(stdout);
	else
		return cli_error(c, "no topic '%.64s'; there are man and bash", topic);
	c->action = CLI_DONE;
	return true;
}

bool opt_h(struct cli *c, const char *arg)
{
	return opt_help(c, arg);
}
