/*
 * Which instructions exit, and what control and debug registers, I/O and MSR accesses do in
 * non-root operation (SDM Vol. 3, "Instructions That Cause VM Exits", "Changes to Instruction
 * Behavior in VMX Non-Root Operation").
 *
 * Left out: ENCLS, ENCLV, PCONFIG, LOADIWKEY.
 */
#include "vmx/internal.h"

/* --- instructions of intercepts.def --- */

enum { CONDITION_ALWAYS = 0x1000, CONDITION_NEVER, CONDITION_CUSTOM };
enum { NONE, DISP, GPR, LADDR, ARMED, TABLE };

struct intercept_row {
	u16 exits_if, ud_unless; /* enum vmx_control, or CONDITION_* */
	u8 reason, info;
};

#define ALWAYS CONDITION_ALWAYS
#define NEVER CONDITION_NEVER
#define CUSTOM CONDITION_CUSTOM
static const struct intercept_row intercept_rows[VMX_INTERCEPTS] = {
#define X(name, exits_if, ud_unless, reason, info)                                                 \
	[X_##name] = {exits_if, ud_unless, EXIT_REASON_##reason, info},
#include "vmx/intercepts.def"
};
#undef ALWAYS
#undef NEVER
#undef CUSTOM

/* PAUSE-loop exiting: a PAUSE at CPL 0 within the gap of the last one belongs to the same loop. */
static bool pause_loops(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	u64 now = vcpu_icount(v); /* the CPU's own time, not that of the others' turns */

	if (!vmx_on(x, PROC2_PAUSE_LOOP_EXITING) || v->cpl)
		return false;
	if (now - x->ple_last > x->vmcs.ctl.ple_gap)
		x->ple_first = now;
	x->ple_last = now;
	return now - x->ple_first > x->vmcs.ctl.ple_window;
}

static bool custom_exits(struct vcpu *v, enum vmx_intercept x)
{
	u64 mask = (u64)(u32)v->reg[RDX] << 32 | (u32)v->reg[RAX];

	if (x == X_PAUSE)
		return vmx_on(&v->vmx, PROC_PAUSE_EXITING) || pause_loops(v);
	return mask & v->xss & v->vmx.vmcs.ctl.xss_exiting;
}

static bool row_exits(struct vcpu *v, const struct intercept_row *row, enum vmx_intercept x)
{
	switch (row->exits_if) {
	case CONDITION_ALWAYS:
		return true;
	case CONDITION_NEVER:
		return false;
	case CONDITION_CUSTOM:
		return custom_exits(v, x);
	default:
		return vmx_on(&v->vmx, (enum vmx_control)row->exits_if);
	}
}

static u64 operand_laddr(const struct vcpu *v, const struct insn *i)
{
	bool flat = v->mode == MODE_64 && i->seg < SEG_FS;
	u64 laddr = insn_offset(v, i) + (flat ? 0 : v->seg[i->seg].base);

	return v->mode == MODE_64 ? laddr : (u32)laddr;
}

/* SGDT 0, SIDT 1, LGDT 2, LIDT 3; SLDT 0, STR 1, LLDT 2, LTR 3. */
static unsigned table_identity(enum vmx_intercept x)
{
	return x < X_SLDT ? x - X_SGDT : x - X_SLDT;
}

static int exit_with_info(struct vcpu *v, const struct insn *i, enum vmx_intercept x)
{
	const struct intercept_row *row = &intercept_rows[x];
	struct vm_exit e = {.reason = row->reason, .rf = RF_CLEAR, .length = i->len};

	switch (row->info) {
	case DISP:
		e.qualification = insn_displacement(v, i);
		e.insn_info = insn_info_memory(i);
		break;
	case TABLE:
		e.qualification = insn_displacement(v, i);
		e.insn_info = insn_info_table(i, table_identity(x));
		break;
	case GPR:
		e.insn_info = insn_info_gpr(i);
		break;
	case LADDR:
		e.qualification = operand_laddr(v, i);
		break;
	case ARMED:
		e.qualification = v->monitor_armed;
		break;
	default:
		break;
	}
	return vm_exit(v, &e);
}

bool vmx_enabled_insn(const struct vcpu *v, enum vmx_intercept x)
{
	const struct intercept_row *row = &intercept_rows[x];

	return row->ud_unless == CONDITION_ALWAYS ||
	       vmx_on(&v->vmx, (enum vmx_control)row->ud_unless);
}

int vmx_intercept_insn(struct vcpu *v, const struct insn *i, enum vmx_intercept x)
{
	const struct intercept_row *row = &intercept_rows[x];

	if (!vmx_enabled_insn(v, x))
		return raise_ud(v);
	return row_exits(v, row, x) ? exit_with_info(v, i, x) : 0;
}

/* --- I/O --- */

static bool bitmap_bit(struct vcpu *v, u64 bitmap, u64 bit)
{
	return phys_read(v, bitmap + bit / 8, 1) >> (bit & 7) & 1;
}

static bool io_exits(struct vcpu *v, u16 port, unsigned size)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	if (!vmx_on(&v->vmx, PROC_USE_IO_BITMAPS))
		return vmx_on(&v->vmx, PROC_UNCONDITIONAL_IO_EXITING);
	if (port + size > 0x10000) /* wraps around the port space */
		return true;
	for (unsigned p = port; p < port + size; p++)
		if (bitmap_bit(v, p & 0x8000 ? c->io_bitmap_b : c->io_bitmap_a, p & 0x7fff))
			return true;
	return false;
}

