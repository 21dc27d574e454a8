/*
 * Handlers of -drive, -device and everything that is connected to a byte stream.
 */
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "frontend/props.h"

/* --- streams --- */

static bool stream_kind(struct cli *c, const char *name, struct stream_setting *out)
{
	static const struct {
		const char *name;
		enum stream_kind kind;
	} kinds[] = {{"none", STREAM_NONE},
		     {"null", STREAM_NULL},
		     {"stdio", STREAM_STDIO},
		     {"file", STREAM_FILE},
		     {"pty", STREAM_PTY}};
	struct nearest n;

	nearest_init(&n, name, strlen(name));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(kinds[i].name, name)) {
			out->kind = kinds[i].kind;
			return true;
		}
		nearest_offer(&n, kinds[i].name);
	}
	return cli_unknown(c, "stream", name, n.best);
}

bool cli_stream(struct cli *c, const char *s, struct stream_setting *out)
{
	*out = (struct stream_setting){.kind = STREAM_FILE};
	if (!strncmp(s, "file:", 5)) {
		out->path = s + 5;
		return *out->path || cli_error(c, "file: needs a path");
	}
	if (!strncmp(s, "chardev:", 8)) {
		const struct stream_setting *chardev = cli_chardev(c, s + 8);

		if (chardev)
			*out = *chardev;
		return chardev;
	}
	if (!strcmp(s, "mon:stdio")) {
		*out = (struct stream_setting){.kind = STREAM_STDIO, .monitor = true};
		return true;
	}
	if (!strcmp(s, "file"))
		return cli_error(c, "file needs a path: file:PATH");
	return stream_kind(c, s, out);
}

struct stream_setting *cli_chardev(struct cli *c, const char *id)
{
	struct nearest n;

	nearest_init(&n, id, strlen(id));
	for (unsigned i = 0; i < c->set->chardevs; i++) {
		if (!strcmp(c->set->chardev[i].id, id))
			return &c->set->chardev[i];
		nearest_offer(&n, c->set->chardev[i].id);
	}
	cli_unknown(c, "-chardev with id", id, n.best);
	return NULL;
}

bool opt_chardev(struct cli *c, const char *arg)
{
	struct settings *s = c->set;
	struct stream_setting new = {0};
	struct props p;
	bool mux;

	if (!props_parse(c, arg, "id path mux", &p))
		return false;
	new.id = props_get(&p, "id");
	new.path = props_get(&p, "path");
	if (!p.first || !stream_kind(c, p.first, &new))
		return p.first || cli_error(c, "give stdio, null, file or pty first");
	if (!new.id)
		return cli_error(c, "needs id=");
	if ((new.kind == STREAM_FILE) != (new.path != NULL))
		return cli_error(c, "path= belongs to file, and file needs it");
	if (!cli_on_off(c, "mux", props_get(&p, "mux"), &mux))
		return false;
	new.monitor = mux &&new.kind == STREAM_STDIO;
	for (unsigned i = 0; i < s->chardevs; i++)
		if (!strcmp(s->chardev[i].id, new.id))
			return cli_error(c, "id '%.64s' is given twice", new.id);
	if (s->chardevs == CLI_CHARDEVS)
		return cli_error(c, "%d at most", CLI_CHARDEVS);
	s->chardev[s->chardevs++] = new;
	return true;
}

bool opt_serial(struct cli *c, const char *arg)
{
	if (c->set->serials == CLI_SERIALS)
		return cli_error(c, "%d at most", CLI_SERIALS);
	return cli_stream(c, arg, &c->set->serial[c->set->serials++]);
}

bool opt_debugcon(struct cli *c, const char *arg)
{
	return cli_stream(c, arg, &c->set->debugcon);
}

bool opt_nographic(struct cli *c, const char *arg)
{
	(void)arg;
	return c->set->nographic = true;
}

bool opt_monitor(struct cli *c, const char *arg)
{
	c->set->monitor_stdio = !strcmp(arg, "stdio");
	c->set->monitor_none = !strcmp(arg, "none");
	return c->set->monitor_stdio || c->set->monitor_none ||
	       cli_error(c, "'%.64s' is not built; there are none and stdio", arg);
}

/* --- disks --- */

static bool drive_interface(struct cli *c, const char *name, enum drive_if *out)
{
	static const char *const names[] = {"nvme", "virtio", "none"};
	struct nearest n;

	if (!name)
		return true;
	nearest_init(&n, name, strlen(name));
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(names[i], name)) {
			*out = (enum drive_if)i;
			return true;
		}
		nearest_offer(&n, names[i]);
	}
	return cli_unknown(c, "interface", name, n.best);
}

static bool drive_on_off(struct cli *c, const struct props *p, const char *key, bool *value)
{
	const char *s = props_get(p, key);

	return !s || cli_on_off(c, key, s, value);
}

