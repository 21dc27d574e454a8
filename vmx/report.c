/*
 * Says why: what `-d vmx`, `-d vmx-json` and the monitor's `explain` print when a rule of
 * entry_checks.def was broken, and what the instruction then does.
 *
 * The level is what the processor can know: L1 is VMX root operation (and before VMXON), L2 is VMX
 * non-root operation. A hypervisor in L2 and its guests all are L2; VM entries that it attempts are
 * VM exits to L1, which emulates them.
 */
#include <inttypes.h>

#include "vmx/internal.h"

/* Who was at work: an instruction of the group's name, a VM entry, or a VM exit. */
static const char *actor(const struct vmx_refusal *r)
{
	static const char *const instructions[] = {
#define G(group, title, consequence, number) [VMX_GROUP_##group] = #group,
#include "vmx/rules_groups.def"
	};
	const struct vmx_rule_text *t = vmx_rule_text((enum vmx_rule)r->rule);

	if (t->consequence == VMX_ABORT)
		return "VM exit";
	if (t->group >= VMX_GROUP_C0)
		return r->resume ? "VMRESUME" : "VMLAUNCH";
	return instructions[t->group];
}

static const char *consequence_name(enum vmx_consequence consequence)
{
	static const char *const names[] = {
		[VMX_NO_CONSEQUENCE] = "none",
		[VMX_UD] = "#UD",
		[VMX_GP] = "#GP",
		[VMX_FAIL_INVALID] = "VMfailInvalid",
		[VMX_FAIL_VALID] = "VMfailValid",
		[VMX_ENTRY_FAILURE] = "VM-entry failure",
		[VMX_ABORT] = "VMX abort",
	};

	return names[consequence];
}

static const char *subject(const struct vmx_refusal *r)
{
	const char *name = vmcs_field_name(r->field);
	const char *other = vmx_rule_text((enum vmx_rule)r->rule)->subject;

	return other ? other : name ? name : "?";
}

static void print_words(const struct vmx_refusal *r, char *s, size_t size)
{
	const struct vmx_rule_text *t = vmx_rule_text((enum vmx_rule)r->rule);
	char number[32] = "", encoding[16] = "", nearest[64] = "";

	if (t->number)
		snprintf(number, sizeof(number), "(%u)", t->number);
	if (r->field)
		snprintf(encoding, sizeof(encoding), " (%04XH)", r->field);
	if (r->nearest != r->value)
		snprintf(nearest, sizeof(nearest), ", nearest valid %016" PRIx64, r->nearest);
	snprintf(s, size,
		 "%s in L%u, cpu %u, icount %" PRIu64 ", rip %016" PRIx64
		 ": %s%s: rule %s: %s%s = %016" PRIx64 ", must be: %s%s, qualification %u [SDM "
		 "\"%s\"]",
		 actor(r), r->non_root ? 2 : 1, r->cpu, r->icount, r->rip,
		 consequence_name((enum vmx_consequence)t->consequence), number, t->name,
		 subject(r), encoding, r->value, t->text, nearest, r->qualification,
		 vmx_group_title((enum vmx_check_group)t->group));
}

/* No name and no text of the tables needs an escape in JSON but the quotation mark, which none has. */
static void print_json(const struct vmx_refusal *r, char *s, size_t size)
{
	const struct vmx_rule_text *t = vmx_rule_text((enum vmx_rule)r->rule);
	char encoding[24] = "null", nearest[32] = "null";

	if (r->field)
		snprintf(encoding, sizeof(encoding), "\"0x%04x\"", r->field);
	if (r->nearest != r->value)
		snprintf(nearest, sizeof(nearest), "\"0x%" PRIx64 "\"", r->nearest);
	snprintf(s, size,
		 "{\"level\":\"L%u\",\"cpu\":%u,\"icount\":%" PRIu64 ",\"rip\":\"0x%" PRIx64
		 "\",\"instruction\":\"%s\",\"consequence\":\"%s\",\"number\":%u,\"rule\":\"%s\","
		 "\"text\":\"%s\",\"section\":\"%s\",\"field\":\"%s\",\"encoding\":%s,"
		 "\"value\":\"0x%" PRIx64 "\",\"nearest\":%s,\"qualification\":%u}",
		 r->non_root ? 2 : 1, r->cpu, r->icount, r->rip, actor(r),
		 consequence_name((enum vmx_consequence)t->consequence), t->number, t->name,
		 t->text, vmx_group_title((enum vmx_check_group)t->group), subject(r), encoding,
		 r->value, nearest, r->qualification);
}

void vmx_explain(const struct vcpu *v, FILE *out)
{
	char line[VMX_REPORT_LINE];

	if (!v->vmx.refusal.rule) {
		fprintf(out, "CPU %u: nothing was refused\n", v->id);
		return;
	}
	print_words(&v->vmx.refusal, line, sizeof(line));
	fprintf(out, "%s\n", line);
}

void vmx_report(struct vcpu *v, const struct vmx_failure *f, unsigned qualification)
{
	struct vmx_refusal *r = &v->vmx.refusal;
	char line[VMX_REPORT_LINE];

	*r = (struct vmx_refusal){
		.rule = f->rule,
		.field = f->field,
		.value = f->value,
		.nearest = f->nearest,
		.qualification = qualification,
		.icount = vmx_icount(v),
		.rip = v->rip,
		.cpu = (u16)v->id,
		.non_root = v->vmx.non_root,
		.resume = v->vmx.resuming,
	};
	if (log_on(v->log, LOG_vmx)) {
		print_words(r, line, sizeof(line));
		log_line(v->log, LOG_vmx, "%s", line);
	}
	if (log_on(v->log, LOG_vmx_json)) {
		print_json(r, line, sizeof(line));
		log_line(v->log, LOG_vmx_json, "%s", line);
	}
}

static void report(struct vcpu *v, enum vmx_rule rule, u64 value, unsigned qualification)
{
	struct vmx_failure f = {.rule = rule, .value = value, .nearest = value};

	vmx_report(v, &f, qualification);
}

/* --- what a broken rule does --- */

int vmx_refuse(struct vcpu *v, enum vmx_rule rule, u64 value)
{
	const struct vmx_rule_text *t = vmx_rule_text(rule);

	report(v, rule, value, 0);
	switch (t->consequence) {
	case VMX_UD:
		return raise_ud(v);
	case VMX_GP:
		return raise_gp(v, 0);
	case VMX_FAIL_VALID:
		return v->vmx.current_ptr == VMX_NO_POINTER ? vm_fail_invalid(v)
							    : vm_fail_valid(v, t->number);
	default:
		return vm_fail_invalid(v);
	}
}

int vmx_abort(struct vcpu *v, enum vmx_rule rule, u64 value)
{
	struct vmx_state *x = &v->vmx;

	report(v, rule, value, 0);
	x->refusal.non_root = true;
	vmcs_region_set_abort(v->mem, x->current_ptr, vmx_rule_text(rule)->number);
	v->activity = ACT_SHUTDOWN;
	v->stop_reason =
		STOP_TRIPLE_FAULT; /* the board answers the shutdown cycle in the same way */
	v->recheck = true;
	return EXEC_VMEXIT;
}

int vmx_refuse_entry(struct vcpu *v, const struct vmx_failure *f, unsigned qualification)
{
	const struct vmx_rule_text *t = vmx_rule_text((enum vmx_rule)f->rule);

	vmx_report(v, f, qualification);
	if (t->consequence == VMX_ENTRY_FAILURE)
		return vm_entry_failure(v, t->number, qualification);
	return vm_fail_valid(v, t->number);
}
