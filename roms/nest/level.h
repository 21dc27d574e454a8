/*
 * One level of the tower: everything that nest knows, in one structure. Every level has its own, at
 * the same address of its own memory. The files and what each offers to the others are declared
 * below it.
 */
#ifndef NEST_LEVEL_H
#define NEST_LEVEL_H

#include "vmx.h"

#define MAX_DEPTH 12
#define PAGE_2M BIT(21)

/* A level keeps its first 2 MiB for itself and gives all memory above to its guest, which sees it
 * from 0. */
#define GUEST_BASE PAGE_2M

#define OPTION_CLOCK BIT(0)	   /* clock=1: measure and print ticks */
#define OPTION_NO_SHADOWING BIT(1) /* shadow=0: do as if there were no VMCS shadowing */

#define MAX_REGIONS 64
#define POOL_PAGES 144
#define VMCS_REVISION 0x6e657374u

/* CPUID: a guest of nest finds "nest" three times over in EBX, ECX and EDX. */
#define CPUID_HYPERVISOR_LEAF 0x40000000
#define CPUID_SIGNATURE 0x7473656e
#define CPUID_1_ECX_VMX BIT(5)
#define CPUID_1_ECX_HYPERVISOR BIT(31)

/* Order of a field in vmcs.def: its index in struct vmcs12. */
enum vmcs_slot {
#define VMCS_FIELD(name, encoding, role) SLOT_##name,
#include "vmcs.def"
	SLOT_COUNT
};

#define SLOT_WORDS 2
_Static_assert(SLOT_COUNT <= 64 * SLOT_WORDS, "one bit for each VMCS field");

/* A VMCS of our guest: what the guest put into it (VMCS12), and what stands for it here. */
struct vmcs12 {
	bool used;
	u64 region;	/* where the guest keeps it (guest-physical) */
	bool is_shadow; /* guest made it a shadow VMCS: all of its fields are in shadow_region */
	bool launched;	/* launch state as the guest sees it */
	bool vmcs02_launched; /* launch state of vmcs02 */
	bool checked;	      /* controls and host state are valid, and unchanged since */
	bool shadowing;	      /* guest lets its own guest use a shadow VMCS */
	u64 shadow_region;    /* shadow VMCS that serves the guest's VMREAD and VMWRITE; 0: none */
	u64 vmcs02;	      /* the VMCS that runs the guest's guest; 0: not yet */
	u64 ept02;	      /* its EPT: guest's EPT composed with ours; 0: not yet */
	u64 field[SLOT_COUNT];
	u64 valid[SLOT_WORDS]; /* field[] is current; otherwise vmcs02 has the value */
	u64 dirty[SLOT_WORDS]; /* field[] was written and has not gone into vmcs02 */
};

/* Capability MSRs: those of our processor, or those of the processor that we are to our guest. */
struct vmx_capabilities {
	u64 basic, misc, cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1, vmcs_enum, ept_vpid;
	/* low half: bits that must be 1, high half: bits that may be 1 */
	u64 pin, primary, secondary, exit, entry;
};

struct level_report {
	u32 handled[EXIT_REASON_COUNT];	  /* exits that this level answered itself */
	u32 passed_on[EXIT_REASON_COUNT]; /* exits of deeper levels that its guest wanted */
	u64 ticks;			  /* TSC ticks that one CPUID costs here */
	u64 answer;			  /* innermost level only */
	bool innermost, right;
};

struct level {
	u64 gpr[16];	/* guest's, in the order of their encodings; entry.S wants them first */
	u32 number;	/* 1 on the bare machine */
	u32 depth;	/* number of the innermost level */
	u64 options;	/* OPTION_ bits, the same for all levels */
	u64 memory_end; /* of this level's memory */
	u64 start;	/* TSC at the start */

	/* as a hypervisor */
	struct vmx_capabilities has;
	u64 pin, primary, secondary, exit, entry; /* our controls for a guest */
	bool shadowing;				  /* the processor has VMCS shadowing */
	u64 vmcs01;				  /* region of the VMCS that runs our guest */
	bool vmcs01_launched;
	u64 loaded;	   /* region of the current VMCS */
	u64 ept01;	   /* EPT of our guest */
	u64 shadow_bitmap; /* page of the VMREAD bitmap, which is the VMWRITE bitmap too */
	u32 vpids;	   /* VPIDs given out */

	/* as a processor with VMX for the guest */
	struct vmx_capabilities offered;
	u64 feature_control;
	u64 guest_cr4;	       /* CR4 as the guest sees it */
	u8 guest_line_control; /* of its serial port */
	u64 vmxon_region;      /* NO_VMCS: guest is not in VMX operation */
	struct vmcs12 *current;
	struct vmcs12 *running;	    /* the guest's guest runs, in this one; NULL: the guest does */
	struct vmcs12 *host_loaded; /* its host state is what vmcs01 holds as guest state */
	struct vmcs12 region[MAX_REGIONS];

	/* tables.c */
	u64 gdt[5];
	u8 tss[104];
	u64 idt[32][2];

	/* report.c, serial.c */
	struct level_report report[MAX_DEPTH + 1];
	u32 line_length;
	char line[128];

