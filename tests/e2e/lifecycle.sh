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

# Two hundred boots in one process: its descriptors and memory at the 60th and at the last. At both the
# guest waits for a byte.
mkfifo "$work/keys"
: >"$work/reboots"
"$bantam" run --accel "$accel" -c 1 -m 96M -o testdev=true "$guests/reboot.elf" \
	>"$work/reboots" 2>"$work/reboots.err" <"$work/keys" &
pid=$!
background="$background $pid"
exec 3>"$work/keys"
# All mappings count but the guest's memory, which is known by its size.
resources() {
	echo "$(ls /proc/$pid/fd | wc -l) $(awk '/^Size:/ { size = $2 }
		/^Rss:/ && size != 98304 { n += $2 } END { print n }' /proc/$pid/smaps)"
}
looks=
for look in 1 2; do
	for _ in $(seq 400); do [ "$(grep -c look "$work/reboots")" -ge $look ] && break; sleep 0.05; done
	looks="$looks $(resources)"
	echo >&3
done
exec 3>&-
wait $pid
status=$?
expect_status 3 "200 reboots"
boots=$(grep -c boot "$work/reboots")
[ "$boots" -eq 200 ] || fault "$boots boots, not 200"
read -r early_files early_kib late_files late_kib <<<"$looks"
echo "at boot 60 $early_files descriptors and $early_kib KiB, at boot 200 $late_files and $late_kib"
[ "$early_files" -eq "$late_files" ] || fault "open descriptors: $early_files, later $late_files"
[ "$late_kib" -le $((early_kib + 128)) ] || fault "resident KiB: $early_kib, later $late_kib"

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
