/*
 * The vCPU's architectural state as a field table (base/state.h).
 */
#ifndef CPU_STATE_TABLE_H
#define CPU_STATE_TABLE_H

#include "base/state.h"

extern const struct state_field vcpu_state[];

#endif
