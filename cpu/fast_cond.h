/*
 * The sixteen conditions on the lazy flags, in the order of their encoding.
 */
#ifndef CPU_FAST_COND_H
#define CPU_FAST_COND_H

#include "cpu/flags.h"

#define FOR_ALL_COND(X)                                                                            \
	X(o) X(no) X(b) X(ae) X(e) X(ne) X(be) X(a) X(s) X(ns) X(p) X(np) X(l) X(ge) X(le) X(g)

#define COND_o flag_o(c)
#define COND_no !flag_o(c)
#define COND_b flag_c(c)
#define COND_ae !flag_c(c)
#define COND_e flag_z(c)
#define COND_ne !flag_z(c)
#define COND_be (flag_c(c) || flag_z(c))
#define COND_a !(flag_c(c) || flag_z(c))
#define COND_s flag_s(c)
#define COND_ns !flag_s(c)
#define COND_p flag_p(c)
#define COND_np !flag_p(c)
#define COND_l (flag_s(c) != flag_o(c))
#define COND_ge (flag_s(c) == flag_o(c))
#define COND_le (flag_z(c) || flag_s(c) != flag_o(c))
#define COND_g !(flag_z(c) || flag_s(c) != flag_o(c))

static inline bool condition(const struct vcpu *c, unsigned n)
{
	bool r;

	switch (n >> 1) {
	case 0:
		r = COND_o;
		break;
	case 1:
		r = COND_b;
		break;
	case 2:
		r = COND_e;
		break;
	case 3:
		r = COND_be;
		break;
	case 4:
		r = COND_s;
		break;
	case 5:
		r = COND_p;
		break;
	case 6:
		r = COND_l;
		break;
	default:
		r = COND_le;
		break;
	}
	return r != (n & 1);
}

#endif
