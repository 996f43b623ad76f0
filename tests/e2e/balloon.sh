#!/bin/bash
# The balloon with a stock kernel: it takes memory, free pages go back to the host, and the balloon gives
# way before anything is killed for want of memory.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh

cloud=$(kernel cloud-amd64)
tools/make-initramfs "$work/initramfs.gz" tests/e2e/guest/balloon.sh \
	--modules "$cloud" virtio_mmio virtio_pci virtio_balloon || fault "no initramfs"
mkfifo "$work/stdin"
exec 4<>"$work/stdin"
timeout -s KILL 110 "$bantam" run --accel "${ACCEL:-soft}" -c 1 -m 512M -i "$work/initramfs.gz" -p quiet \
	--balloon -o balloon.target=128M -o balloon.stats_period=1 -v "$cloud" \
	<"$work/stdin" >"$work/log" 2>"$work/log.err" 4<&- &
background="$background $!"

# await PATTERN: until the guest has said so, at most 60 s.
await() {
	for _ in $(seq 600); do
		grep -q "$1" "$work/log" && return
		sleep 0.1
	done
	fault "no '$1'"
}

# Guest memory the process has on the host, in MiB.
resident() {
	awk '/^Size:/ { size = $2 } /^Rss:/ && size == 524288 { print int($2 / 1024) }' "/proc/$vm/smaps"
}

await '^=== filled'
vm=$(pgrep -P $! -x bantam)
filled=$(resident)
echo >&4
await '^=== freed'
for _ in $(seq 100); do
	[ "$(resident)" -lt $((filled - 100)) ] && break
	sleep 0.1
done
freed=$(resident)
echo "resident: $filled MiB filled, $freed MiB freed"
[ "$filled" -gt 150 ] && [ "$freed" -lt $((filled - 100)) ] ||
	fault "150 MB freed in the guest: $filled MiB of it were resident on the host, then $freed"
echo >&4
wait $!
status=$?
exec 4>&-
tr -d '\r' <"$work/log" >"$work/log.txt"
expect_status 0 balloon
grep -q '^=== done' "$work/log.txt" || { fault "not finished"; tail -n 20 "$work/log.txt" "$work/log.err"; }
free=$(section "$work/log" balloon | awk '$1 == "MemFree:" { print int($2 / 1024) }')
[ "$free" -gt 200 ] && [ "$free" -lt 340 ] || fault "with 128 MiB in the balloon $free MiB of 512 are free"
section "$work/log" pressed | grep -q 330000000 || fault "memory did not come back: $(section "$work/log" pressed)"
grep -q 'balloon: [0-9]* MiB of [0-9]* free in the guest, 128 in the balloon' "$work/log.err" ||
	fault "statistics: $(grep balloon "$work/log.err" | tail -n 3)"
found=$(section "$work/log" dmesg | grep -iE 'out of memory|killed process')
[ -z "$found" ] || fault "the kernel killed something: $found"
check_dmesg "$work/log" balloon
finish
