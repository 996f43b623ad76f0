#!/bin/bash
# How runs end: every documented exit status, signals, reboots without a leak, and that nothing is
# left behind. Small guests on every engine that works here.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
guests=$BUILD/tests/guest
accel=${ACCEL:-soft}

small() {
	local limit=$1 name=$2
	shift 2
	boot "$limit" "$work/$name" --accel "$accel" -c 1 -m 64M -o testdev=true "$@" "$guests/$name.elf"
}

small 20 exit
expect_status 1 "test exit with value 0"

# Pauses and moves catch instructions between two accesses of theirs.
small 60 device_copy -o debug.move_every=1
expect_status 1 "device accesses of a guest that moves"

small 20 triple_fault
expect_status 3 "triple fault"
grep -q 'triple fault' "$work/triple_fault.err" || fault "no word of the triple fault"
for part in 'Registers:' ' rip ' 'Code:' 'ud2' 'Page tables for'; do
	grep -q "$part" "$work/triple_fault.err" || fault "crash dump lacks '$part'"
done

small 20 reboot --no-reboot
expect_status 2 "reboot under --no-reboot"

# Two hundred boots in one process: its memory and descriptors at the 20th and the last are compared.
# They take a fraction of a second, so the process stands still while it is looked at.
: >"$work/reboots"
"$bantam" run --accel "$accel" -c 1 -m 64M -o testdev=true "$guests/reboot.elf" >"$work/reboots" 2>"$work/reboots.err" </dev/null &
pid=$!
background="$background $pid"
resources() {
	echo "$(ls /proc/$pid/fd | wc -l) $(awk '/^Rss(Anon|File)/ { n += $2 } END { print n }' /proc/$pid/status)"
}
early= late=
while kill -STOP $pid 2>/dev/null; do
	boots=$(grep -c boot "$work/reboots")
	now=$(resources 2>/dev/null)
	if [ -n "${now#* }" ]; then
		[ -z "$early" ] && [ "$boots" -ge 20 ] && early=$now
		[ "$boots" -ge 20 ] && late=$now
	fi
	kill -CONT $pid
	sleep 0.01
done
wait $pid
status=$?
expect_status 3 "200 reboots"
boots=$(grep -c boot "$work/reboots")
[ "$boots" -eq 200 ] || fault "$boots boots, not 200"
echo "descriptors and KiB at boot 20: $early, at the end: $late"
[ -n "$early" ] && [ "${early% *}" = "${late% *}" ] || fault "open descriptors: $early, later $late"
[ -n "$late" ] && [ "${late#* }" -le $((${early#* } + 512)) ] || fault "resident KiB: $early, later $late"

# Signals: the first asks the guest, which does not listen; the second ends the run.
"$bantam" run --accel "$accel" -c 1 -m 64M "$guests/spin.elf" >"$work/spin" 2>"$work/spin.err" </dev/null &
pid=$!
background="$background $pid"
for _ in $(seq 100); do grep -q spinning "$work/spin" && break; sleep 0.05; done
kill -TERM $pid
sleep 0.5
kill -0 $pid 2>/dev/null || fault "the first SIGTERM ended a guest that did not power off"
kill -TERM $pid
for _ in $(seq 60); do kill -0 $pid 2>/dev/null || break; sleep 0.05; done
kill -0 $pid 2>/dev/null && fault "still there 3 s after the second SIGTERM"
wait $pid
status=$?
expect_status 6 "ended by a second SIGTERM"
finish
