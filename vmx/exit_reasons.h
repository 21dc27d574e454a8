/*
 * Basic exit reasons and VM-instruction errors as numbers and names; the lists stand in
 * exit_reasons.def and instruction_errors.def.
 */
#ifndef VMX_EXIT_REASONS_H
#define VMX_EXIT_REASONS_H

#include "base/types.h"

enum exit_reason {
#define E(number, name, raised) EXIT_REASON_##name = number,
#include "vmx/exit_reasons.def"
	EXIT_REASONS
};

#define EXIT_REASON_PENDING_MTF 0x10000000u
#define EXIT_REASON_ENTRY_FAILURE 0x80000000u

enum vmx_error {
#define N(number, name, text) VMX_ERROR_##name = number,
#include "vmx/instruction_errors.def"
};

/* Name of the basic reason in bits 15:0, or NULL. */
const char *exit_reason_name(u32 reason);
const char *instruction_error_text(unsigned error);

#endif
