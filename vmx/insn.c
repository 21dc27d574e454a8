/*
 * The VMX instructions (SDM Vol. 3, "VMX Instruction Reference"). Each follows its Operation text:
 * #UD, then the VM exit in non-root operation, then the CPL check, then VMfail or the work.
 *
 * Left out: the dual-monitor treatment of SMIs and SMM (VMCALL in root operation fails with error
 * 1) and VM functions (VMFUNC is undefined).
 */
#include "vmx/internal.h"

#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMXON BIT(2) /* outside SMX operation */

/* --- VMsucceed and VMfail; all return EXEC_NEXT --- */

static int vm_succeed(struct vcpu *v)
{
	flags_set_arith(v, 0);
	return EXEC_NEXT;
}

int vm_fail_invalid(struct vcpu *v)
{
	flags_set_arith(v, RFLAGS_CF);
	return EXEC_NEXT;
}

int vm_fail_valid(struct vcpu *v, unsigned error)
{
	flags_set_arith(v, RFLAGS_ZF);
	v->vmx.vmcs.info.instruction_error = error;
	return EXEC_NEXT;
}

/* --- what all share --- */

static bool mode_refuses(const struct vcpu *v)
{
	return !mode_protected(v) || v->mode == MODE_COMPAT;
}

/* 0 if the instruction may go on in VMX root operation at CPL 0. `rules`: the first of the three
 * rules that all instructions share. */
static int begin(struct vcpu *v, const struct insn *i, enum vmx_intercept x, enum vmx_rule rules)
{
	if (!v->vmx.vmxon)
		return vmx_refuse(v, rules, 0);
	if (mode_refuses(v))
		return vmx_refuse(v, (enum vmx_rule)(rules + 1), v->mode);
	if (v->vmx.non_root)
		return vmx_intercept_insn(v, i, x);
	return v->cpl ? vmx_refuse(v, (enum vmx_rule)(rules + 2), v->cpl) : 0;
}

static unsigned operand_size(const struct vcpu *v)
{
	return v->mode == MODE_64 ? 8 : 4;
}

/* The 64-bit memory operand of VMXON, VMPTRLD and VMCLEAR. */
static int read_pointer(struct vcpu *v, const struct insn *i, u64 *ptr)
{
	return mem_read(v, i->seg, insn_offset(v, i), 8, ptr);
}

static bool pointer_aligned(u64 ptr)
{
	return !(ptr & 0xfff);
}

static bool pointer_narrow(const struct vcpu *v, u64 ptr)
{
	return !(ptr >> v->vmx.caps.maxphyaddr);
}

/* --- VMXON, VMXOFF --- */

bool vmx_cr0_allowed(const struct vcpu *v, u64 value)
{
	const struct vmx_caps *c = &v->vmx.caps;
	u64 fixed0 = c->cr0_fixed0;

	if (!v->vmx.vmxon)
		return true;
	if (v->vmx.non_root && vmx_on(&v->vmx, PROC2_UNRESTRICTED_GUEST))
		fixed0 &= ~(CR0_PE | CR0_PG);
	return !(fixed0 & ~value) && !(value & ~c->cr0_fixed1);
}

bool vmx_cr4_allowed(const struct vcpu *v, u64 value)
{
	const struct vmx_caps *c = &v->vmx.caps;

	if (v->in_smm && value & CR4_VMXE)
		return false;
	return !v->vmx.vmxon || (!(c->cr4_fixed0 & ~value) && !(value & ~c->cr4_fixed1));
}

/* The rule of #GP(0) that VMXON breaks, or RULE_NONE. */
static enum vmx_rule vmxon_refused(const struct vcpu *v)
{
	const struct vmx_caps *c = &v->vmx.caps;

	if (v->cpl)
		return RULE_VMXON_CPL;
	if (v->a20_masked)
		return RULE_VMXON_A20M;
	if ((c->cr0_fixed0 & ~v->cr0) || (v->cr0 & ~c->cr0_fixed1))
		return RULE_VMXON_CR0;
	if ((c->cr4_fixed0 & ~v->cr4) || (v->cr4 & ~c->cr4_fixed1))
		return RULE_VMXON_CR4;
	if (!(v->vmx.feature_control & FEATURE_CONTROL_LOCK))
		return RULE_VMXON_LOCK;
	return v->vmx.feature_control & FEATURE_CONTROL_VMXON ? RULE_NONE : RULE_VMXON_ENABLE;
}

static enum vmx_rule vmxon_region_refused(struct vcpu *v, u64 ptr)
{
	u32 revision;

