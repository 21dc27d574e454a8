/*
 * state.def as a field table.
 */
#include "cpu/state_table.h"
#include "cpu/vcpu.h"

const struct state_field vcpu_state[] = {
#define S(m) STATE_FIELD(struct vcpu, m),
#define A(m, e) STATE_ARRAY(struct vcpu, m, e),
#define B(m) STATE_BYTES(struct vcpu, m),
#include "cpu/state.def"
	STATE_END,
};
