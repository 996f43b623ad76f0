#!/bin/bash
# A Debian kernel reboots in the same process, powers off when told from inside, and powers off when
# the process gets SIGTERM (the ACPI power button).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
accel=${ACCEL:-soft}
image=$(kernel cloud-amd64)
modules=${image%/boot/*}/lib/modules/${image##*/vmlinuz-}/kernel/drivers
initrd=$(initramfs tests/e2e/guest/reboot.sh .gz "$modules/acpi/button.ko=modules/button.ko" "$modules/input/evdev.ko=modules/evdev.ko")

mkfifo "$work/in"
start() {
	"$bantam" run --accel "$accel" -c "$1" -m 256M -i "$initrd" -p quiet "${@:2}" "$image" <"$work/in" >"$work/out" 2>"$work/err" &
	pid=$!
	background="$background $pid"
	exec 7>"$work/in"
}
# wait_for COUNT WORD SECONDS: until the console has printed the marker so often.
wait_for() {
	for _ in $(seq $(($3 * 10))); do
		[ "$(grep -ac "=== $2" "$work/out")" -ge "$1" ] && return
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	fault "no '=== $2' number $1 within $3 s"
	tail -n 20 "$work/out" "$work/err"
}
ended() {
	for _ in $(seq 300); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
	kill -9 $pid 2>/dev/null && fault "$1: still running"
	wait $pid
	status=$?
	exec 7>&-
}

start 2
wait_for 1 booted 120
echo reboot >&7
wait_for 2 booted 120
echo reboot >&7
wait_for 3 booted 120
echo poweroff >&7
ended "power-off from inside"
expect_status 0 "power-off from inside"

start 1 --no-reboot
wait_for 1 booted 120
echo reboot >&7
ended "reboot under --no-reboot"
expect_status 2 "reboot under --no-reboot"

start 1
wait_for 1 booted 120
echo button >&7
wait_for 1 listening 60
kill -TERM $pid
ended "SIGTERM"
expect_status 0 "power button"
grep -aq '=== power button' "$work/out" || fault "the guest did not see the power button"
finish