	if (!pointer_aligned(ptr))
		return RULE_VMXON_ALIGNED;
	if (!pointer_narrow(v, ptr))
		return RULE_VMXON_WIDTH;
	revision = vmcs_region_revision(v->mem, ptr);
	if ((revision & ~VMCS_SHADOW_INDICATOR) != VMX_REVISION)
		return RULE_VMXON_REVISION;
	return revision & VMCS_SHADOW_INDICATOR ? RULE_VMXON_SHADOW : RULE_NONE;
}

static int vmxon_enter(struct vcpu *v, const struct insn *i)
{
	struct vmx_state *x = &v->vmx;
	enum vmx_rule rule;
	u64 ptr;
	int r = read_pointer(v, i, &ptr);

	if (r)
		return r;
	rule = vmxon_region_refused(v, ptr);
	if (rule)
		return vmx_refuse(v, rule, ptr);
	x->vmxon = true;
	x->non_root = false;
	x->vmxon_ptr = ptr;
	x->current_ptr = VMX_NO_POINTER;
	v->monitor_armed = false;
	return vm_succeed(v);
}

int op_vmxon(struct vcpu *v, const struct insn *i)
{
	enum vmx_rule rule;

	if (mode_refuses(v))
		return vmx_refuse(v, RULE_VMXON_MODE, v->mode);
	if (!(v->cr4 & CR4_VMXE))
		return vmx_refuse(v, RULE_VMXON_VMXE, v->cr4);
	if (!v->vmx.vmxon) {
		rule = vmxon_refused(v);
		return rule ? vmx_refuse(v, rule, 0) : vmxon_enter(v, i);
	}
	if (v->vmx.non_root)
		return vmx_intercept_insn(v, i, X_VMXON);
	return vmx_refuse(v, v->cpl ? RULE_VMXON_ROOT_CPL : RULE_VMXON_IN_ROOT, v->cpl);
}

int op_vmxoff(struct vcpu *v, const struct insn *i)
{
	int r = begin(v, i, X_VMXOFF, RULE_VMXOFF_VMX_OPERATION);

	if (r)
		return r;
	vmcs_flush_current(v);
	v->vmx.vmxon = false;
	v->vmx.vmxon_ptr = VMX_NO_POINTER;
	v->recheck = true; /* INIT is no longer blocked */
	vm_succeed(v);
	return EXEC_LEAVE;
}

/* --- VMCS pointers --- */

static enum vmx_rule vmptrld_refused(struct vcpu *v, u64 ptr)
{
	u32 revision;

	if (!pointer_aligned(ptr))
		return RULE_VMPTRLD_ALIGNED;
	if (!pointer_narrow(v, ptr))
		return RULE_VMPTRLD_WIDTH;
	if (ptr == v->vmx.vmxon_ptr)
		return RULE_VMPTRLD_NOT_VMXON;
	revision = vmcs_region_revision(v->mem, ptr);
	if ((revision & ~VMCS_SHADOW_INDICATOR) != VMX_REVISION)
		return RULE_VMPTRLD_REVISION;
	return revision != VMX_REVISION && !vmx_may(&v->vmx.caps, PROC2_VMCS_SHADOWING)
		       ? RULE_VMPTRLD_SHADOW
		       : RULE_NONE;
}

int op_vmptrld(struct vcpu *v, const struct insn *i)
{
	enum vmx_rule rule;
	u64 ptr;
	int r = begin(v, i, X_VMPTRLD, RULE_VMPTRLD_VMX_OPERATION);

	if (!r)
		r = read_pointer(v, i, &ptr);
	if (r)
		return r;
	rule = vmptrld_refused(v, ptr);
	if (rule)
		return vmx_refuse(v, rule, ptr);
	vmcs_make_current(v, ptr);
	return vm_succeed(v);
}

int op_vmptrst(struct vcpu *v, const struct insn *i)
{
	int r = begin(v, i, X_VMPTRST, RULE_VMPTRST_VMX_OPERATION);

	if (!r)
		r = mem_write(v, i->seg, insn_offset(v, i), 8, v->vmx.current_ptr);
	return r ? r : vm_succeed(v);
}

static enum vmx_rule vmclear_refused(const struct vcpu *v, u64 ptr)
{
	if (!pointer_aligned(ptr))
		return RULE_VMCLEAR_ALIGNED;
	if (!pointer_narrow(v, ptr))
		return RULE_VMCLEAR_WIDTH;
	return ptr == v->vmx.vmxon_ptr ? RULE_VMCLEAR_NOT_VMXON : RULE_NONE;
}

