/*
 * The ALU operations in the order of their opcodes, with their effect on the lazy flags.
 */
#ifndef CPU_ALU_H
#define CPU_ALU_H

#include "cpu/vcpu.h"

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };

/* n-bit result of a op b (n = 8, 16, 32, 64); sets all six flags. */
u64 alu_op(struct vcpu *v, unsigned op, unsigned n, u64 a, u64 b);

#endif
