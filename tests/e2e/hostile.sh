#!/bin/bash
# A driver that does everything wrong, on every virtio device and transport: bantam survives, resets
# each device when asked, says at most once per device what was wrong, and leaves the host's files alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
accel=${ACCEL:-soft}
rounds=${ROUNDS:-3000}

# abused NAME SEED DEVICES ARGUMENT...: one run with that many devices.
# Bantam's own words on the command line have numbers in them, so they are left out.
abused() {
	local name=$1 seed=$2 devices=$3 log="$work/$1-$2" lines
	shift 3
	boot 60 "$log" --accel "$accel" -c 1 -m 64M -o testdev=true --nodefaults -p "$seed $rounds" "$@" "$BUILD/tests/guest/hostile.elf"
	expect_status 1 "$name, seed $seed"
	grep -q "^$devices devices" "$log.txt" || fault "$name: $(head -n 1 "$log.txt"), not $devices devices"
	lines=$(grep -c "broke the device" "$log.err")
	[ "$lines" -le "$devices" ] || fault "$name: $lines complaints about $devices devices"
	[ "$lines" -gt 0 ] || fault "$name: nothing was wrong with what the driver did"
}

seed=$(date +%s)
echo "seed $seed"
mkdir "$work/shared"
# Each device alone, so that a fault names it; then all together.
"$bantam" image create "$work/abused.qcow2" 64M || fault "no image"
devices=(
	"blk:-d $work/abused.qcow2 -n none"
	"rng:--rng -n none"
	"net:-n mode=user"
	"fs:--share $work/shared,fs -n none"
	"9p:--9p $work/shared,9p -n none"
	"console:--port a=null --port b=unix:$work/port -n none"
	"vsock:--vsock 3,$work/vsock -n none"
)
for transport in mmio pci; do
	all= nr=0
	for device in "${devices[@]}"; do
		# shellcheck disable=SC2086 # a list of words on purpose
		abused "${device%%:*}-$transport" "$seed" 1 -o virtio.transport=$transport ${device#*:}
		all="$all ${device#*:}" nr=$((nr + 1))
	done
	# shellcheck disable=SC2086
	abused "all-$transport" "$seed" $nr -o virtio.transport=$transport ${all//-n none/}
done
finish