int op_vmclear(struct vcpu *v, const struct insn *i)
{
	enum vmx_rule rule;
	u64 ptr;
	int r = begin(v, i, X_VMCLEAR, RULE_VMCLEAR_VMX_OPERATION);

	if (!r)
		r = read_pointer(v, i, &ptr);
	if (r)
		return r;
	rule = vmclear_refused(v, ptr);
	if (rule)
		return vmx_refuse(v, rule, ptr);
	if (ptr == v->vmx.current_ptr)
		vmcs_flush_current(v);
	vmcs_region_set_clear(v->mem, ptr);
	return vm_succeed(v);
}

/* --- VMREAD and VMWRITE --- */

/* VMCS shadowing: does the bitmap make this field exit? */
static bool field_exits(struct vcpu *v, u64 bitmap, u64 enc)
{
	if (!vmx_on(&v->vmx, PROC2_VMCS_SHADOWING) || enc >> 15)
		return true;
	return phys_read(v, bitmap + enc / 8, 1) >> (enc & 7) & 1;
}

/*
 * The VMCS that VMREAD or VMWRITE of this field reaches: the current one in root operation, the
 * shadow one in non-root. 0 with *vmcs NULL: there is none, VMfailInvalid.
 */
static int find_vmcs(struct vcpu *v, const struct insn *i, bool read, u64 enc, struct vmcs **vmcs)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	if (!v->vmx.non_root || field_exits(v, read ? c->vmread_bitmap : c->vmwrite_bitmap, enc)) {
		int r = begin(v, i, read ? X_VMREAD : X_VMWRITE,
			      read ? RULE_VMREAD_VMX_OPERATION : RULE_VMWRITE_VMX_OPERATION);

		if (r)
			return r;
	} else if (mode_refuses(v)) {
		return vmx_refuse(v, read ? RULE_VMREAD_MODE : RULE_VMWRITE_MODE, v->mode);
	} else if (v->cpl) {
		return vmx_refuse(v, read ? RULE_VMREAD_CPL : RULE_VMWRITE_CPL, v->cpl);
	}
	*vmcs = NULL;
	if (!v->vmx.non_root && v->vmx.current_ptr != VMX_NO_POINTER)
		*vmcs = &v->vmx.vmcs;
	else if (v->vmx.non_root && v->vmx.vmcs.guest.link_pointer != VMX_NO_POINTER)
		*vmcs = vmcs_shadow_get(v);
	return 0;
}

int op_vmread(struct vcpu *v, const struct insn *i)
{
	unsigned error, size = operand_size(v);
	u64 enc = v->reg[i->reg] & size_mask(size), value;
	struct vmcs *vmcs;
	int r = find_vmcs(v, i, true, enc, &vmcs);

	if (r)
		return r;
	if (!vmcs)
		return vmx_refuse(v, RULE_VMREAD_CURRENT, enc);
	error = vmcs_read(&v->vmx.caps, vmcs, enc, &value);
	if (error)
		return vmx_refuse(v, RULE_VMREAD_FIELD, enc);
	r = rm_write(v, i, size, value & size_mask(size));
	return r ? r : vm_succeed(v);
}

int op_vmwrite(struct vcpu *v, const struct insn *i)
{
	unsigned error, group, size = operand_size(v);
	u64 enc = v->reg[i->reg] & size_mask(size), value;
	struct vmcs *vmcs;
	int r = find_vmcs(v, i, false, enc, &vmcs);

	if (r)
		return r;
	if (!vmcs)
		return vmx_refuse(v, RULE_VMWRITE_CURRENT, enc);
	r = rm_read(v, i, size, &value);
	if (r)
		return r;
	error = vmcs_write(&v->vmx.caps, vmcs, enc, value, &group);
	if (error)
		return vmx_refuse(v,
				  error == VMX_ERROR_VMWRITE_READ_ONLY ? RULE_VMWRITE_READ_ONLY
								       : RULE_VMWRITE_FIELD,
				  enc);
	if (vmcs == &v->vmx.vmcs)
		v->vmx.dirty |= (u8)group;
	else
		v->vmx.shadow_dirty = true;
	return vm_succeed(v);
}

/* --- VM entry, VMCALL --- */

static int enter(struct vcpu *v, const struct insn *i, bool launch)
{
	u64 ptr = v->vmx.current_ptr;
	int r;

	v->vmx.resuming = !launch;
	r = begin(v, i, launch ? X_VMLAUNCH : X_VMRESUME, RULE_ENTRY_VMX_OPERATION);
	if (r)
		return r;
	if (ptr == VMX_NO_POINTER)
		return vmx_refuse(v, RULE_ENTRY_CURRENT, ptr);
	if (v->vmx.is_shadow)
		return vmx_refuse(v, RULE_ENTRY_NOT_SHADOW, ptr);
	if (v->shadow == SHADOW_MOV_SS && v->shadow_at == vcpu_icount(v))
		return vmx_refuse(v, RULE_ENTRY_MOV_SS, v->shadow);
	if (v->vmx.launched == launch)
		return vmx_refuse(v, launch ? RULE_ENTRY_CLEAR : RULE_ENTRY_LAUNCHED, !launch);
	return vm_enter(v);
}

