/*
 * --dump-config: every setting as "key = value", in a fixed order, so that two can be compared.
 */
#include "frontend/cli.h"

static const char *text(const char *s)
{
	return s ? s : "";
}

static const char *on_off(bool b)
{
	return b ? "on" : "off";
}

static void dump_stream(FILE *out, const char *key, int n, const struct stream_setting *s)
{
	static const char *const kinds[] = {[STREAM_NONE] = "none",
					    [STREAM_NULL] = "null",
					    [STREAM_STDIO] = "stdio",
					    [STREAM_FILE] = "file:",
					    [STREAM_PTY] = "pty"};

	fprintf(out, "%s", key);
	if (n >= 0)
		fprintf(out, ".%d", n);
	fprintf(out, " = %s%s%s\n", s->monitor ? "mon:" : "", kinds[s->kind], text(s->path));
}

static void dump_drive(FILE *out, unsigned n, const struct drive_setting *d, bool snapshot)
{
	static const char *const interfaces[] = {"nvme", "virtio", "none"};

	fprintf(out, "drive.%u.file = %s\n", n, d->file);
	fprintf(out, "drive.%u.if = %s\n", n, interfaces[d->interface]);
	fprintf(out, "drive.%u.format = raw\n", n);
	fprintf(out, "drive.%u.id = %s\n", n, text(d->id));
	fprintf(out, "drive.%u.serial = %s\n", n, text(d->serial));
	fprintf(out, "drive.%u.snapshot = %s\n", n, on_off(d->snapshot || snapshot));
	fprintf(out, "drive.%u.readonly = %s\n", n, on_off(d->read_only));
}

static void dump_devices(const struct settings *s, FILE *out)
{
	for (unsigned i = 0; i < CLI_SERIALS; i++)
		dump_stream(out, "serial", (int)i, &s->serial[i]);
	dump_stream(out, "debugcon", -1, &s->debugcon);
	dump_stream(out, "virtconsole", -1, &s->virtconsole);
	fprintf(out, "monitor = %s\n",
		s->monitor_stdio  ? "stdio"
		: s->monitor_none ? "none"
				  : "mux");
	for (unsigned i = 0; i < s->drives; i++)
		dump_drive(out, i, &s->drive[i], s->snapshot);
	fprintf(out, "virtio-rng = %s\n", on_off(s->rng));
	fprintf(out, "pvpanic = %s\n", on_off(s->pvpanic));
	fprintf(out, "pc-testdev = %s\n", on_off(s->testdev));
	fprintf(out, "isa-debug-exit.iobase = 0x%x\n", s->debug_exit_base);
	fprintf(out, "isa-debug-exit.iosize = %u\n", s->debug_exit_size);
}

static void dump_u64(FILE *out, const char *key, u64 value)
{
	fprintf(out, "%s = %llu\n", key, (unsigned long long)value);
}

void dump_config(const struct settings *s, FILE *out)
{
	fprintf(out, "machine = pc\naccel = interp\nname = %s\n", text(s->name));
	dump_u64(out, "memory", s->ram);
	fprintf(out, "smp = %u\ncpu = ", s->cpus);
	cpu_model_print(&s->model, out);
	fprintf(out, "\ndemo = %s\nkernel = %s\ninitrd = %s\nappend = %s\n", text(s->demo),
		text(s->kernel), text(s->initrd), text(s->append));
	dump_devices(s, out);
	fprintf(out, "rtc = %lld\n", (long long)s->epoch);
	fprintf(out, "no-reboot = %s\nno-shutdown = %s\npaused = %s\n", on_off(s->no_reboot),
		on_off(s->no_shutdown), on_off(s->paused));
	dump_u64(out, "hash-every", s->hash_every);
	dump_u64(out, "max-insns", s->max_insns);
	dump_u64(out, "max-time-ns", s->max_ns);
	dump_u64(out, "timeout-ms", s->timeout_ms);
	fprintf(out, "log =");
	for (unsigned k = 0; k < LOG_KINDS; k++)
		if (s->log_mask >> k & 1)
			fprintf(out, " %s", log_kind_name((enum log_kind)k));
	fprintf(out, "\nlog-file = %s\ngdb = %s:%u\n", text(s->log_file), text(s->gdb_host),
		s->gdb_port);
}
