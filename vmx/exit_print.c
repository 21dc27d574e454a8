/*
 * VM exits in words: the last ones of a processor with their qualifications decoded by
 * qualifications.def, for the monitor.
 */
#include <inttypes.h>
#include <string.h>

#include "vmx/internal.h"

#define FLAG NULL
#define GPRS "RAX|RCX|RDX|RBX|RSP|RBP|RSI|RDI|R8|R9|R10|R11|R12|R13|R14|R15"

static const struct part {
	u16 reason;
	u8 high, low;
	const char *name, *values;
} parts[] = {
#define Q(reason, high, low, name, values) {EXIT_REASON_##reason, high, low, name, values},
#include "vmx/qualifications.def"
};

/* Prints the value-th name of "a|b|c", or the number where there is none. */
static void print_value(FILE *out, const char *names, u64 value)
{
	for (u64 n = 0; *names && n < value; n++) {
		names += strcspn(names, "|");
		names += *names == '|';
	}
	if (*names)
		fprintf(out, "%.*s", (int)strcspn(names, "|"), names);
	else
		fprintf(out, "%" PRIx64, value);
}

void vmx_print_qualification(FILE *out, u32 reason, u64 qualification)
{
	const char *separator = "";

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct part *p = &parts[i];
		u64 value = bits(qualification, p->high, p->low);

		if (p->reason != (u16)reason || (!p->values && !value))
			continue;
		fprintf(out, "%s%s", separator, p->name);
		if (p->values) {
			fprintf(out, " ");
			print_value(out, p->values, value);
		}
		separator = ", ";
	}
}

static void print_exit(FILE *out, const struct vmx_exit_record *r)
{
	const char *name = exit_reason_name(r->reason);

	fprintf(out,
		"  icount %" PRIu64 " rip %016" PRIx64 " exit %u %s%s qualification %" PRIx64 ": ",
		r->icount, r->rip, r->reason & 0xffff, name ? name : "?",
		r->reason & EXIT_REASON_ENTRY_FAILURE ? " (entry failure)" : "", r->qualification);
	vmx_print_qualification(out, r->reason, r->qualification);
	if (r->interruption_info >> 31)
		fprintf(out, " event %08x", r->interruption_info);
	fputc('\n', out);
}

void vmx_print_exits(const struct vcpu *v, unsigned count, FILE *out)
{
	const struct vmx_state *x = &v->vmx;
	u32 kept = x->ring_at < VMX_EXIT_RING ? x->ring_at : VMX_EXIT_RING;

	if (count > kept)
		count = kept;
	for (u32 i = x->ring_at - count; i != x->ring_at; i++)
		print_exit(out, &x->ring[i % VMX_EXIT_RING]);
}

void vmx_print_vmcs(const struct vcpu *v, FILE *out)
{
	const struct vmx_state *x = &v->vmx;

	if (x->current_ptr == VMX_NO_POINTER)
		fprintf(out, "  no current VMCS\n");
	else
		vmcs_print(&x->caps, &x->vmcs, out);
}
