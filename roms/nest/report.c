/*
 * What each level counted, handed down to level 1 and printed as a tree. The names of the exits are
 * the SDM's (exit_reasons.def).
 */
#include "level.h"

#define INDENT 2
#define WRAP_COLUMN 80

static const struct {
	const char *text;
	u8 information;
} exit_reasons[EXIT_REASON_COUNT] = {
#define Q HAS_QUALIFICATION
#define L HAS_LENGTH
#define I HAS_INFORMATION
#define A HAS_ADDRESSES
#define E HAS_EVENT
#define V HAS_VECTORING
#define EXIT_REASON(number, name, text, information) [number] = {text, information},
#include "exit_reasons.def"
};

const char *exit_reason_name(u64 reason)
{
	const char *text =
		(reason & 0xffff) < EXIT_REASON_COUNT ? exit_reasons[reason & 0xffff].text : NULL;

	return text ? text : "unknown";
}

u32 exit_reason_information(u64 reason)
{
	return (reason & 0xffff) < EXIT_REASON_COUNT ? exit_reasons[reason & 0xffff].information
						     : 0;
}

void count_exit(u32 *counts, u64 reason)
{
	counts[reason % EXIT_REASON_COUNT]++;
}

/* Our guest has finished: take over what it and the levels above it counted. */
void report_take(struct level *l, u64 from)
{
	const struct level_report *reports = guest_pointer(l, from, sizeof(l->report));

	for (u32 i = l->number + 1; reports && i <= l->depth; i++)
		l->report[i] = reports[i];
}

static void indent(struct level *l, u32 level)
{
	for (u32 i = 0; i < level * INDENT; i++)
		print_char(l, ' ');
}

static u32 sum(const u32 *counts)
{
	u32 total = 0;

	for (u32 i = 0; i < EXIT_REASON_COUNT; i++)
		total += counts[i];
	return total;
}

static void print_counts(struct level *l, u32 level, const char *what, const u32 *counts)
{
	const char *separator = ":";

	if (!sum(counts))
		return;
	indent(l, level);
	print(l, "%s %u", what, sum(counts));
	for (u32 i = 0; i < EXIT_REASON_COUNT; i++) {
		if (!counts[i])
			continue;
		print(l, "%s", separator);
		if (l->line_length > WRAP_COLUMN) {
			print(l, "\n");
			indent(l, level + 1);
		} else {
			print(l, " ");
		}
		print(l, "%s %u", exit_reason_name(i), counts[i]);
		separator = ",";
	}
	print(l, "\n");
}

void report_print(struct level *l)
{
	print(l, "\nThe tower, with the exits of each level by SDM name:\n");
	for (u32 i = 1; i <= l->depth; i++) {
		const struct level_report *report = &l->report[i];

		indent(l, i - 1);
		print(l, "level %u", i);
		if (report->innermost)
			print(l, ", innermost: primes below 200000: %lu, %s", report->answer,
			      report->right ? "right" : "WRONG");
		if (l->options & OPTION_CLOCK)
			print(l, "; a CPUID takes %lu ticks", report->ticks);
		print(l, "\n");
		print_counts(l, i, "answered", report->handled);
		print_counts(l, i, "passed on", report->passed_on);
	}
}
