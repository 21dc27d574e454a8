/*
 * The VMX capability MSRs. Every word is folded from controls.def; nothing is restated here but the
 * few facts that are not controls (SDM Vol. 3, "VMX Capability Reporting Facility").
 *
 * Each MSR exists only where the control that activates what it describes may be 1.
 */
#include "vmx/caps.h"
#include "vmx/vmcs.h"

#define MSR_VMX_BASIC 0x480
#define CR4_CET_BIT BIT(23)

/* What the tables say of each word, before any CPU model. */
struct word_table {
	u64 always1;  /* default1, fixed */
	u64 default1; /* default1, may be 0 by the TRUE MSR */
	u64 built;
};

enum { NO, YES };
enum { DEFAULT0, DEFAULT1 };

static struct word_table word_table(enum vmx_word word)
{
	struct word_table t = {0, 0, 0};

#define D(w, mask) t.always1 |= VMX_##w == word ? (mask) : 0;
#define C(w, bit, name, class, supported)                                                          \
	t.default1 |= VMX_##w == word && class == DEFAULT1 ? 1ull << (bit) : 0;                    \
	t.built |= VMX_##w == word && supported == YES ? 1ull << (bit) : 0;
#include "vmx/controls.def"
	return t;
}

const char *vmx_control_name(enum vmx_word word, unsigned bit)
{
#define D(w, mask)
#define C(w, b, name, class, supported)                                                            \
	if (VMX_##w == word && (b) == bit)                                                         \
		return #name;
#include "vmx/controls.def"
	return NULL;
}

void vmx_model_mask_all(struct vmx_model_mask *m, u64 cr4_fixed1, u8 maxphyaddr, u8 laddr_width)
{
	for (unsigned w = 0; w < VMX_WORDS; w++)
		m->control[w] = m->flexible[w] = ~0ull;
	m->basic = m->misc = ~0ull;
	m->ept_vpid = m->vmfunc = ~0ull;
	m->cr4_fixed1 = cr4_fixed1;
	m->maxphyaddr = maxphyaddr;
	m->laddr_width = laddr_width;
}

static u64 ept_vpid_caps(const struct vmx_caps *caps)
{
	u64 cap = 0;

	if (vmx_may(caps, PROC2_ENABLE_EPT))
		cap |= EPT_CAP_EXECUTE_ONLY | EPT_CAP_WALK_4 | EPT_CAP_WALK_5 | EPT_CAP_UC |
		       EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_1G | EPT_CAP_INVEPT | EPT_CAP_AD |
		       EPT_CAP_ADVANCED_INFO | EPT_CAP_INVEPT_TYPE(1) | EPT_CAP_INVEPT_TYPE(2);
	if (vmx_may(caps, PROC2_ENABLE_VPID))
		cap |= EPT_CAP_INVVPID | EPT_CAP_INVVPID_TYPES;
	if (vmx_may(caps, PROC2_ENABLE_EPT) && vmx_may(caps, ENTRY_LOAD_CET_STATE))
		cap |= EPT_CAP_SHADOW_STACK;
	if (vmx_may(caps, PROC2_ENABLE_EPT) && vmx_may(caps, PROC3_ENABLE_HLAT))
		cap |= EPT_CAP_HLAT_PREFIX(VMX_HLAT_PREFIX_MAX);
	return cap;
}

void vmx_caps_init(struct vmx_caps *caps, const struct vmx_model_mask *m)
{
	for (unsigned w = 0; w < VMX_WORDS; w++) {
		struct word_table t = word_table((enum vmx_word)w);

		caps->must1[w] = t.always1 | t.default1;
		caps->true_must1[w] = caps->must1[w];
		if (m->basic & VMX_BASIC_TRUE_CONTROLS)
			caps->true_must1[w] &= ~(t.default1 & m->flexible[w]);
		caps->may1[w] = (t.built & m->control[w]) | caps->must1[w];
	}
	/* nothing to activate: the activating control is not there either */
	if (!caps->may1[VMX_EXIT2])
		caps->may1[VMX_EXIT] &= ~VMX_MASK(EXIT_ACTIVATE_SECONDARY_CONTROLS);
	caps->maxphyaddr = m->maxphyaddr;
	caps->laddr_width = m->laddr_width;
	caps->basic = VMX_REVISION | (u64)VMCS_REGION_BYTES << 32 | 6ull << 50 |
		      VMX_BASIC_INS_OUTS | VMX_BASIC_TRUE_CONTROLS;
	caps->basic &= m->basic | VMX_BASIC_FACTS;
	caps->misc = VMX_PREEMPTION_TIMER_RATE | VMX_MISC_LMA_STORE | VMX_MISC_ACTIVITY(1) |
		     VMX_MISC_ACTIVITY(2) | VMX_MISC_ACTIVITY(3) | VMX_CR3_TARGETS << 16 |
		     VMX_MISC_VMWRITE_ANY | VMX_MISC_ZERO_LENGTH;
	caps->misc &= m->misc;
	caps->cr0_fixed0 = 0x80000021; /* PE, NE, PG */
	caps->cr0_fixed1 = 0xffffffff;
	caps->cr4_fixed0 = 0x2000; /* VMXE */
	caps->cr4_fixed1 = m->cr4_fixed1 | caps->cr4_fixed0;
	if (caps->cr4_fixed1 & CR4_CET_BIT)
		caps->basic |= VMX_BASIC_ANY_ERROR_CODE;
	caps->ept_vpid = ept_vpid_caps(caps) & m->ept_vpid;
	caps->vmfunc =
		vmx_may(caps, PROC2_ENABLE_VM_FUNCTIONS) ? VMFUNC_EPTP_SWITCHING & m->vmfunc : 0;
	vmcs_caps_init(caps);
}

static u64 word_msr(const struct vmx_caps *caps, enum vmx_word word, const u64 *must1)
{
	return caps->may1[word] << 32 | must1[word];
}

bool vmx_caps_read_msr(const struct vmx_caps *caps, u32 msr, u64 *value)
{
	static const enum vmx_word plain[] = {VMX_PIN, VMX_PROC, VMX_EXIT, VMX_ENTRY};
	const u64 single[] = {caps->misc,	caps->cr0_fixed0, caps->cr0_fixed1,
			      caps->cr4_fixed0, caps->cr4_fixed1, caps->vmcs_enum};

	if (msr == MSR_VMX_BASIC)
		*value = caps->basic;
	else if (msr >= 0x481 && msr <= 0x484)
		*value = word_msr(caps, plain[msr - 0x481], caps->must1);
	else if (msr >= 0x485 && msr <= 0x48a)
		*value = single[msr - 0x485];
	else if (msr == 0x48b && vmx_may(caps, PROC_ACTIVATE_SECONDARY_CONTROLS))
		*value = word_msr(caps, VMX_PROC2, caps->must1);
	else if (msr == 0x48c && caps->ept_vpid)
		*value = caps->ept_vpid;
	else if (msr >= 0x48d && msr <= 0x490 && (caps->basic & VMX_BASIC_TRUE_CONTROLS))
		*value = word_msr(caps, plain[msr - 0x48d], caps->true_must1);
	else if (msr == 0x491 && vmx_may(caps, PROC2_ENABLE_VM_FUNCTIONS))
		*value = caps->vmfunc;
	else if (msr == 0x492 && vmx_may(caps, PROC_ACTIVATE_TERTIARY_CONTROLS))
		*value = caps->may1[VMX_PROC3];
	else if (msr == 0x493 && vmx_may(caps, EXIT_ACTIVATE_SECONDARY_CONTROLS))
		*value = caps->may1[VMX_EXIT2];
	else
		return false;
	return true;
}
