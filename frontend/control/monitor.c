/*
 * The monitor: commands by name, from the console and from gdb.
 */
#include <string.h>

#include "base/nearest.h"
#include "cpu/cpu.h"
#include "frontend/control/gdbstub.h"
#include "vmx/vmx.h"

typedef void command_fn(struct frontend *f, FILE *out);

#define C(id, name, text) static command_fn cmd_##id;
#include "frontend/control/monitor.def"

static const struct {
	const char *name, *text;
	command_fn *run;
} commands[] = {
#define C(id, name, text) {name, text, cmd_##id},
#include "frontend/control/monitor.def"
};

static void cmd_help(struct frontend *f, FILE *out)
{
	(void)f;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "%-16s %s\n", commands[i].name, commands[i].text);
}

static void cmd_registers(struct frontend *f, FILE *out)
{
	machine_print_state(f->machine, out);
}

static void cmd_vmx(struct frontend *f, FILE *out)
{
	for (unsigned n = 0; n < machine_cpus(f->machine); n++) {
		const struct vcpu *v = machine_cpu(f->machine, n);

		fprintf(out, "CPU %u: %s\n", n,
			!model_has(v->model, FEAT_VMX) ? "no VMX"
			: !v->vmx.vmxon		       ? "not in VMX operation"
			: v->vmx.non_root	       ? "VMX non-root operation"
						       : "VMX root operation");
		if (model_has(v->model, FEAT_VMX))
			vmx_print(v, out);
	}
}

static void cmd_status(struct frontend *f, FILE *out)
{
	bool debugger = f->gdb && gdb_stopped(f->gdb);

	fprintf(out, "VM status: %s\n",
		f->paused  ? "paused"
		: debugger ? "paused (debugger)"
			   : "running");
}

static void cmd_stop(struct frontend *f, FILE *out)
{
	(void)out;
	f->paused = true;
}

static void cmd_cont(struct frontend *f, FILE *out)
{
	(void)out;
	f->paused = false;
}

static void cmd_c(struct frontend *f, FILE *out)
{
	cmd_cont(f, out);
}

/* As a guest would do it: a hard reset through the reset control register, port CF9h. */
static void cmd_reset(struct frontend *f, FILE *out)
{
	struct bus *pio = machine_cpu(f->machine, 0)->pio;

	(void)out;
	bus_write(pio, 0xcf9, 2, 1);
	bus_write(pio, 0xcf9, 6, 1);
	f->paused = false;
}

static void cmd_quit(struct frontend *f, FILE *out)
{
	(void)out;
	frontend_end(f, EXIT_OK);
}

static void cmd_q(struct frontend *f, FILE *out)
{
	cmd_quit(f, out);
}

/* Spaces at both ends cut, runs of them in between made one. */
static void tidy(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from && n + 1 < size; from++)
		if (*from != ' ' || (n && to[n - 1] != ' '))
			to[n++] = *from;
	if (n && to[n - 1] == ' ')
		n--;
	to[n] = 0;
}

void monitor_command(struct frontend *f, const char *line, FILE *out)
{
	char name[CONSOLE_LINE];
	struct nearest n;

	tidy(name, sizeof(name), line);
	if (!*name)
		return;
	nearest_init(&n, name, strlen(name));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(name, commands[i].name)) {
			commands[i].run(f, out);
			return;
		}
		nearest_offer(&n, commands[i].name);
	}
	fprintf(out, "no command '%s'; the nearest is '%s'\n", name, n.best);
}
