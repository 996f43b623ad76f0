#!/bin/sh
# Exec functions of the interpreter go on to the next by a jump: a call would use more of the host's
# stack with each instruction of a guest that never stops.
# usage: BUILD=... tests/tail-calls.sh
set -eu
cd "$(dirname "$0")/.."
code=$(mktemp)
trap 'rm -f "$code"' EXIT
# NEXT puts the instruction, which begins with its function, into RSI.
objdump -d --no-show-raw-insn "${BUILD:-build}"/src/engine/soft/interp/*.o |
	awk '/^[0-9a-f]+ </ { name = $2 } /[ \t](call|jmp) +\*\(%rsi\)/ { print name, $2 }' | sort -u >"$code"
jumps=$(grep -c jmp "$code" || true)
if grep call "$code"; then
	echo "these call the next instruction instead of jumping to it"
	exit 1
fi
[ "$jumps" -gt 500 ] || { echo "only $jumps functions jump to the next instruction: is this how they do it?"; exit 1; }
echo "$jumps functions jump to the next instruction"
