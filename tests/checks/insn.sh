#!/bin/sh
# A million random instruction sequences on this processor and in the interpreter, no difference.
# COUNT, SEED and JOBS can be set.
exec "$BUILD/hostcmp" -n "${COUNT:-1000000}" -s "${SEED:-1}" -j "${JOBS:-$(getconf _NPROCESSORS_ONLN)}"
