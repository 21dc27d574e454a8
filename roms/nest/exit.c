/*
 * VM exits: the first look at each, and the answers that have nothing to do with nesting.
 * SDM vol. 3, "VM Exits", "Instructions That Cause VM Exits", "Exit Qualification".
 *
 * An exit comes either from our guest (vmcs01 is current) or from its guest (l->running: a vmcs02
 * is current). The second kind goes to nested_exit(), and so do our guest's VMX instructions to
 * nested_instruction().
 * Left out: interrupts (RFLAGS.IF stays 0), exits in the middle of event delivery, blocking by STI
 * and MOV SS. An exit that has no answer here (INS, CLTS, a triple fault ...) ends the run with a
 * line that says which.
 */
#include "level.h"

#define IO_SIZE(q) (((q)&7) + 1)
#define IO_IN BIT(3)
#define IO_STRING BIT(4)
#define COM1_DATA 0x3f8
#define COM1_LINE_CONTROL 0x3fb
#define COM1_LINE_STATUS 0x3fd
#define LINE_CONTROL_DIVISOR_LATCH 0x80
#define LINE_STATUS_EMPTY 0x60
#define EXIT_PORT 0xf4

#define INTERRUPTION_VALID BIT(31)
#define INTERRUPTION_ERROR_CODE BIT(11)
#define INTERRUPTION_HARDWARE_EXCEPTION (3u << 8)
#define VECTOR_GP 13

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

/* A general-purpose register of the guest by the number that instructions and exit qualifications
 * use. */
u64 guest_register(struct level *l, u64 number)
{
	return number == RSP ? vmcs_get(l, GUEST_RSP) : l->gpr[number];
}

void guest_register_set(struct level *l, u64 number, u64 value)
{
	if (number == RSP)
		vmcs_set(l, GUEST_RSP, value);
	else
		l->gpr[number] = value;
}

void skip_instruction(struct level *l)
{
	vmcs_set(l, GUEST_RIP, vmcs_get(l, GUEST_RIP) + vmcs_get(l, EXIT_INSTRUCTION_LENGTH));
}

void inject_exception(struct level *l, u32 vector, bool has_error_code)
{
	vmcs_set(l, ENTRY_INTERRUPTION_INFORMATION,
		 INTERRUPTION_VALID | (has_error_code ? INTERRUPTION_ERROR_CODE : 0) |
			 INTERRUPTION_HARDWARE_EXCEPTION | vector);
	vmcs_set(l, ENTRY_EXCEPTION_ERROR_CODE, 0);
}

static _Noreturn void exit_unexpected(struct level *l, u64 reason)
{
	u32 has = exit_reason_information(reason);

	fatal(l, "exit \"%s\" (0x%lx) of level %u, qualification 0x%lx, RIP 0x%lx, address 0x%lx",
	      exit_reason_name(reason), reason, l->number + 1,
	      has & HAS_QUALIFICATION ? vmcs_get(l, EXIT_QUALIFICATION) : 0, vmcs_get(l, GUEST_RIP),
	      has & HAS_ADDRESSES ? vmcs_get(l, GUEST_PHYSICAL_ADDRESS) : 0);
}

/* Ask our own processor, and be a hypervisor with VMX on offer. From level 2 on this CPUID is an
 * exit again. */
static void exit_cpuid(struct level *l)
{
	u32 leaf = (u32)l->gpr[RAX];
	struct cpuid r = cpuid(leaf, (u32)l->gpr[RCX]);

	if (leaf == 1)
		r.ecx |= CPUID_1_ECX_VMX | CPUID_1_ECX_HYPERVISOR;
	if (leaf == CPUID_HYPERVISOR_LEAF)
		r = (struct cpuid){leaf, CPUID_SIGNATURE, CPUID_SIGNATURE, CPUID_SIGNATURE};
	l->gpr[RAX] = r.eax;
	l->gpr[RBX] = r.ebx;
	l->gpr[RCX] = r.ecx;
	l->gpr[RDX] = r.edx;
	skip_instruction(l);
}

static void exit_rdmsr(struct level *l)
{
	u32 msr = (u32)l->gpr[RCX];
	u64 value;

	if (msr == IA32_FEATURE_CONTROL)
		value = l->feature_control;
	else if (!capabilities_msr(l, msr, &value))
		return inject_exception(l, VECTOR_GP, true);
	l->gpr[RAX] = (u32)value;
	l->gpr[RDX] = value >> 32;
	skip_instruction(l);
}

static void exit_wrmsr(struct level *l)
{
	u64 value = (u32)l->gpr[RAX] | l->gpr[RDX] << 32;
	bool locked = l->feature_control & FEATURE_CONTROL_LOCK;

	if ((u32)l->gpr[RCX] != IA32_FEATURE_CONTROL || locked)
		return inject_exception(l, VECTOR_GP, true);
	l->feature_control = value;
	skip_instruction(l);
}

/* The guest's machine has a serial port that prints, an exit port, and nothing else. */
static void guest_out(struct level *l, u16 port, u8 value)
{
	if (port == EXIT_PORT)
		fail(l, value);
	if (port == COM1_LINE_CONTROL)
		l->guest_line_control = value;
	else if (port == COM1_DATA && !(l->guest_line_control & LINE_CONTROL_DIVISOR_LATCH))
		print_char(l, (char)value);
}