bool opt_drive(struct cli *c, const char *arg)
{
	struct settings *s = c->set;
	struct drive_setting *d = &s->drive[s->drives];
	const char *format;
	struct props p;

	if (s->drives == MACHINE_MAX_DRIVES)
		return cli_error(c, "%d at most", MACHINE_MAX_DRIVES);
	memset(d, 0, sizeof(*d));
	if (!props_parse(c, arg, "file if id format snapshot readonly serial media", &p))
		return false;
	d->file = props_get(&p, "file");
	d->id = props_get(&p, "id");
	d->serial = props_get(&p, "serial");
	format = props_get(&p, "format");
	if (p.first || !d->file || !*d->file)
		return cli_error(c, "'%.100s': give file=FILE", arg);
	if (format && strcmp(format, "raw"))
		return cli_error(c, "format '%.64s' is not built; the nearest is 'raw'", format);
	if (props_get(&p, "media") && strcmp(props_get(&p, "media"), "disk"))
		return cli_error(c, "media '%.64s' is not built; the nearest is 'disk'",
				 props_get(&p, "media"));
	if (!drive_interface(c, props_get(&p, "if"), &d->interface) ||
	    !drive_on_off(c, &p, "snapshot", &d->snapshot) ||
	    !drive_on_off(c, &p, "readonly", &d->read_only))
		return false;
	if (d->interface == IF_NONE && !d->id)
		return cli_error(c, "if=none needs id=, for a -device to name");
	s->drives++;
	return true;
}

bool opt_snapshot(struct cli *c, const char *arg)
{
	(void)arg;
	return c->set->snapshot = true;
}

static bool take_drive(struct cli *c, const struct props *p, enum drive_if interface)
{
	const char *id = props_get(p, "drive");
	struct nearest n;

	if (!id)
		return cli_error(c, "%s needs drive=ID", p->first);
	nearest_init(&n, id, strlen(id));
	for (unsigned i = 0; i < c->set->drives; i++) {
		struct drive_setting *d = &c->set->drive[i];

		if (!d->id)
			continue;
		nearest_offer(&n, d->id);
		if (strcmp(d->id, id))
			continue;
		if (d->used || d->interface != IF_NONE)
			return cli_error(c, "drive '%.64s' is in use already", id);
		d->used = true;
		d->interface = interface;
		if (props_get(p, "serial"))
			d->serial = props_get(p, "serial");
		return true;
	}
	return cli_unknown(c, "-drive before it with id", id, n.best);
}

/* --- devices --- */

typedef bool device_handler(struct cli *c, const struct props *p);

static bool dev_nvme(struct cli *c, const struct props *p)
{
	return take_drive(c, p, IF_NVME);
}

static bool dev_virtio_blk(struct cli *c, const struct props *p)
{
	return take_drive(c, p, IF_VIRTIO);
}

static bool dev_virtio_rng(struct cli *c, const struct props *p)
{
	(void)p;
	return c->set->rng = true;
}

static bool dev_virtio_serial(struct cli *c, const struct props *p)
{
	(void)c;
	(void)p;
	return true; /* the port brings the controller */
}

static bool dev_virtio_serial_short(struct cli *c, const struct props *p)
{
	return dev_virtio_serial(c, p);
}

static bool named_stream(struct cli *c, const struct props *p, struct stream_setting *out)
{
	const char *id = props_get(p, "chardev");
	const struct stream_setting *stream;

	if (!id)
		return cli_error(c, "%s needs chardev=ID", p->first);
	if (out->kind != STREAM_NONE)
		return cli_error(c, "one %s at most", p->first);
	stream = cli_chardev(c, id);
	if (stream)
		*out = *stream;
	return stream;
}

static bool dev_virtconsole(struct cli *c, const struct props *p)
{
	return named_stream(c, p, &c->set->virtconsole);
}

static bool dev_isa_debug_exit(struct cli *c, const struct props *p)
{
	const char *base = props_get(p, "iobase"), *size = props_get(p, "iosize");
	u64 b = 0x501, n = 2;

	if (base && !cli_number(c, base, 1, 0xffff, &b))
		return false;
	if (size && !cli_number(c, size, 1, 4, &n))
		return false;
	if (n == 3 || b + n > 0x10000)
		return cli_error(c, "iosize can be 1, 2 or 4, below port 10000h");
	c->set->debug_exit_base = (u16)b;
	c->set->debug_exit_size = (u8)n;
	return true;
}

static bool dev_isa_debugcon(struct cli *c, const struct props *p)
{
	const char *base = props_get(p, "iobase");
	u64 b;

	if (base && !cli_number(c, base, 0xe9, 0xe9, &b))
		return false;
	return named_stream(c, p, &c->set->debugcon);
}

static bool dev_pvpanic(struct cli *c, const struct props *p)
{
	(void)p;
	return c->set->pvpanic = true;
}

static bool dev_pc_testdev(struct cli *c, const struct props *p)
{
	(void)p;
	return c->set->testdev = true;
}

static const struct {
	const char *name, *props;
	device_handler *handler;
} devices[] = {
#define D(id, name, props, text) {name, props, dev_##id},
#include "frontend/devices.def"
};

bool opt_device(struct cli *c, const char *arg)
{
	size_t len = strcspn(arg, ",");
	struct nearest n;
	struct props p;

	if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
		help_devices(stdout);
		c->action = CLI_DONE;
		return true;
	}
	nearest_init(&n, arg, len);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		nearest_offer(&n, devices[i].name);
		if (strlen(devices[i].name) == len && !strncmp(arg, devices[i].name, len))
			return props_parse(c, arg, devices[i].props, &p) &&
			       devices[i].handler(c, &p);
	}
	return cli_error(c, "no device '%.*s'; the nearest is '%s'", (int)(len < 64 ? len : 64),
			 arg, n.best);
}
