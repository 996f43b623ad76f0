#!/bin/bash
# The complete state of a running Debian guest leaves one engine VM and enters another, dozens of
# times from its first instructions to power-off, and the guest does not notice. With KVM that runs
# at hardware speed, every second move is from one engine to the other. Checks the CPU topology on
# the way, which has to survive as well.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
accel=${ACCEL:-soft}
other=${OTHER_ACCEL:-soft}
image=$(kernel cloud-amd64)
initrd=$(initramfs tests/e2e/guest/topology.sh)

# check NAME CPUS TOPOLOGY
check() {
	local log=$work/$1 moves found
	boot 280 "$log" --accel "$accel" -c "$3" -m 256M -o debug.move_every=60 -o debug.move_to="$other" \
		-i "$initrd" -p quiet "$image"
	expect_status 0 "$1"
	grep -q '^=== done' "$log.txt" || { fault "$1: userspace did not finish"; tail -n 30 "$log.txt" "$log.err"; return; }
	moves=$(grep -o 'moved the VM [0-9]* times' "$log.err" | grep -o '[0-9]*')
	[ "${moves:-0}" -ge 10 ] || fault "$1: only ${moves:-0} moves"
	found=$(section "$log" moved | md5sum)
	[ "$found" = "$(i=0; while [ $i -lt 40 ]; do echo "$i" | md5sum | cut -c1-8; i=$((i + 1)); done | md5sum)" ] ||
		fault "$1: the guest computed something else"
	[ "$(section "$log" topology | grep -c '^cpu')" -eq "$2" ] || fault "$1: not $2 CPUs"
	check_dmesg "$log" "$1"
	echo "$1: $moves moves"
}

check one-cpu 1 1
check two-cores-two-threads 4 cpus=4,sockets=1,cores=2,threads=2
topology=$(section "$work/two-cores-two-threads" topology)
[ "$topology" = "cpu0 0 0 0-1 0-3
cpu1 0 0 0-1 0-3
cpu2 0 1 2-3 0-3
cpu3 0 1 2-3 0-3" ] || fault "topology as the guest sees it: $topology"
finish