static void exit_io(struct level *l)
{
	u64 qualification = vmcs_get(l, EXIT_QUALIFICATION);
	u16 port = (u16)(qualification >> 16);
	u64 mask = BIT(IO_SIZE(qualification) * 8) - 1;

	if (qualification & IO_STRING)
		exit_unexpected(l, EXIT_IO_INSTRUCTION);
	if (qualification & IO_IN) {
		u64 value = port == COM1_LINE_STATUS ? LINE_STATUS_EMPTY : mask;

		l->gpr[RAX] = mask == 0xffffffff ? value : (l->gpr[RAX] & ~mask) | value;
	} else {
		guest_out(l, port, (u8)l->gpr[RAX]);
	}
	skip_instruction(l);
}

/* Only the writes that change a bit which VMX operation fixes (CR4.VMXE, CR0.NE) come here. */
static void exit_control_register(struct level *l)
{
	u64 qualification = vmcs_get(l, EXIT_QUALIFICATION);
	u32 number = qualification & 15, type = qualification >> 4 & 3;
	u64 gpr = qualification >> 8 & 15;
	u64 value = guest_register(l, gpr);

	if (number == 4 && type == 0) {
		l->guest_cr4 = value;
		vmcs_set(l, CR4_READ_SHADOW, value);
		vmcs_set(l, GUEST_CR4, value | l->has.cr4_fixed0);
	} else if (number == 0 && type == 0) {
		vmcs_set(l, CR0_READ_SHADOW, value);
		vmcs_set(l, GUEST_CR0, value | l->has.cr0_fixed0);
	} else if (number == 3 && type == 0) {
		vmcs_set(l, GUEST_CR3, value);
	} else if (number == 3 && type == 1) {
		guest_register_set(l, gpr, vmcs_get(l, GUEST_CR3));
	} else {
		exit_unexpected(l, EXIT_CONTROL_REGISTER_ACCESS);
	}
	skip_instruction(l);
}

/* A line of our guest goes up to level 1, one VMCALL a level. */
static void exit_vmcall(struct level *l)
{
	u64 size = l->gpr[RSI];
	const char *text;

	switch (l->gpr[RAX]) {
	case HYPERCALL_PRINT:
		text = guest_pointer(l, l->gpr[RDI], size);
		for (u64 i = 0; text && i < size; i++)
			print_char(l, text[i]);
		l->gpr[RAX] = 0;
		break;
	case HYPERCALL_REPORT:
		report_take(l, l->gpr[RDI]);
		l->gpr[RAX] = 0;
		break;
	default:
		l->gpr[RAX] = ~0ull;
	}
	skip_instruction(l);
}

static void exit_ept_violation(struct level *l)
{
	if (!ept_fill(l, vmcs_get(l, GUEST_PHYSICAL_ADDRESS)))
		exit_unexpected(l, EXIT_EPT_VIOLATION);
}

/* An exit of our guest itself. */
static void guest_exit(struct level *l, u64 reason)
{
	switch (reason) {
	case EXIT_CPUID:
		return exit_cpuid(l);
	case EXIT_RDMSR:
		return exit_rdmsr(l);
	case EXIT_WRMSR:
		return exit_wrmsr(l);
	case EXIT_IO_INSTRUCTION:
		return exit_io(l);
	case EXIT_CONTROL_REGISTER_ACCESS:
		return exit_control_register(l);
	case EXIT_VMCALL:
		return exit_vmcall(l);
	case EXIT_EPT_VIOLATION:
		return exit_ept_violation(l);
	case EXIT_HLT: /* no interrupt will ever wake it: it has finished */
		level_finish(l);
	case EXIT_VMCLEAR:
	case EXIT_VMLAUNCH:
	case EXIT_VMPTRLD:
	case EXIT_VMPTRST:
	case EXIT_VMREAD:
	case EXIT_VMRESUME:
	case EXIT_VMWRITE:
	case EXIT_VMXOFF:
	case EXIT_VMXON:
	case EXIT_INVEPT:
	case EXIT_INVVPID:
		return nested_instruction(l, reason);
	default:
		exit_unexpected(l, reason);
	}
}

/* Called by entry.S. The answer says whether the VMCS that is now current is launched. */
bool exit_handle(struct level *l)
{
	u64 reason = vmcs_get(l, EXIT_REASON);

	if (l->running) {
		nested_exit(l, reason);
	} else {
		count_exit(l->report[l->number].handled, reason);
		l->vmcs01_launched = true;
		guest_exit(l, reason);
	}
	return l->running ? l->running->vmcs02_launched : l->vmcs01_launched;
}

/* Called by entry.S when VMLAUNCH or VMRESUME came back: VMfail. */
bool entry_failed(struct level *l, u64 rflags)
{
	u64 error = 0;

	vmread(VM_INSTRUCTION_ERROR, &error);
	if (!l->running)
		fatal(l, "VM entry, flags 0x%lx, instruction error %lu", rflags, error);
	nested_entry_failed(l, error);
	return l->vmcs01_launched;
}
