/*
 * The names of the SDM for VMX: capability MSRs, controls, fields, exit reasons; and the VMX
 * instructions. SDM vol. 3, chapters "Virtual-Machine Control Structures" and "VMX Instruction
 * Reference", appendices "VMX Capability Reporting Facility", "Field Encoding in VMCS", "VMX Basic
 * Exit Reasons".
 */
#ifndef NEST_VMX_H
#define NEST_VMX_H

#include "cpu.h"

enum msr {
	IA32_FEATURE_CONTROL = 0x3a,
	IA32_VMX_BASIC = 0x480,
	IA32_VMX_PINBASED_CTLS = 0x481,
	IA32_VMX_PROCBASED_CTLS = 0x482,
	IA32_VMX_EXIT_CTLS = 0x483,
	IA32_VMX_ENTRY_CTLS = 0x484,
	IA32_VMX_MISC = 0x485,
	IA32_VMX_CR0_FIXED0 = 0x486,
	IA32_VMX_CR0_FIXED1 = 0x487,
	IA32_VMX_CR4_FIXED0 = 0x488,
	IA32_VMX_CR4_FIXED1 = 0x489,
	IA32_VMX_VMCS_ENUM = 0x48a,
	IA32_VMX_PROCBASED_CTLS2 = 0x48b,
	IA32_VMX_EPT_VPID_CAP = 0x48c,
	IA32_VMX_TRUE_PINBASED_CTLS = 0x48d,
	IA32_VMX_TRUE_PROCBASED_CTLS = 0x48e,
	IA32_VMX_TRUE_EXIT_CTLS = 0x48f,
	IA32_VMX_TRUE_ENTRY_CTLS = 0x490,
	IA32_EFER = 0xc0000080,
};

#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMX_OUTSIDE_SMX BIT(2)

#define BASIC_MEMORY_TYPE_SHIFT 50
#define BASIC_REGION_SIZE_SHIFT 32
#define BASIC_TRUE_CONTROLS BIT(55)
#define MISC_VMWRITE_ANY_FIELD BIT(29)

#define PRIMARY_HLT_EXITING BIT(7)
#define PRIMARY_UNCONDITIONAL_IO_EXITING BIT(24)
#define PRIMARY_ACTIVATE_SECONDARY_CONTROLS BIT(31)
#define SECONDARY_ENABLE_EPT BIT(1)
#define SECONDARY_ENABLE_VPID BIT(5)
#define SECONDARY_VMCS_SHADOWING BIT(14)
#define EXIT_HOST_ADDRESS_SPACE_SIZE BIT(9)
#define ENTRY_IA32E_MODE_GUEST BIT(9)

/* The bits that are 1 in every control word of a first-generation processor (SDM: "default1
 * class"). */
#define DEFAULT1_PIN 0x16u
#define DEFAULT1_PRIMARY 0x0401e172u
#define DEFAULT1_EXIT 0x36dffu
#define DEFAULT1_ENTRY 0x11ffu
#define TRUE_DEFAULT1_PRIMARY 0x04006172u
#define TRUE_DEFAULT1_EXIT 0x36dfbu
#define TRUE_DEFAULT1_ENTRY 0x11fbu

#define EPT_CAP_4_LEVELS BIT(6)
#define EPT_CAP_WRITE_BACK BIT(14)
#define EPT_CAP_2M_PAGES BIT(16)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define EPT_CAP_INVEPT_ALL BIT(26)
#define EPT_CAP_INVVPID BIT(32)
#define EPT_CAP_INVVPID_SINGLE BIT(41)
#define EPT_CAP_INVVPID_ALL BIT(42)

#define SHADOW_VMCS_INDICATOR BIT(31)
#define NO_VMCS (~0ull)
#define ACCESS_RIGHTS_UNUSABLE 0x10000u
#define EXIT_REASON_ENTRY_FAILURE BIT(31)

enum vmcs_field {
#define VMCS_FIELD(name, encoding, role) name = (encoding),
#include "vmcs.def"
};

enum exit_reason {
#define EXIT_REASON(number, name, text, information) EXIT_##name = (number),
#include "exit_reasons.def"
	EXIT_REASON_COUNT = 64
};

enum vm_instruction_error {
	ERROR_VMCLEAR_ADDRESS = 2,
	ERROR_VMCLEAR_VMXON_POINTER = 3,
	ERROR_VMLAUNCH_NOT_CLEAR = 4,
	ERROR_VMRESUME_NOT_LAUNCHED = 5,
	ERROR_ENTRY_CONTROLS = 7,
	ERROR_ENTRY_HOST_STATE = 8,
	ERROR_VMPTRLD_ADDRESS = 9,
	ERROR_VMPTRLD_VMXON_POINTER = 10,
	ERROR_VMPTRLD_REVISION = 11,
	ERROR_UNSUPPORTED_FIELD = 12,
	ERROR_VMXON_IN_ROOT = 15,
	ERROR_INVALIDATION_OPERAND = 28,
};

/*
 * The VMX instructions. Each returns whether it succeeded (CF = ZF = 0: VMsucceed).
 * Memory operands are given as one base register, the form that is the easiest for the level below
 * to decode.
 */
static inline bool vmxon(u64 region)
{
	bool ok;

	__asm__ volatile("vmxon (%1)" : "=@cca"(ok) : "r"(&region), "m"(region) : "memory");
	return ok;
}

static inline void vmxoff(void)
{
	__asm__ volatile("vmxoff" : : : "memory", "cc");
}

static inline bool vmclear(u64 region)
{
	bool ok;

	__asm__ volatile("vmclear (%1)" : "=@cca"(ok) : "r"(&region), "m"(region) : "memory");
	return ok;
}

static inline bool vmptrld(u64 region)
{
	bool ok;

	__asm__ volatile("vmptrld (%1)" : "=@cca"(ok) : "r"(&region), "m"(region) : "memory");
	return ok;
}

static inline bool vmread(u64 field, u64 *value)
{
	bool ok;

	__asm__ volatile("vmread %2, %1" : "=@cca"(ok), "=r"(*value) : "r"(field));
	return ok;
}

static inline bool vmwrite(u64 field, u64 value)
{
	bool ok;

	__asm__ volatile("vmwrite %1, %2" : "=@cca"(ok) : "r"(value), "r"(field) : "memory");
	return ok;
}

static inline bool invept(u64 type, u64 ept_pointer)
{
	u64 descriptor[2] = {ept_pointer, 0};
	bool ok;

	__asm__ volatile("invept (%1), %2"
			 : "=@cca"(ok)
			 : "r"(descriptor), "r"(type), "m"(descriptor)
			 : "memory");
	return ok;
}

static inline bool invvpid(u64 type, u64 vpid)
{
	u64 descriptor[2] = {vpid, 0};
	bool ok;

	__asm__ volatile("invvpid (%1), %2"
			 : "=@cca"(ok)
			 : "r"(descriptor), "r"(type), "m"(descriptor)
			 : "memory");
	return ok;
}

/* The type operand of INVEPT and INVVPID. */
enum invalidation {
	INVALIDATE_SINGLE = 1,
	INVALIDATE_ALL = 2,
};

#endif
