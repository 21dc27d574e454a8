/*
 * ENDBR32, ENDBR64. SDM Vol. 2.
 */
#include "cpu/cet.h"
#include "cpu/insn_protos.h"

static int endbranch(struct vcpu *v, bool here)
{
	if (here && endbranch_on(v, v->cpl))
		*cet_controls(v, v->cpl) &= ~(CET_TRACKER | CET_SUPPRESS);
	return EXEC_NEXT;
}

int x_endbr64(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return endbranch(v, v->mode == MODE_64);
}

int x_endbr32(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return endbranch(v, v->mode != MODE_64);
}
