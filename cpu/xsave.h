/*
 * Layout of the XSAVE area. SDM volume 1, "Managing State Using the XSAVE Feature Set".
 */
#ifndef CPU_XSAVE_H
#define CPU_XSAVE_H

#include "cpu/cpu.h"

#define XSTATE_X87 1ull
#define XSTATE_SSE 2ull
#define XSTATE_AVX 4ull
#define XSTATE_PKRU BIT(9)
#define XSTATE_CET_U BIT(11)
#define XSTATE_CET_S BIT(12)

/* State components that XCR0 may enable on this model. */
u64 xsave_supported(const struct cpu_model *m);
/* Supervisor components, that IA32_XSS may enable. */
u64 xsave_supervisor(const struct cpu_model *m);
/* Bytes of an area for these components, standard or compacted format. */
u32 xsave_size(u64 components, bool compacted);
/* CPUID.0DH subleaf of a component: standard offset, size, flags. */
void xsave_component(unsigned n, u32 *offset, u32 *size, u32 *flags);

#endif