	/* ept.c */
	u32 pool_used;
	u8 pool[POOL_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
};

/* What a guest may ask of nest with VMCALL: number in RAX, arguments in RDI and RSI. */
enum hypercall {
	HYPERCALL_PRINT = 1, /* RDI: physical address of a text, RSI: its length */
	HYPERCALL_REPORT,    /* RDI: physical address of the caller's struct level_report array */
};

/* boot.S, entry.S */
extern struct level the_level;
extern const u8 image_start[], image_end[], page_tables_start[], page_tables_end[], guest_start[];
extern const u8 exception_stubs[];
extern u8 stack_top[];
void vm_exit(void);
_Noreturn void vm_launch(struct level *l);

/* main.c */
_Noreturn void nest_main(u64 number, u64 argument, u64 memory_end);
_Noreturn void level_finish(struct level *l);

/* tables.c */
void tables_init(struct level *l);
_Noreturn void exception(struct level *l, u64 vector, u64 error_code, u64 rip);

/* serial.c */
void serial_init(void);
void serial_drain(void);
void print_char(struct level *l, char c);
void print(struct level *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void fatal(struct level *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
_Noreturn void fail(struct level *l, u8 value);
u64 hypercall(enum hypercall number, u64 a, u64 b);

/* What an exit leaves in the VMCS, by reason: see exit_reasons.def. */
enum exit_information {
	HAS_QUALIFICATION = 1,
	HAS_LENGTH = 2,
	HAS_INFORMATION = 4,
	HAS_ADDRESSES = 8,
	HAS_EVENT = 16,
	HAS_VECTORING = 32,
};

/* report.c */
u32 exit_reason_information(u64 reason);
const char *exit_reason_name(u64 reason);
void count_exit(u32 *counts, u64 reason);
void report_take(struct level *l, u64 from);
void report_print(struct level *l);

/* compute.c */
u64 compute_primes(void);
bool compute_is_right(u64 answer);

/* mem.c */
void *guest_pointer(struct level *l, u64 address, u64 size);
bool guest_read_linear(struct level *l, u64 linear, void *to, u64 size);
bool guest_write_linear(struct level *l, u64 linear, const void *from, u64 size);
u64 page_alloc(struct level *l);

/* ept.c */
struct ept_walk {
	u64 address;  /* translation */
	u64 rights;   /* BIT(0) read, BIT(1) write, BIT(2) execute */
	u64 size;     /* of the page */
	bool present; /* false: violation */
	bool valid;   /* false: misconfiguration */
};
u64 ept_pointer(struct level *l, u64 root);
struct ept_walk ept_walk_guest(struct level *l, u64 eptp, u64 address);
void ept_map(struct level *l, u64 root, u64 from, u64 to, u64 size, u64 rights);
void ept_clear(u64 table, int shift);
u64 ept_page_size(struct level *l);
bool ept_fill(struct level *l, u64 address);
bool ept_compose(struct level *l, u64 ept02, u64 address, const struct ept_walk *walk);

/* vmx.c */
void vmx_capabilities_read(struct level *l);
_Noreturn void vmx_start(struct level *l);
void vmx_stop(struct level *l);
void vmcs_load(struct level *l, u64 region);
u64 vmcs_region_create(struct level *l, u64 indicator);
void vmcs_set_flat_segments(struct level *l, u64 cs, u64 data, u64 tr);
void vmcs_set_quiet_state(struct level *l);
void vmcs_set_host_and_controls(struct level *l);
void vmx_invalidate_ept(struct level *l, u64 eptp);
void vmx_invalidate_vpids(struct level *l);
_Noreturn void vmcs_field_failed(struct level *l, u64 field, const char *instruction);

static inline u64 vmcs_get(struct level *l, enum vmcs_field field)
{
	u64 value;

	if (!vmread(field, &value))
		vmcs_field_failed(l, field, "VMREAD");
	return value;
}

static inline void vmcs_set(struct level *l, enum vmcs_field field, u64 value)
{
	if (!vmwrite(field, value))
		vmcs_field_failed(l, field, "VMWRITE");
}

/* exit.c */
bool exit_handle(struct level *l);
bool entry_failed(struct level *l, u64 rflags);
void skip_instruction(struct level *l);
u64 guest_register(struct level *l, u64 number);
void guest_register_set(struct level *l, u64 number, u64 value);
void inject_exception(struct level *l, u32 vector, bool has_error_code);

/* capabilities.c */
void capabilities_offer(struct level *l);
bool capabilities_msr(struct level *l, u32 msr, u64 *value);
bool controls_allowed(u64 capability, u64 value);

/* nested.c, nested_insn.c */
void nested_instruction(struct level *l, u64 reason);
void nested_exit(struct level *l, u64 reason);
void nested_enter(struct level *l, struct vmcs12 *v);
void nested_entry_failed(struct level *l, u64 error);

/* vmcs12.c */
struct vmcs12 *vmcs12_find(struct level *l, u64 region);
int vmcs_slot(u64 field);
void vmcs12_shadow_bitmap_build(struct level *l);
bool vmcs_slot_is_host(int slot);
u64 vmcs12_read(struct level *l, struct vmcs12 *v, int slot);
void vmcs12_write(struct level *l, struct vmcs12 *v, int slot, u64 value);
void vmcs12_take_shadow(struct level *l, struct vmcs12 *v);
void vmcs12_flush(struct level *l, struct vmcs12 *v);
void vmcs12_record_exit(struct level *l, struct vmcs12 *v, u64 reason);
void vmcs12_publish_exit(struct level *l, struct vmcs12 *v);
void vm_succeed(struct level *l);
void vm_fail(struct level *l, u64 error);

#endif