int op_vmlaunch(struct vcpu *v, const struct insn *i)
{
	return enter(v, i, true);
}

int op_vmresume(struct vcpu *v, const struct insn *i)
{
	return enter(v, i, false);
}

int op_vmcall(struct vcpu *v, const struct insn *i)
{
	int r;

	if (v->vmx.non_root)
		return vmx_intercept_insn(v, i, X_VMCALL);
	r = begin(v, i, X_VMCALL, RULE_VMCALL_VMX_OPERATION);
	return r ? r : vmx_refuse(v, RULE_VMCALL_IN_ROOT, 0);
}

/* --- INVEPT, INVVPID --- */

static int read_descriptor(struct vcpu *v, const struct insn *i, u64 desc[2])
{
	u8 b[16];
	int r = mem_read_bytes(v, i->seg, insn_offset(v, i), b, sizeof(b));

	desc[0] = load_le64(b);
	desc[1] = load_le64(b + 8);
	return r;
}

int op_invept(struct vcpu *v, const struct insn *i)
{
	u64 type = v->reg[i->reg] & size_mask(operand_size(v)), desc[2];
	int r;

	if (!(v->vmx.caps.ept_vpid & EPT_CAP_INVEPT))
		return vmx_refuse(v, RULE_INVEPT_SUPPORTED, v->vmx.caps.ept_vpid);
	r = begin(v, i, X_INVEPT, RULE_INVEPT_VMX_OPERATION);
	if (r)
		return r;
	if (type < 1 || type > 2 || !(v->vmx.caps.ept_vpid & EPT_CAP_INVEPT_TYPE(type)))
		return vmx_refuse(v, RULE_INVEPT_TYPE, type);
	r = read_descriptor(v, i, desc);
	if (r)
		return r;
	if (type == 1 && !vmx_eptp_usable(&v->vmx.caps, desc[0]))
		return vmx_refuse(v, RULE_INVEPT_EPTP, desc[0]);
	if (type == 1)
		tlb_flush_eptp(&v->tlb, desc[0]);
	else
		tlb_flush_all_eptps(&v->tlb);
	return vm_succeed(v);
}

/* Type 0 individual address, 1 single context, 2 all contexts, 3 single context retaining globals.
 * */
static enum vmx_rule invvpid_refused(const struct vcpu *v, u64 type, const u64 desc[2])
{
	if (desc[0] >> 16)
		return RULE_INVVPID_RESERVED;
	if (type != 2 && !desc[0])
		return RULE_INVVPID_VPID;
	return type == 0 && !is_canonical(desc[1], v->vmx.caps.laddr_width) ? RULE_INVVPID_CANONICAL
									    : RULE_NONE;
}

static void invvpid_flush(struct vcpu *v, u64 type, const u64 desc[2])
{
	u16 vpid = (u16)desc[0];

	switch (type) {
	case 0:
		tlb_flush_vpid_laddr(&v->tlb, vpid, desc[1]);
		break;
	case 1:
	case 3:
		tlb_flush_vpid(&v->tlb, vpid, type == 1);
		break;
	default:
		tlb_flush_all_vpids(&v->tlb);
	}
}

int op_invvpid(struct vcpu *v, const struct insn *i)
{
	u64 type = v->reg[i->reg] & size_mask(operand_size(v)), desc[2];
	enum vmx_rule rule;
	int r;

	if (!(v->vmx.caps.ept_vpid & EPT_CAP_INVVPID))
		return vmx_refuse(v, RULE_INVVPID_SUPPORTED, v->vmx.caps.ept_vpid);
	r = begin(v, i, X_INVVPID, RULE_INVVPID_VMX_OPERATION);
	if (r)
		return r;
	if (type > 3 || !(v->vmx.caps.ept_vpid & EPT_CAP_INVVPID_TYPE(type)))
		return vmx_refuse(v, RULE_INVVPID_TYPE, type);
	r = read_descriptor(v, i, desc);
	if (r)
		return r;
	rule = invvpid_refused(v, type, desc);
	if (rule)
		return vmx_refuse(v, rule, rule == RULE_INVVPID_CANONICAL ? desc[1] : desc[0]);
	invvpid_flush(v, type, desc);
	return vm_succeed(v);
}
