#!/bin/bash
# Compares the software engine with the host CPU, in two processes: every instruction on the
# interpreter and on the translator, then random blocks of them. `make check` runs all of it, with few
# blocks; `make check-cpu` only blocks, ten million of another seed each time.
# usage: BUILD=... [BLOCKS=N] [SEED=N] tests/cpu.sh [blocks]
set -u
compare=${BUILD:-build}/tests/cpu/compare
seed=${SEED:-1}
blocks=${BLOCKS:-60000}
start=$SECONDS

if [ "${1:-}" = blocks ]; then
	"$compare" --blocks $((blocks / 2)) --seed "$seed" &
	first=$!
	other=$("$compare" --sites --blocks $((blocks - blocks / 2)) --seed $((seed + 1)))
	status=$?
else
	"$compare" &
	first=$!
	other=$("$compare" --translate && "$compare" --blocks $((blocks / 2)) --seed "$seed" &&
		"$compare" --sites --blocks $((blocks / 2)) --seed $((seed + 1)))
	status=$?
fi
wait "$first" || status=1
echo "$other"
echo "took $((SECONDS - start)) s"
exit "$status"
