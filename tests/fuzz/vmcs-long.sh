#!/bin/sh
# A million mutations of VMCSs near the line between valid and invalid, under AddressSanitizer and
# UndefinedBehaviorSanitizer; see tests/unit/test_vmx_mutations.c. COUNT and SEED can be set.
${MAKE:-make} -s --no-print-directory MODE=asan build/asan/unit || exit 1
VMX_MUTATIONS=${COUNT:-1000000} VMX_SEED=${SEED:-1} build/asan/unit vmx_mutations_suite
