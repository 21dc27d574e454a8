/*
 * The virtual-machine control structure: field encodings, the host-side copy, and access to any
 * field by its encoding. The fields stand once, in vmcs_fields.def. The memory format of a VMCS is
 * implementation-specific (SDM Vol. 3, "Format of the VMCS Region"); ours is in vmcs.c.
 */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

#include <stdio.h>

#include "base/bits.h"
#include "base/types.h"

enum vmcs_field {
#define F(enc, name, member, when, print) VMCS_##name = enc,
#include "vmx/vmcs_fields.def"
};

/* SDM Vol. 3, "Structure of VMCS Component Encoding". */
#define VMCS_IS_HIGH(enc) ((enc)&1)
#define VMCS_INDEX(enc) ((enc) >> 1 & 0x1ff)
#define VMCS_TYPE(enc) ((enc) >> 10 & 3)
#define VMCS_WIDTH(enc) ((enc) >> 13 & 3)
#define VMCS_BYTES(enc)                                                                            \
	(VMCS_WIDTH(enc) == VMCS_WIDTH_16 ? 2 : VMCS_WIDTH(enc) == VMCS_WIDTH_32 ? 4 : 8)

enum { VMCS_CONTROL, VMCS_READ_ONLY, VMCS_GUEST, VMCS_HOST };
enum { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };

/* Segment registers in the order of their encodings. */
enum vmcs_segment_index {
	VMCS_ES,
	VMCS_CS,
	VMCS_SS,
	VMCS_DS,
	VMCS_FS,
	VMCS_GS,
	VMCS_LDTR,
	VMCS_TR,
	VMCS_SEGMENTS
};

struct vmcs_segment {
	u64 base;
	u32 limit;
	u32 ar;
	u16 selector;
};

struct vmcs_control {
	u32 pin, proc, proc2, exit, entry;
	u64 proc3, exit2;
	u32 exception_bitmap, pf_mask, pf_match;
	u32 cr3_target_count;
	u32 exit_msr_store_count, exit_msr_load_count, entry_msr_load_count;
	u32 entry_interruption_info, entry_error_code, entry_instruction_length;
	u32 tpr_threshold;
	u32 ple_gap, ple_window, notify_window;
	u16 vpid, posted_vector, eptp_index;
	u16 hlat_prefix_size, last_pid_index, virtual_timer_vector;
	u64 io_bitmap_a, io_bitmap_b, msr_bitmaps;
	u64 exit_msr_store_address, exit_msr_load_address, entry_msr_load_address;
	u64 executive_vmcs;
	u64 tsc_offset, tsc_multiplier;
	u64 virtual_apic, apic_access;
	u64 eptp;
	u64 vmread_bitmap, vmwrite_bitmap;
	u64 xss_exiting;
	u64 cr0_mask, cr4_mask, cr0_shadow, cr4_shadow;
	u64 cr3_target[4];
	u64 pml_address, posted_descriptor, vm_functions, eptp_list, ve_information, spptp;
	u64 eoi_exit_bitmap[4];
	u64 hlatp, pid_table;
	u64 spec_ctrl_mask, spec_ctrl_shadow, deadline_shadow;
};

struct vmcs_guest {
	u64 cr0, cr3, cr4;
	u64 rip, rsp, rflags;
	u64 dr7, debugctl, pending_debug;
	u64 pat, efer, perf_global_ctrl;
	struct vmcs_segment seg[VMCS_SEGMENTS];
	u64 gdtr_base, idtr_base;
	u32 gdtr_limit, idtr_limit;
	u64 sysenter_esp, sysenter_eip;
	u32 sysenter_cs;
	u32 interruptibility, activity, smbase, preemption_timer;
	u64 link_pointer;
	u64 pdpte[4];
	u16 interrupt_status, pml_index;
	u64 pkrs, spec_ctrl, deadline;
	u64 s_cet, ssp, interrupt_ssp_table;
};

struct vmcs_host {
	u64 cr0, cr3, cr4;
	u64 rip, rsp;
	u64 pat, efer, perf_global_ctrl;
	u64 fs_base, gs_base, tr_base, gdtr_base, idtr_base;
	u64 sysenter_esp, sysenter_eip;
	u32 sysenter_cs;
	u16 es_selector, cs_selector, ss_selector, ds_selector, fs_selector, gs_selector,
		tr_selector;
	u64 pkrs, spec_ctrl;
	u64 s_cet, ssp, interrupt_ssp_table;
};

struct vmcs_info {
	u32 exit_reason, instruction_error;
	u32 interruption_info, interruption_error_code;
	u32 idt_vectoring_info, idt_vectoring_error_code;
	u32 instruction_length, instruction_info;
	u64 qualification, guest_linear_address, guest_physical_address;
	u64 io_rcx, io_rsi, io_rdi, io_rip;
	u64 msr_data;
};

struct vmcs {
	struct vmcs_control ctl;
	struct vmcs_guest guest;
	struct vmcs_host host;
	struct vmcs_info info;
};

/* Groups of fields whose checks are skipped at VM entry while no VMWRITE touched them. */
enum vmcs_group {
	VMCS_DIRTY_CONTROLS = 1,
	VMCS_DIRTY_HOST = 2,
	VMCS_DIRTY_GUEST = 4,	 /* other guest registers, and non-register state */
	VMCS_DIRTY_SEGMENTS = 8, /* guest segment registers */
	VMCS_DIRTY_INJECTION = 16,
	VMCS_DIRTY_ALL = 31,
};

struct vmx_caps;
struct physmem;

/* VM-instruction error 0 (done), 12 or 13. The full 64 bits of `enc` count. `group` receives the
 * dirty group of the field written and may be NULL. */
unsigned vmcs_read(const struct vmx_caps *caps, const struct vmcs *vmcs, u64 enc, u64 *value);
unsigned vmcs_write(const struct vmx_caps *caps, struct vmcs *vmcs, u64 enc, u64 value,
		    unsigned *group);

/* The field's value, whether the processor has the field or not; 0 for an encoding without a row. */
u64 vmcs_field_value(const struct vmcs *vmcs, u32 enc);
/* SDM name of the field with this encoding (either half), or NULL. */
const char *vmcs_field_name(u32 enc);
unsigned vmcs_field_count(void);
/* Encoding of the row-th field of the table, 0 <= row < vmcs_field_count(). */
u32 vmcs_field_encoding(unsigned row);
void vmcs_print(const struct vmx_caps *caps, const struct vmcs *vmcs, FILE *out);

/* The head of a VMCS region in guest memory. */
#define VMCS_REGION_BYTES 4096
#define VMCS_SHADOW_INDICATOR 0x80000000u
enum vmcs_launch_state { VMCS_CLEAR, VMCS_LAUNCHED = 0x4c41554e };

u32 vmcs_region_revision(struct physmem *mem, u64 ptr);
void vmcs_region_set_abort(struct physmem *mem, u64 ptr, u32 indicator);
void vmcs_region_set_clear(struct physmem *mem, u64 ptr);
/* Copies between a region and the host structure. What lies outside RAM reads as ones. */
void vmcs_region_load(struct physmem *mem, u64 ptr, struct vmcs *vmcs, bool *launched);
void vmcs_region_store(struct physmem *mem, u64 ptr, const struct vmcs *vmcs, bool launched);

#endif
