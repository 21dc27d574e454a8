/*
 * Names of basic exit reasons and texts of VM-instruction errors.
 */
#include "base/bits.h"
#include "vmx/exit_reasons.h"

const char *exit_reason_name(u32 reason)
{
	static const char *const names[] = {
#define E(number, name, raised) [number] = #name,
#include "vmx/exit_reasons.def"
	};
	u16 basic = (u16)reason;

	return basic < ARRAY_SIZE(names) ? names[basic] : NULL;
}

const char *instruction_error_text(unsigned error)
{
	static const char *const texts[] = {
#define N(number, name, text) [number] = text,
#include "vmx/instruction_errors.def"
	};

	return error < ARRAY_SIZE(texts) ? texts[error] : NULL;
}
