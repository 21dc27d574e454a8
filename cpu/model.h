/*
 * CPU models: what -cpu NAME,+f,-f,f=on|off makes of features.def and models.def.
 */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include <stdio.h>

#include "cpu/cpu.h"

/* Builds the model. vmx is storage for what the argument takes away from VMX; the model points at
 * it. False: one line in err that names the nearest name for a wrong one. */
bool cpu_model_parse(struct cpu_model *m, struct vmx_model_mask *vmx, const char *arg, char *err,
		     size_t errlen);
/* For `-cpu help`. */
void cpu_model_list(FILE *out);
/* The features that are on, as one line "name,+f,+f...", for --dump-config. */
void cpu_model_print(const struct cpu_model *m, FILE *out);
const char *cpu_feature_name(enum feature f);

#endif
