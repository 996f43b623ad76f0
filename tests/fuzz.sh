#!/bin/sh
# Every fuzz target for a few seconds: parsers of untrusted bytes neither crash nor read past their end.
set -eu
cd "$(dirname "$0")/.."
exec make --no-print-directory -s fuzz FUZZ_SECONDS="${FUZZ_SECONDS:-4}"
