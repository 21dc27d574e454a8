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

static int vm_fail_invalid(struct vcpu *v)
{
	LOG(v->log, vmx, "VMfailInvalid at rip %016llx", (unsigned long long)v->rip);
	flags_set_arith(v, RFLAGS_CF);
	return EXEC_NEXT;
}

int vm_fail_valid(struct vcpu *v, unsigned error)
{
	LOG(v->log, vmx, "VMfailValid(%u) %s at rip %016llx", error, instruction_error_text(error),
	    (unsigned long long)v->rip);
	flags_set_arith(v, RFLAGS_ZF);
	v->vmx.vmcs.info.instruction_error = error;
	return EXEC_NEXT;
}

static int vm_fail(struct vcpu *v, unsigned error)
{
	return v->vmx.current_ptr == VMX_NO_POINTER ? vm_fail_invalid(v) : vm_fail_valid(v, error);
}

/* --- what all share --- */

static bool mode_refuses(const struct vcpu *v)
{
	return !mode_protected(v) || v->mode == MODE_COMPAT;
}

/* 0 if the instruction may go on in VMX root operation at CPL 0. */
static int begin(struct vcpu *v, const struct insn *i, enum vmx_intercept x)
{
	if (!v->vmx.vmxon || mode_refuses(v))
		return raise_ud(v);
	if (v->vmx.non_root)
		return vmx_intercept_insn(v, i, x);
	return v->cpl ? raise_gp(v, 0) : 0;
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

static bool pointer_valid(const struct vcpu *v, u64 ptr)
{
	return !(ptr & 0xfff) && !(ptr >> v->vmx.caps.maxphyaddr);
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

	return !v->vmx.vmxon || (!(c->cr4_fixed0 & ~value) && !(value & ~c->cr4_fixed1));
}

static bool vmxon_allowed(const struct vcpu *v)
{
	const struct vmx_caps *c = &v->vmx.caps;
	u64 wanted = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON;

	return !v->cpl && !v->a20_masked && !(c->cr0_fixed0 & ~v->cr0) &&
	       !(v->cr0 & ~c->cr0_fixed1) && !(c->cr4_fixed0 & ~v->cr4) &&
	       !(v->cr4 & ~c->cr4_fixed1) && (v->vmx.feature_control & wanted) == wanted;
}

static int vmxon_enter(struct vcpu *v, const struct insn *i)
{
	struct vmx_state *x = &v->vmx;
	u64 ptr;
	int r = read_pointer(v, i, &ptr);

	if (r)
		return r;
	if (!pointer_valid(v, ptr) || vmcs_region_revision(v->mem, ptr) != VMX_REVISION)
		return vm_fail_invalid(v);
	x->vmxon = true;
	x->non_root = false;
	x->vmxon_ptr = ptr;
	x->current_ptr = VMX_NO_POINTER;
	v->monitor_armed = false;
	return vm_succeed(v);
}

int op_vmxon(struct vcpu *v, const struct insn *i)
{
	if (mode_refuses(v) || !(v->cr4 & CR4_VMXE))
		return raise_ud(v);
	if (!v->vmx.vmxon)
		return vmxon_allowed(v) ? vmxon_enter(v, i) : raise_gp(v, 0);
	if (v->vmx.non_root)
		return vmx_intercept_insn(v, i, X_VMXON);
	return v->cpl ? raise_gp(v, 0) : vm_fail(v, VMX_ERROR_VMXON_IN_ROOT);
}

int op_vmxoff(struct vcpu *v, const struct insn *i)
{
	int r = begin(v, i, X_VMXOFF);

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

int op_vmptrld(struct vcpu *v, const struct insn *i)
{
	u64 ptr;
	u32 revision;
	int r = begin(v, i, X_VMPTRLD);

	if (!r)
		r = read_pointer(v, i, &ptr);
	if (r)
		return r;
	if (!pointer_valid(v, ptr))
		return vm_fail(v, VMX_ERROR_VMPTRLD_INVALID_ADDRESS);
	if (ptr == v->vmx.vmxon_ptr)
		return vm_fail(v, VMX_ERROR_VMPTRLD_VMXON_POINTER);
	revision = vmcs_region_revision(v->mem, ptr);
	if ((revision & ~VMCS_SHADOW_INDICATOR) != VMX_REVISION ||
	    (revision != VMX_REVISION && !vmx_may(&v->vmx.caps, PROC2_VMCS_SHADOWING)))
		return vm_fail(v, VMX_ERROR_VMPTRLD_WRONG_REVISION);
	vmcs_make_current(v, ptr);
	return vm_succeed(v);
}

int op_vmptrst(struct vcpu *v, const struct insn *i)
{
	int r = begin(v, i, X_VMPTRST);

	if (!r)
		r = mem_write(v, i->seg, insn_offset(v, i), 8, v->vmx.current_ptr);
	return r ? r : vm_succeed(v);
}

int op_vmclear(struct vcpu *v, const struct insn *i)
{
	u64 ptr;
	int r = begin(v, i, X_VMCLEAR);

	if (!r)
		r = read_pointer(v, i, &ptr);
	if (r)
		return r;
	if (!pointer_valid(v, ptr))
		return vm_fail(v, VMX_ERROR_VMCLEAR_INVALID_ADDRESS);
	if (ptr == v->vmx.vmxon_ptr)
		return vm_fail(v, VMX_ERROR_VMCLEAR_VMXON_POINTER);
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
static int find_vmcs(struct vcpu *v, const struct insn *i, enum vmx_intercept x, u64 enc,
		     struct vmcs **vmcs)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	if (!v->vmx.vmxon || mode_refuses(v))
		return raise_ud(v);
	if (v->vmx.non_root &&
	    field_exits(v, x == X_VMREAD ? c->vmread_bitmap : c->vmwrite_bitmap, enc))
		return vmx_intercept_insn(v, i, x);
	if (v->cpl)
		return raise_gp(v, 0);
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
	int r = find_vmcs(v, i, X_VMREAD, enc, &vmcs);

	if (r)
		return r;
	if (!vmcs)
		return vm_fail_invalid(v);
	error = vmcs_read(&v->vmx.caps, vmcs, enc, &value);
	if (error)
		return vm_fail_valid(v, error);
	r = rm_write(v, i, size, value & size_mask(size));
	return r ? r : vm_succeed(v);
}

int op_vmwrite(struct vcpu *v, const struct insn *i)
{
	unsigned error, group, size = operand_size(v);
	u64 enc = v->reg[i->reg] & size_mask(size), value;
	struct vmcs *vmcs;
	int r = find_vmcs(v, i, X_VMWRITE, enc, &vmcs);

	if (r)
		return r;
	if (!vmcs)
		return vm_fail_invalid(v);
	r = rm_read(v, i, size, &value);
	if (r)
		return r;
	error = vmcs_write(&v->vmx.caps, vmcs, enc, value, &group);
	if (error)
		return vm_fail_valid(v, error);
	if (vmcs == &v->vmx.vmcs)
		v->vmx.dirty |= (u8)group;
	else
		v->vmx.shadow_dirty = true;
	return vm_succeed(v);
}

/* --- VM entry, VMCALL, VMFUNC --- */

static int enter(struct vcpu *v, const struct insn *i, bool launch)
{
	int r = begin(v, i, launch ? X_VMLAUNCH : X_VMRESUME);

	if (r)
		return r;
	if (v->vmx.current_ptr == VMX_NO_POINTER || v->vmx.is_shadow)
		return vm_fail_invalid(v);
	if (v->shadow == SHADOW_MOV_SS && v->shadow_at == vcpu_icount(v))
		return vm_fail_valid(v, VMX_ERROR_ENTRY_MOV_SS_BLOCKING);
	if (v->vmx.launched == launch)
		return vm_fail_valid(v, launch ? VMX_ERROR_VMLAUNCH_NON_CLEAR
					       : VMX_ERROR_VMRESUME_NON_LAUNCHED);
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

	if (!v->vmx.vmxon)
		return raise_ud(v);
	if (v->vmx.non_root)
		return vmx_intercept_insn(v, i, X_VMCALL);
	r = begin(v, i, X_VMCALL);
	return r ? r : vm_fail(v, VMX_ERROR_VMCALL_IN_ROOT);
}

int op_vmfunc(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return raise_ud(v);
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

static bool eptp_valid(const struct vcpu *v, u64 eptp)
{
	u64 type = bits(eptp, 2, 0);

	return (type == 0 || type == 6) && bits(eptp, 5, 3) == 3 && !bits(eptp, 11, 7) &&
	       !(eptp >> v->vmx.caps.maxphyaddr);
}

int op_invept(struct vcpu *v, const struct insn *i)
{
	u64 type = v->reg[i->reg] & size_mask(operand_size(v)), desc[2];
	int r;

	if (!(v->vmx.caps.ept_vpid & EPT_CAP_INVEPT))
		return raise_ud(v);
	r = begin(v, i, X_INVEPT);
	if (r)
		return r;
	if (type != 1 && type != 2)
		return vm_fail(v, VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	r = read_descriptor(v, i, desc);
	if (r)
		return r;
	if (type == 1 && !eptp_valid(v, desc[0]))
		return vm_fail(v, VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	if (type == 1)
		tlb_flush_eptp(&v->tlb, desc[0] & PAGE_MASK);
	else
		tlb_flush_all_eptps(&v->tlb);
	return vm_succeed(v);
}

/* Type 0 individual address, 1 single context, 2 all contexts, 3 single context retaining globals.
 * */
static bool invvpid_valid(const struct vcpu *v, u64 type, const u64 desc[2])
{
	if (desc[0] >> 16 || (type != 2 && !desc[0]))
		return false;
	return type != 0 || is_canonical(desc[1], v->vmx.caps.laddr_width);
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
	int r;

	if (!(v->vmx.caps.ept_vpid & EPT_CAP_INVVPID))
		return raise_ud(v);
	r = begin(v, i, X_INVVPID);
	if (r)
		return r;
	if (type > 3)
		return vm_fail(v, VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	r = read_descriptor(v, i, desc);
	if (r)
		return r;
	if (!invvpid_valid(v, type, desc))
		return vm_fail(v, VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	invvpid_flush(v, type, desc);
	return vm_succeed(v);
}
