/*
 * Attribute checks before an instruction runs; see check.c.
 */
#ifndef CPU_CHECK_H
#define CPU_CHECK_H

#include "cpu/cpu.h"

/* The attributes that need insn_check in the present mode; kept in v->attr_trap. */
u32 attr_trap_now(const struct vcpu *v);
/* 0, or EXEC_FAULT with the exception raised. */
int insn_check(struct vcpu *v, const struct insn *i);

#endif
