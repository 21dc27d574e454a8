/*
 * The monitor: commands by name, from the console and from gdb.
 */
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cpu/cpu.h"
#include "frontend/control/gdbstub.h"
#include "vmx/vmx.h"

/* arg: what follows the name, "" if nothing. */
typedef void command_fn(struct frontend *f, const char *arg, FILE *out);

#define C(id, name, arguments, text) static command_fn cmd_##id;
#include "frontend/control/monitor.def"

static const struct {
	const char *name, *arguments, *text;
	command_fn *run;
} commands[] = {
#define C(id, name, arguments, text) {name, arguments, text, cmd_##id},
#include "frontend/control/monitor.def"
};

static void cmd_help(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
	(void)f;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "%-12s %-4s %s\n", commands[i].name, commands[i].arguments,
			commands[i].text);
}

static void cmd_registers(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
	machine_print_state(f->machine, out);
}

static void cmd_vmx(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
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

static void cmd_exits(struct frontend *f, const char *arg, FILE *out)
{
	char *end;
	unsigned long count = strtoul(*arg ? arg : "10", &end, 10);

	if (*end) {
		fprintf(out, "info exits: '%s' is no number\n", arg);
		return;
	}
	for (unsigned n = 0; n < machine_cpus(f->machine); n++) {
		fprintf(out, "CPU %u\n", n);
		vmx_print_exits(machine_cpu(f->machine, n),
				count < VMX_EXIT_RING ? (unsigned)count : VMX_EXIT_RING, out);
	}
}

static void cmd_vmcs(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
	for (unsigned n = 0; n < machine_cpus(f->machine); n++) {
		fprintf(out, "CPU %u\n", n);
		vmx_print_vmcs(machine_cpu(f->machine, n), out);
	}
}

static void cmd_explain(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
	for (unsigned n = 0; n < machine_cpus(f->machine); n++)
		vmx_explain(machine_cpu(f->machine, n), out);
}

static void cmd_status(struct frontend *f, const char *arg, FILE *out)
{
	bool debugger = f->gdb && gdb_stopped(f->gdb);

	(void)arg;
	fprintf(out, "VM status: %s\n",
		f->paused  ? "paused"
		: debugger ? "paused (debugger)"
			   : "running");
}

static void cmd_stop(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
	(void)out;
	f->paused = true;
}

static void cmd_cont(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
	(void)out;
	f->paused = false;
}

static void cmd_c(struct frontend *f, const char *arg, FILE *out)
{
	cmd_cont(f, arg, out);
}

/* As a guest would do it: a hard reset through the reset control register, port CF9h. */
static void cmd_reset(struct frontend *f, const char *arg, FILE *out)
{
	struct bus *pio = machine_cpu(f->machine, 0)->pio;

	(void)arg;
	(void)out;
	bus_write(pio, 0xcf9, 2, 1);
	bus_write(pio, 0xcf9, 6, 1);
	f->paused = false;
}

static void cmd_quit(struct frontend *f, const char *arg, FILE *out)
{
	(void)arg;
	(void)out;
	frontend_end(f, EXIT_OK);
}

static void cmd_q(struct frontend *f, const char *arg, FILE *out)
{
	cmd_quit(f, arg, out);
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

/* What follows the command's name in `line`, or NULL if the line is another command. */
static const char *argument_of(size_t command, const char *line)
{
	size_t len = strlen(commands[command].name);

	if (strncmp(line, commands[command].name, len))
		return NULL;
	if (!line[len])
		return line + len;
	return line[len] == ' ' && *commands[command].arguments ? line + len + 1 : NULL;
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
		const char *arg = argument_of(i, name);

		if (arg) {
			commands[i].run(f, arg, out);
			return;
		}
		nearest_offer(&n, commands[i].name);
	}
	fprintf(out, "no command '%s'; the nearest is '%s'\n", name, n.best);
}
