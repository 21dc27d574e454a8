/*
 * FMA: the 60 VFMADD, VFMSUB, VFNMADD, VFNMSUB, VFMADDSUB and VFMSUBADD forms in one handler per
 * format. SDM volume 1, "FMA Instruction Operand Order and Arithmetic Behavior".
 */
#include "cpu/fp_vec.h"
#include "cpu/insn_protos.h"

/* Negations of even and odd elements by the opcode's low digit; the odd digits from 9 are scalar. */
static const u8 fma_negate[16][2] = {
	[0x6] = {FP_FMA_NEG_ADDEND, 0}, /* FMADDSUB */
	[0x7] = {0, FP_FMA_NEG_ADDEND}, /* FMSUBADD */
	[0xa] = {FP_FMA_NEG_ADDEND, FP_FMA_NEG_ADDEND},
	[0xb] = {FP_FMA_NEG_ADDEND, 0},
	[0xc] = {FP_FMA_NEG_PRODUCT, FP_FMA_NEG_PRODUCT},
	[0xd] = {FP_FMA_NEG_PRODUCT, 0},
	[0xe] = {FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND, FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND},
	[0xf] = {FP_FMA_NEG_PRODUCT | FP_FMA_NEG_ADDEND, 0},
};

/* Operand order by the opcode's high digit: 9 is 132, A is 213, B is 231. */
#define FMA(bits, lane)                                                                            \
	static inline u##bits fma##bits(struct fp_env *env, u8 opcode, u##bits o1, u##bits o2,     \
					u##bits o3, unsigned negate)                               \
	{                                                                                          \
		switch (opcode >> 4) {                                                             \
		case 0x9:                                                                          \
			return fp##bits##_fma(env, o1, o3, o2, negate);                            \
		case 0xa:                                                                          \
			return fp##bits##_fma(env, o2, o1, o3, negate);                            \
		default:                                                                           \
			return fp##bits##_fma(env, o2, o3, o1, negate);                            \
		}                                                                                  \
	}                                                                                          \
	int x_fma_p##bits(struct vcpu *v, const struct insn *i)                                    \
	{                                                                                          \
		const u8 *negate = fma_negate[i->opcode & 15];                                     \
		struct fp_env env = fp_begin(v);                                                   \
		const union vreg *a = &v->ymm[i->reg], *b = &v->ymm[i->vvvv], *c;                  \
		union vreg buf, r;                                                                 \
		int rc = fp_src(v, i, i->vl, &buf, &c);                                            \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		for (unsigned k = 0; k < i->vl * 8u / bits; k++)                                   \
			r.lane[k] = fma##bits(&env, i->opcode, a->lane[k], b->lane[k], c->lane[k], \
					      negate[k & 1]);                                      \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put(v, i, &r);                                                          \
		return rc;                                                                         \
	}                                                                                          \
	int x_fma_s##bits(struct vcpu *v, const struct insn *i)                                    \
	{                                                                                          \
		const u8 *negate = fma_negate[i->opcode & 15];                                     \
		struct fp_env env = fp_begin(v);                                                   \
		u##bits c, r;                                                                      \
		int rc = fp_src##bits(v, i, &c);                                                   \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		r = fma##bits(&env, i->opcode, v->ymm[i->reg].lane[0], v->ymm[i->vvvv].lane[0], c, \
			      negate[0]);                                                          \
		rc = fp_end(v, &env);                                                              \
		if (rc)                                                                            \
			return rc;                                                                 \
		/* the rest of the 128 bits stays: it is the first source's */                     \
		v->ymm[i->reg].lane[0] = r;                                                        \
		v->ymm[i->reg].q[2] = v->ymm[i->reg].q[3] = 0;                                     \
		return EXEC_NEXT;                                                                  \
	}

FMA(32, d)
FMA(64, q)
