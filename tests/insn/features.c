/*
 * Which features of features.def the processor under us has. On other architectures: none.
 */
#include "tests/insn/hostcmp.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <string.h>
#include <sys/auxv.h>

#define HWCAP2_FSGSBASE_BIT 2

enum { EAX, EBX, ECX, EDX };

bool host_has(enum feature f)
{
	static const struct {
		u32 leaf, sub;
		u8 reg, bit;
	} at[] = {
		[FEAT_ALWAYS] = {0, 0, 0, 0},
#define FEAT(id, name, leaf, sub, reg, bit, models) [FEAT_##id] = {leaf, sub, reg, bit},
#include "cpu/features.def"
	};
	u32 r[4] = {0};

	if (f == FEAT_ALWAYS)
		return true;
	__get_cpuid_count(at[f].leaf, at[f].sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX]);
	return r[at[f].reg] >> at[f].bit & 1;
}

bool host_is_intel(void)
{
	u32 a, name[3] = {0};

	__get_cpuid(0, &a, &name[0], &name[2], &name[1]);
	return !memcmp(name, "GenuineIntel", sizeof(name));
}

bool host_fsgsbase(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
}

#else

bool host_has(enum feature f)
{
	(void)f;
	return false;
}

bool host_is_intel(void)
{
	return false;
}

bool host_fsgsbase(void)
{
	return false;
}

#endif
