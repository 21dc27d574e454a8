/*
 * Prototypes of all instruction handlers, from the table.
 */
#ifndef CPU_INSN_PROTOS_H
#define CPU_INSN_PROTOS_H

#include "cpu/insn.h"

#define I(map, op, pfx, modrm, name, ops, flags, attr, feat, exec) exec_fn exec;
#include "cpu/insn.def"

#endif
