#!/bin/sh
# Three hundred random guests: no crash, no hang, the same end twice. COUNT and SEED can be set.
exec "$BUILD/fuzz" -n "${COUNT:-300}" -s "${SEED:-1}"
