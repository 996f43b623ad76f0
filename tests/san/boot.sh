#!/bin/bash
# Debian's cloud kernel boots with two vCPUs to userspace and powers off.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
boot 540 "$work/log" --accel soft -c 2 -m 512M -i "$(initramfs tests/e2e/guest/report.sh)" -p quiet "$(kernel cloud-amd64)"
expect_status 0 "boot"
grep -q '^=== done' "$work/log.txt" || fault "userspace did not finish"
[ "$faults" -eq 0 ] || tail -n 30 "$work/log.txt" "$work/log.err"
check_dmesg "$work/log" "boot"
finish
