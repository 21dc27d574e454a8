/*
 * What options.def and devices.def say, as -help, as a man page, as a bash completion.
 */
#include <ctype.h>
#include <string.h>

#include "frontend/cli.h"

static const struct {
	const char *name, *arg, *text; /* arg and text NULL: title of a section */
	bool title;
} rows[] = {
#define S(id, title) {title, NULL, NULL, true},
#define O(id, name, arg, text) {name, arg, text, false},
#include "frontend/options.def"
};

static const struct {
	const char *name, *props, *text;
} devices[] = {
#define D(id, name, props, text) {name, props, text},
#include "frontend/devices.def"
};

static const struct {
	int code;
	const char *text;
} exit_codes[] = {
	{EXIT_OK, "the guest powered off, or the user ended it"},
	{1, "to 63: chosen by the guest (isa-debug-exit)"},
	{EXIT_USAGE, "a mistake on the command line"},
	{EXIT_BAD_IMAGE, "a kernel, initrd or disk that cannot be used"},
	{EXIT_TRIPLE_FAULT, "triple fault with -no-reboot"},
	{EXIT_GUEST_PANIC, "the guest panicked"},
	{EXIT_WALL_LIMIT, "-timeout ran out"},
	{EXIT_TIME_LIMIT, "-max-time or -max-insns ran out"},
	{EXIT_INTERNAL, "internal error, or no memory on the host"},
	{128, "+ n: ended by signal n"},
};

void help_hint(FILE *out)
{
	fprintf(out,
		"gigogne runs an x86-64 PC whose processor has VT-x, on any host.\n"
		"Watch a hypervisor run itself, four levels deep:  gigogne -demo nest,depth=4\n"
		"Boot a kernel of yours:  gigogne -kernel vmlinuz -initrd initrd -append "
		"console=ttyS0 -nographic   (more: gigogne -help)\n");
}

void help_print(FILE *out)
{
	fprintf(out, "usage: gigogne [options]\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].title)
			fprintf(out, "\n%s:\n", rows[i].name);
		else
			fprintf(out, "  -%s%s%s\n        %s\n", rows[i].name,
				rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "",
				rows[i].text);
	}
	fprintf(out, "\nExit codes:\n");
	for (size_t i = 0; i < ARRAY_SIZE(exit_codes); i++)
		fprintf(out, "  %3d  %s\n", exit_codes[i].code, exit_codes[i].text);
}

void help_devices(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		fprintf(out, "%-18s %s\n%-18s properties: %s\n", devices[i].name, devices[i].text,
			"", devices[i].props);
}

void help_log_kinds(FILE *out)
{
	for (unsigned k = 0; k < LOG_KINDS; k++)
		fprintf(out, "%-14s %s\n", log_kind_name((enum log_kind)k),
			log_kind_text((enum log_kind)k));
}

/* --- man page --- */

static void man_text(FILE *out, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", out);
	for (; *s; s++) {
		if (*s == '-' || *s == '\\')
			fputc('\\', out);
		if (*s == '\\')
			fputc('e', out);
		else
			fputc(*s, out);
	}
}

static void man_option(FILE *out, const char *name, const char *arg, const char *text)
{
	fputs(".TP\n.B \\-", out);
	man_text(out, name);
	if (arg) {
		fputs(" \\fI", out);
		man_text(out, arg);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	man_text(out, text);
	fputc('\n', out);
}

void help_man(FILE *out)
{
	fprintf(out,
		".TH GIGOGNE 1 \"\" \"gigogne %s\" \"User Commands\"\n"
		".SH NAME\ngigogne \\- x86\\-64 PC emulator with VT\\-x for nested hypervisors\n"
		".SH SYNOPSIS\n.B gigogne\n[\\fIoptions\\fR]\n"
		".SH DESCRIPTION\n"
		"gigogne is an x86\\-64 PC in software whose processor has VT\\-x and EPT, so that\n"
		"hypervisors run in it, and hypervisors in those, on any host. Options are spelled\n"
		"as in QEMU.\n"
		".SH EXAMPLES\n.nf\ngigogne \\-demo nest,depth=4\n"
		"gigogne \\-m 512 \\-kernel vmlinuz \\-initrd initrd \\-append console=ttyS0 "
		"\\-nographic\n.fi\n.SH OPTIONS\n",
		GIGOGNE_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].title)
			fprintf(out, ".SS %s\n", rows[i].name);
		else
			man_option(out, rows[i].name, rows[i].arg, rows[i].text);
	fprintf(out, ".SH DEVICES\n");
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		man_option(out, devices[i].name, devices[i].props, devices[i].text);
	fprintf(out, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < ARRAY_SIZE(exit_codes); i++) {
		fprintf(out, ".TP\n.B %d\n", exit_codes[i].code);
		man_text(out, exit_codes[i].text);
		fputc('\n', out);
	}
}

/* --- completion --- */

/* The words of "a|b:|c" that can be completed: those in lower case. */
static void bash_words(FILE *out, const char *arg)
{
	while (*arg) {
		size_t len = strcspn(arg, "|");
		size_t word = strspn(arg, "abcdefghijklmnopqrstuvwxyz:-");

		if (word == len || (word && arg[word - 1] == ':'))
			fprintf(out, "%.*s ", (int)word, arg);
		arg += len + (arg[len] == '|');
	}
}

static void bash_case(FILE *out, const char *name, const char *arg)
{
	if (!strcmp(name, "device")) {
		fprintf(out, "\t-device|--device) words=\"");
		for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
			fprintf(out, "%s ", devices[i].name);
		fprintf(out, "help\" ;;\n");
	} else if (!strcmp(name, "d")) {
		fprintf(out, "\t-d|--d) words=\"");
		for (unsigned k = 0; k < LOG_KINDS; k++)
			fprintf(out, "%s ", log_kind_name((enum log_kind)k));
		fprintf(out, "help\" ;;\n");
	} else if (!strncmp(arg, "FILE", 4)) {
		fprintf(out, "\t-%s|--%s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", name,
			name);
	} else if (!isupper((unsigned char)*arg)) {
		fprintf(out, "\t-%s|--%s) words=\"", name, name);
		bash_words(out, arg);
		fprintf(out, "\" ;;\n");
	} else {
		fprintf(out, "\t-%s|--%s) return ;;\n", name, name);
	}
}

void help_bash(FILE *out)
{
	fprintf(out,
		"# bash completion of gigogne: made by `gigogne -help=bash`\n"
		"_gigogne()\n{\n"
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words\n"
		"\tCOMPREPLY=()\n\tcase $prev in\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].arg)
			bash_case(out, rows[i].name, rows[i].arg);
	fprintf(out, "\t*) words=\"");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!rows[i].title)
			fprintf(out, "-%s ", rows[i].name);
	fprintf(out, "\" ;;\n\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
		     "complete -o default -F _gigogne gigogne\n");
}
