#!/bin/sh
# Ten thousand random guests under AddressSanitizer and UndefinedBehaviorSanitizer.
cd "$SRCDIR" || exit 1
"$MAKE" MODE=asan CC="$CC" build/asan/fuzz || exit 1
exec build/asan/fuzz -n "${COUNT:-10000}" -s "${SEED:-1}"
