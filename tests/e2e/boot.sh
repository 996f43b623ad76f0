#!/bin/bash
# Debian's own kernels boot to userspace on the software engine: several CPU counts, memory sizes,
# kernel formats and initramfs compressions, translated and interpreted. What the kernel says of the
# machine is checked.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh

accel=${ACCEL:-soft}
gz=$(initramfs tests/e2e/guest/report.sh .gz)
xz=$(initramfs tests/e2e/guest/report.sh .xz)
plain=$(initramfs tests/e2e/guest/report.sh .cpio)
cloud=$(kernel cloud-amd64)
generic=$(kernel amd64)
[ -f "$cloud" ] && [ -f "$generic" ] || { echo "no kernels"; exit 1; }

# check NAME KERNEL INITRD CPUS MEMORY-MIB OPTION...
check() {
	local name=$1 image=$2 initrd=$3 cpus=$4 mib=$5 log=$work/$1 found
	local start=$SECONDS
	shift 5
	boot 280 "$log" --accel "$accel" -c "$cpus" -m "${mib}M" -i "$initrd" -p quiet "$@" "$image"
	expect_status 0 "$name"
	grep -q '^=== done' "$log.txt" || { fault "$name: userspace did not finish"; tail -n 20 "$log.txt" "$log.err"; return; }

	found=$(section "$log" cpuinfo | grep -c '^processor')
	[ "$found" -eq "$cpus" ] || fault "$name: $found CPUs, not $cpus"
	for counter in timer rtc LOC; do
		section "$log" interrupts | grep -qE "$counter" || fault "$name: no $counter in /proc/interrupts"
	done
	found=$(section "$log" interrupts2 | awk '$1 == "ERR:" || $1 == "MIS:" { n += $2 } END { print n + 0 }')
	[ "$found" -eq 0 ] || fault "$name: $found erroneous interrupts"
	local before after
	# Of all CPUs: an idle one has no ticks.
	before=$(section "$log" interrupts | awk '$1 == "LOC:" { for (i = 2; i <= NF; i++) n += $i } END { print n + 0 }')
	after=$(section "$log" interrupts2 | awk '$1 == "LOC:" { for (i = 2; i <= NF; i++) n += $i } END { print n + 0 }')
	[ "$after" -gt "$before" ] || fault "$name: the local timers stand still ($before, $after)"
	for region in 'System RAM' 'Reserved' 'IOAPIC 0|fec00000' 'HPET 0|fed00000'; do
		section "$log" iomem | grep -qE "$region" || fault "$name: no $region in /proc/iomem"
	done
	found=$(section "$log" meminfo | awk '$1 == "MemTotal:" { print int($2 / 1024) }')
	[ "$found" -gt $((mib * 70 / 100)) ] && [ "$found" -le "$mib" ] || fault "$name: $found MiB of memory, not about $mib"
	section "$log" memory | grep -q 'blocks [1-9][0-9]* bad 0' || fault "$name: memory test: $(section "$log" memory)"
	if [ "$mib" -gt 3072 ]; then
		# The zone above the hole gave at least 192 MiB of the 256 MiB that were filled and compared.
		before=$(section "$log" 'zones before' | awk '$1 == "Normal" { print $2 }')
		after=$(section "$log" 'zones filled' | awk '$1 == "Normal" { print $2 }')
		[ $((${before:-0} - ${after:-0})) -ge 49152 ] || fault "$name: free pages above the hole: '$before', filled: '$after'"
	fi
	section "$log" clock | grep -qE "kvm-clock|tsc" || fault "$name: clock source is $(section "$log" clock)"
	check_dmesg "$log" "$name"
	echo "$name: $((SECONDS - start)) s"
}

check cloud-1 "$cloud" "$gz" 1 512
check cloud-2 "$cloud" "$gz" 2 512
check cloud-4 "$cloud" "$xz" 4 1024
check cloud-128M "$cloud" "$plain" 1 128
check cloud-5G "$cloud" "$gz" 2 5120
check generic-1 "$generic" "$gz" 1 512
check generic-4 "$generic" "$plain" 4 2048
if [ "$accel" = soft ]; then
	for cpus in 1 2 4; do
		check "cloud-$cpus-interpreted" "$cloud" "$gz" "$cpus" 512 -o soft.translate=false --stats
		found=$(grep -ohE 'translations=[0-9]+' "$work/cloud-$cpus-interpreted.err" "$work/cloud-$cpus-interpreted.txt")
		[ "$found" = translations=0 ] || fault "cloud-$cpus-interpreted: '$found', though translation is off"
	done
	# Everything at once: each block from its first run on.
	check cloud-2-heat-1 "$cloud" "$gz" 2 512 -o soft.heat=1
	check cloud-2-sites "$cloud" "$gz" 2 512 -o soft.sites=always
fi
tools/extract-vmlinux "$cloud" "$work/cloud.elf" || fault "no ELF inside the cloud kernel"
tools/extract-vmlinux "$generic" "$work/generic.elf" || fault "no ELF inside the generic kernel"
check cloud-elf-1 "$work/cloud.elf" "$gz" 1 512
check cloud-elf-2 "$work/cloud.elf" "$gz" 2 512
check generic-elf-2 "$work/generic.elf" "$xz" 2 1024
finish
