/*
 * Running our guest's guest: VM entry and VM exit as our guest's processor would do them.
 * SDM vol. 3, "VM Entries", "VM Exits", "Loading Host State".
 *
 *   nested_enter  our guest executed VMLAUNCH or VMRESUME: run its guest in VMCS02
 *   nested_exit   its guest has exited: answer it here (an EPT violation that both EPTs together
 *                 resolve), or pass it on to our guest, which then finds itself at its HOST_RIP
 *
 * Left out, because our guest is this very program: between its VM exit and its next VM entry it
 * loads no segment register and no descriptor table, so its host state is loaded again only when it
 * has changed the host area of its VMCS; RIP, RSP and RFLAGS always. MSR areas are not offered (a
 * count other than 0 fails the entry).
 */
#include "level.h"

static void vmcs02_create(struct level *l, struct vmcs12 *v)
{
	v->ept02 = page_alloc(l);
	v->vmcs02 = vmcs_region_create(l, 0);
	vmcs_load(l, v->vmcs02);
	vmcs_set_host_and_controls(l);
}

void nested_enter(struct level *l, struct vmcs12 *v)
{
	vmcs12_take_shadow(l, v);
	if (!v->vmcs02)
		vmcs02_create(l, v);
	vmcs_load(l, v->vmcs02);
	vmcs12_flush(l, v);
	l->running = v;
}

/* The host state of a VMCS of our guest becomes what our guest runs with: state of vmcs01. */
static void host_state_load(struct level *l, struct vmcs12 *v)
{
	const u64 *field = v->field;
	static const u8 selectors[] = {SLOT_HOST_ES_SELECTOR, SLOT_HOST_SS_SELECTOR,
				       SLOT_HOST_DS_SELECTOR, SLOT_HOST_FS_SELECTOR,
				       SLOT_HOST_GS_SELECTOR};
	static const u16 data_selectors[] = {GUEST_ES_SELECTOR, GUEST_SS_SELECTOR,
					     GUEST_DS_SELECTOR, GUEST_FS_SELECTOR,
					     GUEST_GS_SELECTOR};

	vmcs_set_flat_segments(l, field[SLOT_HOST_CS_SELECTOR], 0, field[SLOT_HOST_TR_SELECTOR]);
	for (u32 i = 0; i < sizeof(selectors); i++)
		vmcs_set(l, data_selectors[i], field[selectors[i]]);
	vmcs_set(l, GUEST_FS_BASE, field[SLOT_HOST_FS_BASE]);
	vmcs_set(l, GUEST_GS_BASE, field[SLOT_HOST_GS_BASE]);
	vmcs_set(l, GUEST_TR_BASE, field[SLOT_HOST_TR_BASE]);
	vmcs_set(l, GUEST_GDTR_BASE, field[SLOT_HOST_GDTR_BASE]);
	vmcs_set(l, GUEST_GDTR_LIMIT, 0xffff);
	vmcs_set(l, GUEST_IDTR_BASE, field[SLOT_HOST_IDTR_BASE]);
	vmcs_set(l, GUEST_IDTR_LIMIT, 0xffff);
	vmcs_set(l, GUEST_IA32_SYSENTER_CS, field[SLOT_HOST_IA32_SYSENTER_CS]);
	vmcs_set(l, GUEST_IA32_SYSENTER_ESP, field[SLOT_HOST_IA32_SYSENTER_ESP]);
	vmcs_set(l, GUEST_IA32_SYSENTER_EIP, field[SLOT_HOST_IA32_SYSENTER_EIP]);
	vmcs_set(l, GUEST_CR0, field[SLOT_HOST_CR0]);
	vmcs_set(l, CR0_READ_SHADOW, field[SLOT_HOST_CR0]);
	vmcs_set(l, GUEST_CR3, field[SLOT_HOST_CR3]);
	vmcs_set(l, GUEST_CR4, field[SLOT_HOST_CR4]);
	vmcs_set(l, CR4_READ_SHADOW, field[SLOT_HOST_CR4]);
	l->guest_cr4 = field[SLOT_HOST_CR4];
	vmcs_set_quiet_state(l);
}

/* Is the host state of this VMCS, but for RIP and RSP, the one that our guest already has? */
static bool host_state_is_loaded(struct level *l, struct vmcs12 *v)
{
	if (!l->host_loaded)
		return false;
	for (int slot = 0; l->host_loaded != v && slot < SLOT_COUNT; slot++)
		if (vmcs_slot_is_host(slot) && l->host_loaded->field[slot] != v->field[slot])
			return false;
	return true;
}

/* VM exit of our guest's guest to our guest. The exit is recorded in field[]. */
static void pass_on(struct level *l, struct vmcs12 *v)
{
	count_exit(l->report[l->number].passed_on, v->field[SLOT_EXIT_REASON]);
	vmcs12_publish_exit(l, v);
	vmcs_load(l, l->vmcs01);
	if (host_state_is_loaded(l, v))
		vmcs_set(l, GUEST_RFLAGS, RFLAGS_FIXED);
	else
		host_state_load(l, v);
	l->host_loaded = v;
	vmcs_set(l, GUEST_RIP, v->field[SLOT_HOST_RIP]);
	vmcs_set(l, GUEST_RSP, v->field[SLOT_HOST_RSP]);
	l->running = NULL;
}

/*
 * EPT violation of our guest's guest. The address goes through our guest's EPT first; if that has
 * an answer, the violation was only a hole in our ept02.
 */
static void nested_ept_violation(struct level *l, struct vmcs12 *v)
{
	u64 address = vmcs_get(l, GUEST_PHYSICAL_ADDRESS);
	u64 qualification = vmcs_get(l, EXIT_QUALIFICATION);
	u64 access = qualification & 7;
	struct ept_walk walk = ept_walk_guest(l, v->field[SLOT_EPT_POINTER], address);

	if (walk.present && !(access & ~walk.rights) && ept_compose(l, v->ept02, address, &walk)) {
		count_exit(l->report[l->number].handled, EXIT_EPT_VIOLATION);
		return;
	}
	/* what the guest is told about rights is what its own tables say */
	vmcs12_record_exit(l, v, walk.valid ? EXIT_EPT_VIOLATION : EXIT_EPT_MISCONFIGURATION);
	v->field[SLOT_EXIT_QUALIFICATION] = (qualification & ~0x38ull) | walk.rights << 3;
	pass_on(l, v);
}

void nested_exit(struct level *l, u64 reason)
{
	struct vmcs12 *v = l->running;

	if (!(reason & EXIT_REASON_ENTRY_FAILURE))
		v->launched = v->vmcs02_launched = true;
	if (reason == EXIT_EPT_VIOLATION)
		return nested_ept_violation(l, v);
	vmcs12_record_exit(l, v, reason);
	pass_on(l, v);
}

/* The processor refused VMCS02: a field that the guest wrote is bad, and the guest is told so. */
void nested_entry_failed(struct level *l, u64 error)
{
	l->running = NULL;
	vmcs_load(l, l->vmcs01);
	vm_fail(l, error);
	skip_instruction(l);
}
