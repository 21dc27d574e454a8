/*
 * From settings to a machine_config: opens what has to be opened and says clearly what cannot be.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/control/gdbstub.h"

extern const unsigned char nest_image[];
extern const unsigned nest_image_size;

static int fail(int code, const char *text)
{
	fprintf(stderr, "gigogne: %s\n", text);
	return code;
}

/* --- files that the machine will read --- */

static const char *file_trouble(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = NULL;
	struct stat st;

	if (fd < 0)
		return strerror(errno);
	if (fstat(fd, &st))
		why = strerror(errno);
	else if (S_ISDIR(st.st_mode))
		why = "Is a directory";
	else if (!S_ISREG(st.st_mode))
		why = "not a regular file";
	else if (!st.st_size)
		why = "the file is empty";
	close(fd);
	return why;
}

static int check_file(const char *what, const char *path)
{
	const char *why = file_trouble(path);

	if (!why)
		return 0;
	fprintf(stderr, "gigogne: %s '%s': %s\n", what, path, why);
	return EXIT_BAD_IMAGE;
}

/* One file, or for multiboot "file args,file args". */
static int check_initrd(const char *list)
{
	if (!access(list, F_OK) || !strpbrk(list, ", "))
		return check_file("initrd", list);
	while (*list) {
		char spec[8192];
		size_t len = machine_next_module(&list, spec, sizeof(spec) - 1);
		int r;

		spec[len] = 0;
		spec[strcspn(spec, " ")] = 0;
		r = check_file("initrd", spec);
		if (r)
			return r;
	}
	return 0;
}

static int setup_kernel(struct frontend *f)
{
	struct machine_config *cfg = &f->cfg;
	const struct settings *s = &f->set;

	cfg->append = s->append;
	if (s->demo) {
		cfg->kernel = s->demo;
		cfg->image = nest_image;
		cfg->image_size = nest_image_size;
		return 0;
	}
	cfg->kernel = s->kernel;
	cfg->initrd = s->initrd;
	if (check_file("kernel", s->kernel))
		return EXIT_BAD_IMAGE;
	return s->initrd ? check_initrd(s->initrd) : 0;
}

/* --- streams --- */

static int setup_stream(struct frontend *f, const struct stream_setting *set,
			struct host_chardev **chr)
{
	struct stream *s = &f->stream[f->streams];
	char err[512];

	if (set->kind == STREAM_NONE)
		return 0;
	if (!stream_open(s, set, err, sizeof(err)))
		return fail(EXIT_USAGE, err);
	f->streams++;
	*chr = &s->chr;
	if (set->kind == STREAM_STDIO && set->monitor)
		console_attach(&f->console, s, true, f);
	return 0;
}

/* -monitor stdio without anything else there. */
static int setup_monitor(struct frontend *f)
{
	static const struct stream_setting on_stdio = {.kind = STREAM_STDIO};
	struct host_chardev *unused;

	if (!f->set.monitor_stdio)
		return 0;
	if (setup_stream(f, &on_stdio, &unused))
		return EXIT_USAGE;
	console_attach(&f->console, &f->stream[f->streams - 1], false, f);
	return 0;
}

static int setup_streams(struct frontend *f)
{
	const struct settings *s = &f->set;
	int r = 0;

	for (unsigned i = 0; i < s->serials && !r; i++)
		r = setup_stream(f, &s->serial[i], &f->cfg.serial[i]);
	if (!r)
		r = setup_stream(f, &s->debugcon, &f->cfg.debugcon);
	if (!r)
		r = setup_stream(f, &s->virtconsole, &f->cfg.console);
	return r ? r : setup_monitor(f);
}

/* --- disks --- */

static int setup_disk(struct frontend *f, const struct drive_setting *set)
{
	struct disk *d = &f->disk[f->disks];
	char err[512];

	if (!disk_open(d, set->file, set->read_only, set->snapshot || f->set.snapshot, err,
		       sizeof(err))) {
		disk_close(d);
		return fail(EXIT_BAD_IMAGE, err);
	}
	f->cfg.drive[f->disks++] = (struct drive){
		.kind = set->interface == IF_VIRTIO ? DRIVE_VIRTIO : DRIVE_NVME,
		.file = set->file,
		.block = &d->block,
		.serial = set->serial,
	};
	f->cfg.drives = f->disks;
	return 0;
}

/* --- the rest --- */

/* SplitMix64 with a fixed seed: a run repeats exactly. */
static void entropy_fill(void *owner, void *buf, size_t len)
{
	struct frontend *f = owner;
	u8 *to = buf;

	while (len) {
		u64 z = f->entropy_state += 0x9e3779b97f4a7c15ull;
		size_t n = len < 8 ? len : 8;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		z ^= z >> 31;
		memcpy(to, &z, n);
		to += n;
		len -= n;
	}
}

static int setup_log(struct frontend *f)
{
	f->log.mask = f->set.log_mask;
	if (!f->set.log_file)
		return 0;
	f->log.out = fopen(f->set.log_file, "we");
	if (f->log.out)
		return 0;
	fprintf(stderr, "gigogne: log file '%s': %s\n", f->set.log_file, strerror(errno));
	return EXIT_USAGE;
}

static void copy_settings(struct frontend *f)
{
	const struct settings *s = &f->set;
	struct machine_config *cfg = &f->cfg;

	cfg->ram = s->ram;
	cfg->cpus = s->cpus;
	f->set.model.ncpus = s->cpus;
	cfg->model = &s->model;
	cfg->rng = s->rng;
	cfg->no_reboot = s->no_reboot;
	cfg->no_shutdown = s->no_shutdown;
	cfg->pvpanic = s->pvpanic;
	cfg->testdev = s->testdev;
	cfg->debug_exit_base = s->debug_exit_base;
	cfg->debug_exit_size = s->debug_exit_size;
	cfg->epoch = s->epoch;
	cfg->hash_every = s->hash_every;
	cfg->max_insns = s->max_insns;
	cfg->max_ns = s->max_ns;
	cfg->log = &f->log;
	f->entropy = (struct host_entropy){.fill = entropy_fill, .owner = f};
	cfg->entropy = &f->entropy;
	cfg->poll = frontend_poll;
	cfg->poll_owner = f;
}

int frontend_setup(struct frontend *f)
{
	char err[512];
	int r;

	f->set.model.vmx_mask = &f->set.vmx_mask;
	copy_settings(f);
	r = setup_kernel(f);
	for (unsigned i = 0; i < f->set.drives && !r; i++)
		r = setup_disk(f, &f->set.drive[i]);
	if (!r)
		r = setup_log(f);
	if (!r)
		r = setup_streams(f);
	if (r || !f->set.gdb_port)
		return r;
	f->gdb = gdb_new(f, err, sizeof(err));
	return f->gdb ? 0 : fail(EXIT_USAGE, err);
}

void frontend_close(struct frontend *f)
{
	for (unsigned i = 0; i < f->streams; i++)
		stream_close(&f->stream[i]);
	for (unsigned i = 0; i < f->disks; i++)
		disk_close(&f->disk[i]);
	if (f->log.out)
		fclose(f->log.out);
	gdb_free(f->gdb);
}
