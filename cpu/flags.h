/*
 * Lazy arithmetic flags. Every ALU operation leaves two words, whatever its kind or size:
 *   fl_res  the result, sign-extended to 64 bits
 *   fl_aux  bit 63 CF; bit 62 CF xor OF; bit 3 AF; bits 15:8 xor-ed into the parity byte;
 *	     bit 0 xor-ed into SF
 * ZF = fl_res == 0, SF = sign(fl_res) ^ aux[0], PF = parity of (fl_res ^ aux >> 8) & FFh. The extra
 * words exist so that any combination (POPF, shifts) can be stored. Bits 7:4,2:1 and 61:16 are zero.
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/vcpu.h"

#define AUX_CF (1ull << 63)
#define AUX_PO (1ull << 62)
#define AUX_AF 8ull

/* Carry-out vector of a + b = r (or a - b with borrow) to fl_aux form; n bits. */
static inline u64 flags_aux(u64 carries, unsigned n)
{
	return ((carries << (64 - n)) & (AUX_CF | AUX_PO)) | (carries & AUX_AF);
}

static inline bool flag_c(const struct vcpu *v)
{
	return v->fl_aux >> 63;
}
static inline bool flag_z(const struct vcpu *v)
{
	return v->fl_res == 0;
}
static inline bool flag_s(const struct vcpu *v)
{
	return (v->fl_res >> 63) ^ (v->fl_aux & 1);
}
static inline bool flag_o(const struct vcpu *v)
{
	return ((v->fl_aux >> 63) ^ (v->fl_aux >> 62)) & 1;
}
static inline bool flag_a(const struct vcpu *v)
{
	return v->fl_aux >> 3 & 1;
}
static inline bool flag_p(const struct vcpu *v)
{
	return !__builtin_parity((unsigned)((v->fl_res ^ v->fl_aux >> 8) & 0xff));
}

/* The six arithmetic flags in their RFLAGS positions. */
static inline u64 flags_arith(const struct vcpu *v)
{
	return (flag_c(v) ? RFLAGS_CF : 0) | (flag_p(v) ? RFLAGS_PF : 0) |
	       (flag_a(v) ? RFLAGS_AF : 0) | (flag_z(v) ? RFLAGS_ZF : 0) |
	       (flag_s(v) ? RFLAGS_SF : 0) | (flag_o(v) ? RFLAGS_OF : 0);
}

/* Stores six arithmetic flags given in RFLAGS positions; other bits of f are ignored. */
static inline void flags_set_arith(struct vcpu *v, u64 f)
{
	bool z = f & RFLAGS_ZF, s = f & RFLAGS_SF, p = f & RFLAGS_PF, c = f & RFLAGS_CF;
	bool o = f & RFLAGS_OF;

	v->fl_res = z ? 0 : 1;
	/* res is 0 or 1: its sign is 0; its parity is even for 0, odd for 1 */
	v->fl_aux = (c ? AUX_CF : 0) | (c != o ? AUX_PO : 0) | (f & RFLAGS_AF ? AUX_AF : 0) |
		    (s ? 1 : 0) | (p == z ? 0 : 0x100);
}

/* Whole RFLAGS, and storing it whole (no permission logic). */
static inline u64 flags_get(const struct vcpu *v)
{
	return v->rflags | flags_arith(v) | RFLAGS_FIXED;
}

static inline void flags_set(struct vcpu *v, u64 f)
{
	v->rflags = (f & ~RFLAGS_ARITH) | RFLAGS_FIXED;
	flags_set_arith(v, f);
}

#endif
