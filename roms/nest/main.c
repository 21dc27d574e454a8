/*
 * The life of a level: find out who we are, then either compute (the innermost) or run ourselves as
 * a guest; at the end hand the report down, or, on the bare machine, print it and switch the
 * machine off.
 */
#include "level.h"

struct level the_level;

#define MULTIBOOT_HAS_MEMORY BIT(0)
#define MULTIBOOT_HAS_COMMAND_LINE BIT(2)
#define DEFAULT_DEPTH 4
#define IDENTITY_MAPPED BIT(30)

struct multiboot_information {
	u32 flags, memory_lower, memory_upper, boot_device, command_line;
};

/* After "name=" on the command line; NULL if it is not there. */
static const char *option(const char *line, const char *name)
{
	for (; *line; line++) {
		const char *a = line, *b = name;

		while (*b && *a == *b)
			a++, b++;
		if (!*b)
			return a;
	}
	return NULL;
}

static u32 option_number(const char *line, const char *name, u32 value)
{
	const char *digit = option(line, name);

	if (!digit)
		return value;
	for (value = 0; *digit >= '0' && *digit <= '9' && value < 1000; digit++)
		value = value * 10 + (u32)(*digit - '0');
	return value;
}

/* Level 1: what the boot loader says. */
static void read_multiboot(struct level *l, const struct multiboot_information *multiboot)
{
	const char *line = "";

	if (multiboot->flags & MULTIBOOT_HAS_COMMAND_LINE)
		line = (const char *)(u64)multiboot->command_line;
	l->depth = option_number(line, "depth=", DEFAULT_DEPTH);
	l->options = (option_number(line, "clock=", 0) ? OPTION_CLOCK : 0) |
		     (option_number(line, "shadow=", 1) ? 0 : OPTION_NO_SHADOWING);
	if (multiboot->flags & MULTIBOOT_HAS_MEMORY)
		l->memory_end = BIT(20) + multiboot->memory_upper * 1024ull;
	if (l->memory_end > IDENTITY_MAPPED)
		l->memory_end = IDENTITY_MAPPED;
	l->memory_end &= ~(PAGE_2M - 1);
	if (l->depth < 1 || l->depth > MAX_DEPTH)
		fatal(l, "depth=%u: 1 to %u levels", l->depth, MAX_DEPTH);
	if (l->memory_end < l->depth * PAGE_2M)
		fatal(l, "%u levels need %u MiB of memory", l->depth, l->depth * 2);
}

/* S5 by the ACPI PM1a control register of PC emulators (3 places), or the string that Bochs waits
 * for. */
static _Noreturn void power_off(void)
{
	serial_drain();
	outw(0x604, 0x2000);
	outw(0xb004, 0x2000);
	for (const char *s = "Shutdown"; *s; s++)
		outb(0x8900, (u8)*s);
	halt_forever();
}

void level_finish(struct level *l)
{
	if (l->number != l->depth)
		vmx_stop(l);
	if (l->number == 1) {
		report_print(l);
		if (!l->report[l->depth].right)
			fatal(l, "the answer of level %u is wrong", l->depth);
		if (l->options & OPTION_CLOCK)
			print(l, "%lu ticks in all\n", rdtsc() - l->start);
		print(l, "nest: %u levels, the answer is right\n", l->depth);
		power_off();
	}
	hypercall(HYPERCALL_REPORT, (u64)l->report, 0);
	halt_forever();
}

static _Noreturn void innermost(struct level *l)
{
	struct level_report *report = &l->report[l->number];

	print(l, "level %u: innermost, counts the primes below 200000\n", l->number);
	report->innermost = true;
	report->answer = compute_primes();
	report->right = compute_is_right(report->answer);
	print(l, "level %u: %lu primes, which is %s\n", l->number, report->answer,
	      report->right ? "right" : "WRONG");
	level_finish(l);
}

/* What an exit costs: nothing exits at level 1, and each level deeper multiplies. */
static u64 measure_cpuid(void)
{
	u64 start = rdtsc();

	cpuid(0, 0);
	return rdtsc() - start;
}

/* All talk with the level below is by VMCALL: is it nest that answers there? */
static void check_below(struct level *l)
{
	if (cpuid(CPUID_HYPERVISOR_LEAF, 0).ebx != CPUID_SIGNATURE)
		fail(l, (u8)l->number);
}

void nest_main(u64 number, u64 argument, u64 memory_end)
{
	struct level *l = &the_level;

	l->number = (u32)number;
	l->start = rdtsc();
	tables_init(l);
	serial_init();
	if (number == 1) {
		read_multiboot(l, (const struct multiboot_information *)argument);
		print(l, "nest: %u levels, %lu MiB\n", l->depth, l->memory_end >> 20);
	} else {
		l->depth = (u32)argument;
		l->options = argument >> 32;
		l->memory_end = memory_end;
		check_below(l);
	}
	if (l->options & OPTION_CLOCK)
		l->report[number].ticks = measure_cpuid();
	if (l->number == l->depth)
		innermost(l);
	vmx_start(l);
}
