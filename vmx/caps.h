/*
 * What this CPU model's VMX can do: the IA32_VMX_* capability MSRs, folded from controls.def and
 * vmcs_fields.def through the mask of a CPU model (SDM Vol. 3, "VMX Capability Reporting
 * Facility").
 */
#ifndef VMX_CAPS_H
#define VMX_CAPS_H

#include "base/bits.h"
#include "base/types.h"

/* The control words that have a capability MSR. Two are 64 bits wide: the tertiary
 * processor-based controls and the secondary VM-exit controls. */
enum vmx_word {
	VMX_PIN,
	VMX_PROC,
	VMX_PROC2,
	VMX_EXIT,
	VMX_ENTRY,
	VMX_PROC3,
	VMX_EXIT2,
	VMX_WORDS
};

/* A control is a number, 64 * word + bit, so that a test of it cannot name the wrong word. */
enum vmx_control {
#define D(word, mask)
#define C(word, bit, name, class, supported) word##_##name = VMX_##word * 64 + (bit),
#include "vmx/controls.def"
};

#define VMX_MASK(control) (1ull << ((control)&63))

/* Effective controls: a word that another one activates is zero unless it does. */
struct vmx_controls {
	u64 word[VMX_WORDS];
};

static inline bool vmx_control_on(const struct vmx_controls *c, enum vmx_control control)
{
	return c->word[control >> 6] >> (control & 63) & 1;
}

#define VMX_REVISION 0x47494701u /* bit 31 is the shadow-VMCS indicator */
#define VMX_CR3_TARGETS 4
#define VMX_HLAT_PREFIX_MAX 1
#define VMX_MSR_LIST_MAX 512 /* IA32_VMX_MISC[27:25] = 0 */
/* One timer tick per 2^3 TSC ticks. KVM wants the whole count to last ten seconds at least. */
#define VMX_PREEMPTION_TIMER_RATE 3
/* A VM entry takes this many ticks after the timer has begun to count, as the world switch of a
 * processor takes time: the first instruction of the guest finds the timer moved. */
#define VMX_ENTRY_TICKS 64
/* What a VM exit costs in virtual time: at least what the entry made the timer run ahead. */
#define VMX_EXIT_TICKS 128

/* What a CPU model takes away, and the facts of it that the capability MSRs repeat. */
struct vmx_model_mask {
	u64 control[VMX_WORDS];	 /* controls that may be 1, ANDed with what is built */
	u64 ept_vpid, vmfunc;	 /* the same for IA32_VMX_EPT_VPID_CAP and IA32_VMX_VMFUNC */
	u64 flexible[VMX_WORDS]; /* DEFAULT1 controls that may be 0 by the TRUE capability MSR */
	u64 basic, misc;	 /* bits of IA32_VMX_BASIC and IA32_VMX_MISC that may be 1 */
	u64 cr4_fixed1;		 /* CR4 bits that may be 1 */
	u8 maxphyaddr;		 /* bits */
	u8 laddr_width;		 /* widest linear address the CPU has: 48 or 57 */
};

/* IA32_VMX_EPT_VPID_CAP. */
#define EPT_CAP_EXECUTE_ONLY BIT(0)
#define EPT_CAP_WALK_4 BIT(6)
#define EPT_CAP_WALK_5 BIT(7)
#define EPT_CAP_UC BIT(8)
#define EPT_CAP_WB BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_AD BIT(21)
#define EPT_CAP_ADVANCED_INFO BIT(22)
#define EPT_CAP_SHADOW_STACK BIT(23)
#define EPT_CAP_INVEPT_TYPE(type) BIT(24 + (type)) /* single-context 1, all-context 2 */
#define EPT_CAP_INVVPID BIT(32)
#define EPT_CAP_INVVPID_TYPE(type) BIT(40 + (type)) /* 0 to 3 */
#define EPT_CAP_INVVPID_TYPES (15ull << 40)
#define EPT_CAP_HLAT_PREFIX(size) ((u64)(size) << 48) /* bits 53:48: the largest prefix size */

/* IA32_VMX_VMFUNC and the VM-function controls. */
#define VMFUNC_EPTP_SWITCHING BIT(0)

/* IA32_VMX_MISC. */
#define VMX_MISC_LMA_STORE BIT(5)
#define VMX_MISC_ACTIVITY(state) BIT(5 + (state)) /* HLT 1, shutdown 2, wait-for-SIPI 3 */
#define VMX_MISC_VMWRITE_ANY BIT(29)
#define VMX_MISC_ZERO_LENGTH BIT(30)

/* IA32_VMX_BASIC. */
#define VMX_BASIC_FACTS (BIT(54) - 1) /* revision, size, widths, memory type: no switches */
#define VMX_BASIC_INS_OUTS BIT(54)
#define VMX_BASIC_TRUE_CONTROLS BIT(55)
#define VMX_BASIC_ANY_ERROR_CODE BIT(56)

#define VMX_FIELD_ROWS 192 /* at least the rows of vmcs_fields.def; checked in vmcs.c */

struct vmx_caps {
	u64 basic, misc, vmcs_enum, ept_vpid, vmfunc;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 must1[VMX_WORDS];	   /* plain capability MSRs */
	u64 true_must1[VMX_WORDS]; /* TRUE capability MSRs: what VM entry checks */
	u64 may1[VMX_WORDS];
	u8 maxphyaddr, laddr_width;
	bool field_exists[VMX_FIELD_ROWS];
};

/* Everything built, for a CPU with these facts. */
void vmx_model_mask_all(struct vmx_model_mask *m, u64 cr4_fixed1, u8 maxphyaddr, u8 laddr_width);
void vmx_caps_init(struct vmx_caps *caps, const struct vmx_model_mask *m);
/* Capability MSRs 480H-493H; false: the MSR does not exist in this model. */
bool vmx_caps_read_msr(const struct vmx_caps *caps, u32 msr, u64 *value);
const char *vmx_control_name(enum vmx_word word, unsigned bit);
/* Fills caps->field_exists and caps->vmcs_enum from the controls (vmcs.c). */
void vmcs_caps_init(struct vmx_caps *caps);

static inline bool vmx_may(const struct vmx_caps *caps, enum vmx_control control)
{
	return caps->may1[control >> 6] >> (control & 63) & 1;
}

#endif
