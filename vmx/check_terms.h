/*
 * The terms that the expressions of the rules_*.def tables are made of: pure functions of a struct
 * vmx_check.
 */
#ifndef VMX_CHECK_TERMS_H
#define VMX_CHECK_TERMS_H

#include "vmx/check.h"

/* vmcs_get_NAME(vmcs): the field, whether a control makes it exist or not. */
#define F(enc, name, member, when, print)                                                          \
	static inline u64 vmcs_get_##name(const struct vmcs *vmcs)                                 \
	{                                                                                          \
		return vmcs->member;                                                               \
	}
#include "vmx/vmcs_fields.def"

#define V(field) vmcs_get_##field(c->vmcs)
#define ON(control) vmx_control_on(&c->ctl, control)
#define MAY(control) vmx_may(c->env->caps, control)
#define MUST_BE_1(word) (c->env->caps->true_must1[VMX_##word])
#define MAY_BE_1(word) (c->env->caps->may1[VMX_##word])
#define BEYOND_WIDTH (~0ull << c->env->caps->maxphyaddr)

#define CHECK_CR0_PE BIT(0)
#define CHECK_CR0_WP BIT(16)
#define CHECK_CR0_PG BIT(31)
#define CHECK_CR4_PAE BIT(5)
#define CHECK_CR4_PCIDE BIT(17)
#define CHECK_CR4_CET BIT(23)
#define CHECK_CET_SUPPRESS BIT(10)
#define CHECK_CET_BOTH (BIT(11) | CHECK_CET_SUPPRESS)
#define CHECK_EFER_LME BIT(8)
#define CHECK_EFER_LMA BIT(10)
#define CHECK_RFLAGS_TF BIT(8)
#define CHECK_RFLAGS_IF BIT(9)
#define CHECK_RFLAGS_VM BIT(17)
#define CHECK_RFLAGS_RESERVED 0xffffffffffc08028ull
#define CHECK_DEBUGCTL_BTF BIT(1)
#define PENDING_DEBUG_RESERVED_BITS 0xffffffffffffaff0ull
enum { BLOCKING_STI = 1, BLOCKING_MOV_SS = 2, BLOCKING_SMI = 4, BLOCKING_NMI = 8 };
enum { STATE_HLT = 1, STATE_SHUTDOWN, STATE_WAIT_FOR_SIPI };

#define AR_BIT_S BIT(4)
#define AR_BIT_P BIT(7)
#define AR_BIT_G BIT(15)
#define AR_TYPE(ar) ((ar)&15)
#define AR_DPL(ar) ((ar) >> 5 & 3)
#define WITH_DPL(ar, dpl) (((ar) & ~0x60ull) | (u64)(dpl) << 5)
#define USABLE(S) (!(V(GUEST_##S##_ACCESS_RIGHTS) & BIT(16)))

static inline bool check_canonical(const struct vmx_check *c, u64 laddr)
{
	return is_canonical(laddr, c->env->caps->laddr_width);
}

/* The canonical address with the same low bits. */
static inline u64 canonical(const struct vmx_check *c, u64 laddr)
{
	unsigned beyond = 64 - c->env->caps->laddr_width;

	return (u64)((s64)(laddr << beyond) >> beyond);
}

/* The bits at and above the linear-address width are all 0 or all 1. */
static inline bool beyond_identical(const struct vmx_check *c, u64 rip)
{
	unsigned width = c->env->caps->laddr_width;

	return !(rip >> width) || rip >> width == ~0ull >> width;
}

/* A legal IA32_PAT: every byte 0, 1, 4, 5, 6 or 7; 2 and 3 have bit 1 without bit 2. */
static inline bool check_pat(u64 pat)
{
	return !(pat & 0xf8f8f8f8f8f8f8f8) && !(pat & 0x0202020202020202 & ~(pat >> 1));
}

static inline u64 nearest_pat(u64 pat)
{
	pat &= 0x0707070707070707;
	return pat & ~(0x0202020202020202 & ~(pat >> 1));
}

/* --- controls --- */

static inline u64 cr3_targets(const struct vmx_check *c)
{
	return bits(c->env->caps->misc, 24, 16);
}

static inline bool threshold_counts(const struct vmx_check *c)
{
	return ON(PROC_USE_TPR_SHADOW) && !ON(PROC2_VIRTUALIZE_APIC_ACCESSES) &&
	       !ON(PROC2_VIRTUAL_INTERRUPT_DELIVERY);
}

static inline u64 vtpr(const struct vmx_check *c)
{
	return c->env->read(c->env->owner, V(VIRTUAL_APIC_ADDRESS) + 0x80, 1);
}

static inline bool eptp_type_valid(const struct vmx_check *c, u64 eptp)
{
	u64 type = bits(eptp, 2, 0), cap = c->env->caps->ept_vpid;

	return (type == 0 && (cap & EPT_CAP_UC)) || (type == 6 && (cap & EPT_CAP_WB));
}

static inline bool eptp_walk_valid(const struct vmx_check *c, u64 eptp)
{
	u64 length = bits(eptp, 5, 3) + 1, cap = c->env->caps->ept_vpid;

	return (length == 4 && (cap & EPT_CAP_WALK_4)) || (length == 5 && (cap & EPT_CAP_WALK_5));
}

#define HLATP_RESERVED_BITS 0xfe7ull