int vmx_intercept_io(struct vcpu *v, const struct insn *i, u16 port, unsigned size, unsigned flags,
		     u64 laddr)
{
	struct vm_exit e = {.reason = EXIT_REASON_IO_INSTRUCTION, .rf = RF_CLEAR, .length = i->len};

	if (likely(!v->vmx.non_root) || !io_exits(v, port, size))
		return 0;
	e.qualification = (size - 1) | flags | (u32)port << 16;
	if (flags & VMX_IO_STRING) {
		e.laddr = laddr;
		e.insn_info = insn_info_string_io(i);
	}
	return vm_exit(v, &e);
}

/* --- MSRs --- */

static bool msr_exits(struct vcpu *v, u32 msr, bool write)
{
	u64 bitmap = v->vmx.vmcs.ctl.msr_bitmaps + (write ? 2048 : 0);

	if (!vmx_on(&v->vmx, PROC_USE_MSR_BITMAPS))
		return true;
	if (msr < 0x2000)
		return bitmap_bit(v, bitmap, msr);
	if (msr - 0xc0000000 < 0x2000)
		return bitmap_bit(v, bitmap + 1024, msr - 0xc0000000);
	return true;
}

int vmx_intercept_rdmsr(struct vcpu *v, const struct insn *i, u32 msr)
{
	if (likely(!v->vmx.non_root) || !msr_exits(v, msr, false))
		return 0;
	return vm_exit_insn(v, i, EXIT_REASON_RDMSR, 0);
}

int vmx_intercept_wrmsr(struct vcpu *v, const struct insn *i, u32 msr)
{
	if (likely(!v->vmx.non_root) || !msr_exits(v, msr, true))
		return 0;
	return vm_exit_insn(v, i, EXIT_REASON_WRMSR, 0);
}

int vmx_intercept_msr_list(struct vcpu *v, const struct insn *i, u32 msr, bool write, u64 data)
{
	if (!msr_exits(v, msr, write))
		return 0;
	if (write)
		v->vmx.vmcs.info.msr_data = data;
	return vm_exit_insn(v, i, write ? EXIT_REASON_WRMSRLIST : EXIT_REASON_RDMSRLIST, msr);
}

/* --- debug and control registers --- */

int vmx_intercept_mov_dr(struct vcpu *v, const struct insn *i, unsigned dr, unsigned gpr, bool read)
{
	u64 q = dr | (read ? BIT(4) : 0) | gpr << 8;

	if (likely(!v->vmx.non_root) || !vmx_on(&v->vmx, PROC_MOV_DR_EXITING))
		return 0;
	return vm_exit_insn(v, i, EXIT_REASON_MOV_DR, q);
}

enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

static int cr_exit(struct vcpu *v, const struct insn *i, unsigned cr, unsigned type, unsigned gpr)
{
	return vm_exit_insn(v, i, EXIT_REASON_CR_ACCESS, cr | type << 4 | (u64)gpr << 8);
}

static bool cr3_is_target(const struct vcpu *v, u64 value)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	for (unsigned i = 0; i < c->cr3_target_count && i < VMX_CR3_TARGETS; i++)
		if (c->cr3_target[i] == value)
			return true;
	return false;
}

