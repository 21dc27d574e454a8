/*
 * The command line as typed settings. No file is opened and nothing is started here.
 */
#ifndef FRONTEND_CLI_H
#define FRONTEND_CLI_H

#include "cpu/model.h"
#include "machine/machine.h"

#define CLI_SERIALS 4
#define CLI_CHARDEVS 8

enum stream_kind { STREAM_NONE, STREAM_NULL, STREAM_STDIO, STREAM_FILE, STREAM_PTY };

struct stream_setting {
	enum stream_kind kind;
	const char *path; /* STREAM_FILE */
	const char *id;	  /* of -chardev */
	bool monitor;	  /* STREAM_STDIO: Ctrl-A reaches the monitor */
};

enum drive_if { IF_NVME, IF_VIRTIO, IF_NONE };

struct drive_setting {
	const char *file, *id, *serial;
	enum drive_if interface;
	bool snapshot, read_only, used; /* used: a -device took it */
};

enum cli_action { CLI_RUN, CLI_HINT, CLI_DONE };

struct settings {
	u64 ram;
	unsigned cpus;
	struct cpu_model model;
	struct vmx_model_mask vmx_mask;
	const char *name, *kernel, *initrd, *append;
	const char *demo; /* name of the built-in guest */
	struct drive_setting drive[MACHINE_MAX_DRIVES];
	unsigned drives;
	struct stream_setting chardev[CLI_CHARDEVS];
	unsigned chardevs;
	struct stream_setting serial[CLI_SERIALS];
	unsigned serials;
	struct stream_setting debugcon, virtconsole;
	bool nographic, nodefaults, monitor_stdio, monitor_none, snapshot;
	bool no_reboot, no_shutdown, rng, pvpanic, testdev, paused, dump_config;
	u16 debug_exit_base;
	u8 debug_exit_size;
	s64 epoch;
	u64 hash_every, max_insns, max_ns, timeout_ms;
	u32 log_mask;
	const char *log_file;
	const char *gdb_host; /* with gdb_port != 0 */
	u16 gdb_port;
};

struct cli {
	struct settings *set;
	const char *option; /* being parsed, for messages */
	enum cli_action action;
	char err[512];
	void **kept; /* strings made while parsing; freed by cli_free */
	unsigned nkept;
};

/* False: cli->err says in one line what is wrong (exit 64). */
bool cli_parse(struct cli *c, struct settings *set, int argc, char **argv);
void cli_free(struct cli *c);

/* --- for the option handlers --- */
bool cli_error(struct cli *c, const char *fmt, ...) ATTR_PRINTF(2, 3); /* always false */
/* "WHAT 'name': the nearest is 'x'". */
bool cli_unknown(struct cli *c, const char *what, const char *name, const char *nearest);
void *cli_keep(struct cli *c, void *p);					     /* NULL stays NULL */
bool cli_number(struct cli *c, const char *s, u64 min, u64 max, u64 *value); /* 0x too */
bool cli_on_off(struct cli *c, const char *what, const char *s, bool *value);
bool cli_stream(struct cli *c, const char *s, struct stream_setting *out);
struct stream_setting *cli_chardev(struct cli *c, const char *id);

typedef bool cli_handler(struct cli *c, const char *arg);
/* options.c, options_dev.c */
#define O(id, name, arg, text) cli_handler opt_##id;
#include "frontend/options.def"

/* help.c */
void help_print(FILE *out);
void help_hint(FILE *out);
void help_man(FILE *out);
void help_bash(FILE *out);
void help_devices(FILE *out);
void help_log_kinds(FILE *out);
/* dump.c */
void dump_config(const struct settings *s, FILE *out);

#endif