static inline u64 hlat_prefix_max(const struct vmx_check *c)
{
	return bits(c->env->caps->ept_vpid, 53, 48);
}

static inline bool eptp_switching(const struct vmx_check *c)
{
	return ON(PROC2_ENABLE_VM_FUNCTIONS) && V(VM_FUNCTION_CONTROLS) & VMFUNC_EPTP_SWITCHING;
}

/* --- the guest --- */

static inline bool guest_pe(const struct vmx_check *c)
{
	return V(GUEST_CR0) & CHECK_CR0_PE;
}

static inline bool guest_v86(const struct vmx_check *c)
{
	return V(GUEST_RFLAGS) & CHECK_RFLAGS_VM;
}

static inline bool guest_64(const struct vmx_check *c)
{
	return ON(ENTRY_IA32E_MODE_GUEST) && (V(GUEST_CS_ACCESS_RIGHTS) & BIT(13));
}

static inline u64 guest_cr0_fixed0(const struct vmx_check *c)
{
	u64 fixed0 = c->env->caps->cr0_fixed0;

	return ON(PROC2_UNRESTRICTED_GUEST) ? fixed0 & ~(CHECK_CR0_PE | CHECK_CR0_PG) : fixed0;
}

static inline bool blocked(const struct vmx_check *c)
{
	return V(GUEST_INTERRUPTIBILITY_STATE) & (BLOCKING_STI | BLOCKING_MOV_SS);
}

/* Debug exceptions stay pending across the entry. */
static inline bool debug_held(const struct vmx_check *c)
{
	return blocked(c) || V(GUEST_ACTIVITY_STATE) == STATE_HLT;
}

static inline bool guest_steps(const struct vmx_check *c)
{
	return (V(GUEST_RFLAGS) & CHECK_RFLAGS_TF) &&
	       !(V(GUEST_IA32_DEBUGCTL) & CHECK_DEBUGCTL_BTF);
}

static inline bool link_readable(const struct vmx_check *c)
{
	u64 link = V(VMCS_LINK_POINTER);

	return link != ~0ull && !(link & 0xfff) && !(link & BEYOND_WIDTH);
}

static inline u32 link_revision(const struct vmx_check *c)
{
	return (u32)c->env->read(c->env->owner, V(VMCS_LINK_POINTER), 4);
}

/* --- injection --- */

static inline bool injects_any(const struct vmx_check *c)
{
	return V(VM_ENTRY_INTERRUPTION_INFORMATION) >> 31;
}

/* A valid event of this type. */
static inline bool injects(const struct vmx_check *c, unsigned type)
{
	u64 info = V(VM_ENTRY_INTERRUPTION_INFORMATION);

	return info >> 31 && (info >> 8 & 7) == type;
}

static inline unsigned injected_vector(const struct vmx_check *c)
{
	return V(VM_ENTRY_INTERRUPTION_INFORMATION) & 0xff;
}

static inline bool injects_software(const struct vmx_check *c)
{
	return injects(c, 4) || injects(c, 5) || injects(c, 6);
}

static inline bool injects_error(const struct vmx_check *c)
{
	u64 info = V(VM_ENTRY_INTERRUPTION_INFORMATION);

	return info >> 31 && (info & BIT(11));
}

/* PE counts only for an unrestricted guest; for others PE = 0 breaks a rule of its own. */
static inline bool injects_protected(const struct vmx_check *c)
{
	return !ON(PROC2_UNRESTRICTED_GUEST) || guest_pe(c);
}

/* Hardware exceptions that push an error code; #CP where CET is. */
static inline bool vector_has_error(const struct vmx_check *c, u64 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 ||
	       (vector == 21 && (c->env->caps->cr4_fixed1 & CHECK_CR4_CET));
}

/* The error code has to fit the vector. */
static inline bool error_code_checked(const struct vmx_check *c)
{
	return injects(c, 3) && injects_protected(c) &&
	       !(c->env->caps->basic & VMX_BASIC_ANY_ERROR_CODE);
}

static inline bool injection_wakes_shutdown(const struct vmx_check *c)
{
	return !injects_any(c) || injects(c, 2) || (injects(c, 3) && injected_vector(c) == 18);
}

static inline bool injection_wakes_hlt(const struct vmx_check *c)
{
	return injection_wakes_shutdown(c) || injects(c, 0) ||
	       (injects(c, 3) && injected_vector(c) == 1) ||
	       (injects(c, 7) && injected_vector(c) == 0);
}

/* --- PAE paging --- */

static inline bool guest_pae(const struct vmx_check *c)
{
	return (V(GUEST_CR0) & CHECK_CR0_PG) && (V(GUEST_CR4) & CHECK_CR4_PAE) &&
	       !ON(ENTRY_IA32E_MODE_GUEST);
}

static inline u64 pdpte_reserved(const struct vmx_check *c)
{
	return 0x1e6 | BEYOND_WIDTH;
}

static inline bool pdpte_valid(const struct vmx_check *c, u64 entry)
{
	return !guest_pae(c) || !(entry & 1) || !(entry & pdpte_reserved(c));
}

static inline u64 pdpte_in_memory(const struct vmx_check *c, unsigned n)
{
	return c->env->read(c->env->owner, (V(GUEST_CR3) & 0xffffffe0) + 8 * n, 8);
}

#endif