int vmx_mov_to_cr(struct vcpu *v, const struct insn *i, unsigned cr, unsigned gpr, u64 *value)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;
	bool exits = false;

	if (likely(!v->vmx.non_root))
		return 0;
	switch (cr) {
	case 0:
		exits = (*value ^ c->cr0_shadow) & c->cr0_mask;
		*value = (*value & ~c->cr0_mask) | (v->cr0 & c->cr0_mask);
		break;
	case 3:
		exits = vmx_on(&v->vmx, PROC_CR3_LOAD_EXITING) && !cr3_is_target(v, *value);
		break;
	case 4:
		exits = (*value ^ c->cr4_shadow) & c->cr4_mask;
		*value = (*value & ~c->cr4_mask) | (v->cr4 & c->cr4_mask);
		break;
	case 8:
		exits = vmx_on(&v->vmx, PROC_CR8_LOAD_EXITING);
		break;
	default:
		break;
	}
	return exits ? cr_exit(v, i, cr, CR_MOV_TO, gpr) : 0;
}

int vmx_mov_from_cr(struct vcpu *v, const struct insn *i, unsigned cr, unsigned gpr)
{
	bool exits;

	if (likely(!v->vmx.non_root))
		return 0;
	exits = (cr == 3 && vmx_on(&v->vmx, PROC_CR3_STORE_EXITING)) ||
		(cr == 8 && vmx_on(&v->vmx, PROC_CR8_STORE_EXITING));
	return exits ? cr_exit(v, i, cr, CR_MOV_FROM, gpr) : 0;
}

int vmx_clts(struct vcpu *v, const struct insn *i, u64 *value)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	if (likely(!v->vmx.non_root) || !(c->cr0_mask & CR0_TS))
		return 0;
	if (c->cr0_shadow & CR0_TS)
		return cr_exit(v, i, 0, CR_CLTS, 0);
	*value = (*value & ~CR0_TS) | (v->cr0 & CR0_TS);
	return 0;
}

int vmx_lmsw(struct vcpu *v, const struct insn *i, u16 source, u64 laddr, u64 *value)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;
	u64 low = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	struct vm_exit e = {.reason = EXIT_REASON_CR_ACCESS, .rf = RF_CLEAR, .length = i->len};
	bool exits;

	if (likely(!v->vmx.non_root))
		return 0;
	exits = (source ^ c->cr0_shadow) & c->cr0_mask & (low & ~CR0_PE);
	exits |= (c->cr0_mask & CR0_PE) && (source & CR0_PE) && !(c->cr0_shadow & CR0_PE);
	if (!exits) {
		*value = (*value & ~(c->cr0_mask & low)) | (v->cr0 & c->cr0_mask & low);
		return 0;
	}
	e.qualification = CR_LMSW << 4 | (insn_is_mem(i) ? BIT(6) : 0) | (u32)source << 16;
	e.laddr = insn_is_mem(i) ? laddr : 0;
	return vm_exit(v, &e);
}

int vmx_intercept_task_switch(struct vcpu *v, u16 selector, unsigned source, unsigned len)
{
	struct vm_exit e = {.reason = EXIT_REASON_TASK_SWITCH, .length = len};

	if (likely(!v->vmx.non_root))
		return 0;
	e.qualification = selector | source << 30;
	return vm_exit(v, &e);
}

/* --- IA32_SPEC_CTRL --- */

static bool spec_ctrl_virtual(const struct vcpu *v)
{
	return v->vmx.non_root && vmx_on(&v->vmx, PROC3_VIRTUALIZE_IA32_SPEC_CTRL);
}

u64 vmx_spec_ctrl_read(const struct vcpu *v)
{
	return spec_ctrl_virtual(v) ? v->vmx.vmcs.ctl.spec_ctrl_shadow : v->spec_ctrl;
}

u64 vmx_spec_ctrl_write(struct vcpu *v, u64 value)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;

	if (!spec_ctrl_virtual(v))
		return value;
	c->spec_ctrl_shadow = value;
	return (value & ~c->spec_ctrl_mask) | (v->spec_ctrl & c->spec_ctrl_mask);
}

/* --- time --- */

u64 vmx_guest_tsc(const struct vcpu *v, u64 tsc)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	if (!vmx_on(&v->vmx, PROC_USE_TSC_OFFSETTING))
		return tsc;
	if (vmx_on(&v->vmx, PROC2_USE_TSC_SCALING))
		tsc = (u64)((u128)tsc * c->tsc_multiplier >> 48);
	return tsc + c->tsc_offset;
}

u64 vmx_guest_to_host_ticks(const struct vcpu *v, u64 ticks)
{
	u64 multiplier = v->vmx.vmcs.ctl.tsc_multiplier;
	u128 host;

	if (!vmx_on(&v->vmx, PROC_USE_TSC_OFFSETTING) || !vmx_on(&v->vmx, PROC2_USE_TSC_SCALING))
		return ticks;
	host = ((u128)ticks << 48) / multiplier;
	return host >> 64 ? UINT64_MAX : (u64)host;
}
