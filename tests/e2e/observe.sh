#!/bin/bash
# What can be seen of the software engine from outside: counters, the map for perf, the listing of
# translated code, the trace.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
image=$(kernel cloud-amd64)
printf '#!/bin/sh\npoweroff -f\n' >"$work/init.sh"
initrd=$(initramfs "$work/init.sh")

linux() {
	local log=$1
	shift
	boot 120 "$work/$log" --accel soft -m 256M -p 'quiet nokaslr' -i "$initrd" "$@" "$image"
	expect_status 0 "$log"
}

# counter LINE NAME: of the first --stats line that begins like this.
counter() {
	sed -n "s/^bantam: stats $1:.* $2=\([0-9]*\).*/\1/p" "$work/stats.err" | head -n 1
}

# ---- counters ----

linux stats -c 2 --stats
lines=$(grep -c '^bantam: stats ' "$work/stats.err")
[ "$lines" -eq 10 ] || fault "$lines lines of counters, not 10"
grep '^bantam: stats ' "$work/stats.err" |
	grep -Ev '^bantam: stats (vm|vm dropped|vcpu [01]|vcpu [01] (memory|left|singles)):( [^ =]+=[0-9]+)*$' &&
	fault "lines of counters that nobody can parse"
for name in blocks translations code_bytes links; do
	[ "$(counter vm $name)" -gt 100 ] || fault "a boot has $(counter vm $name) $name"
done
for cpu in 0 1; do
	entries=$(counter "vcpu $cpu" entries)
	left=$(sed -n "s/^bantam: stats vcpu $cpu left: //p" "$work/stats.err" | tr ' ' '\n' | awk -F= '{ n += $2 } END { print n }')
	[ "$entries" -gt 100 ] || fault "vCPU $cpu entered translated code $entries times"
	[ "$entries" -eq "$left" ] || fault "vCPU $cpu entered translated code $entries times and left it $left times"
	for name in walks_read walks_write walks_fetch; do
		[ "$(counter "vcpu $cpu memory" $name)" -gt 100 ] || fault "vCPU $cpu: few $name"
	done
done
linux stats -c 1 --stats -o soft.translate=false
[ "$(counter vm translations)" -eq 0 ] || fault "translations without the translator"
[ "$(counter 'vcpu 0' interpreted)" -gt 10000000 ] || fault "a boot of $(counter 'vcpu 0' interpreted) instructions"

# ---- names and listing of translated code; somebody has put a link where the map goes ----

echo precious >"$work/victim"
# shellcheck disable=SC2016 # the shell inside knows its own number
bash -c 'ln -s "$1" /tmp/perf-$$.map; echo $$ >"$2"; shift 2; exec "$@"' - "$work/victim" "$work/pid" \
	"$bantam" run --accel soft -c 1 -m 256M -p 'quiet nokaslr' -i "$initrd" -o soft.perf_map=true \
	-o soft.listing="$work/listing" "$image" >"$work/map.log" 2>&1 </dev/null || fault "a boot with a map: $?"
map=/tmp/perf-$(cat "$work/pid").map
[ "$(cat "$work/victim")" = precious ] || fault "the map was written through somebody's link"
if [ -f "$map" ] && [ ! -L "$map" ]; then
	[ "$(stat -c %a "$map")" = 600 ] || fault "others can read the map"
	grep -Evq '^[0-9a-f]+ [0-9a-f]+ (gate|guest)_[0-9a-z_]+$' "$map" && fault "lines of the map that perf cannot read"
	[ "$(grep -c ' gate_' "$map")" -ge 8 ] || fault "gates without a name"
	[ "$(grep -c ' guest_ffffffff8' "$map")" -gt 1000 ] || fault "few names of kernel code in the map"
else
	fault "no map of translated code"
fi
rm -f "$map"
[ "$(grep -c '^block ffffffff8.* instructions, ' "$work/listing")" -gt 1000 ] || fault "few blocks of the kernel are listed"
grep -q '^ffffffff8[0-9a-f]*: ' "$work/listing" || fault "no guest instruction in the listing"
grep -q '^out of line: ffffffff8' "$work/listing" || fault "nothing out of line in the listing"
grep -q '# gate_slow$' "$work/listing" || fault "gates without a name in the listing"
bytes=$(grep -Ec '	(\.byte|\(bad\))' "$work/listing")
[ "$bytes" -eq 0 ] || fault "$bytes pieces of host code that cannot be read back"

# ---- trace ----

linux trace --trace "$work/first" -o trace.limit=1M
size=$(stat -c %s "$work/first")
[ "$size" -le 1048576 ] && [ "$size" -gt 1000000 ] || fault "a trace of $size bytes, not 1 MiB"
[ "$(tail -n 1 "$work/first")" = 'limit reached' ] || fault "the trace does not say that it ends"
from=$(grep -E '^0 [0-9a-f]+$' "$work/first" | awk '!n[$2]++' | sed -n '20s/^0 //p')
linux trace -c 1 --trace "$work/second" -o trace.limit=64K -o trace.from=0x"$from"
[ "$(head -n 1 "$work/second")" = "0 $from" ] || fault "a trace from $from begins with $(head -n 1 "$work/second")"
# The kernel's code, where interrupts come.
linux trace -c 1 --trace "$work/third" -o trace.limit=64M
grep -q '^0 event [0-9]*$' "$work/third" || fault "no interrupt in the trace"

boot 20 "$work/kvm" --accel kvm --trace "$work/fourth" -c 1 -m 64M "$image"
expect_status 4 "a trace under KVM"
grep -q 'does not trace guest code' "$work/kvm.err" || fault "no word of why KVM cannot trace"
finish
