#!/bin/bash
# Debian's kernels use virtio devices by every way there is: over PCI with a vector per queue, with a wire
# because of bantam or because of the kernel, without ACPI, and over MMIO; while the VM moves, too. However
# many disks and cards there are, they have their names in the order of the command line.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
accel=${ACCEL:-soft}

# check NAME FLAVOUR DRAWS INTERRUPT OPTION...
check() {
	local name=$1 draws=$3 interrupt=$4 log=$work/$1 found
	local image initrd=$work/$2.cpio
	image=$(kernel "$2")
	shift 4
	boot 60 "$log" --accel "$accel" -c 2 -m 256M -n mode=none --no-reboot -i "$initrd" --rng "$@" "$image"
	expect_status "${wanted:-0}" "$name"
	grep -q '^=== done' "$log.txt" || { fault "$name: userspace did not finish"; tail -n 20 "$log.txt" "$log.err"; return; }
	found=$(grep -c '^drew 32768 bytes' "$log.txt")
	[ "$found" -eq "$draws" ] || fault "$name: $found draws worked, not $draws"
	grep -q '^not removed' "$log.txt" && fault "$name: the function was not removed"
	found=$(section "$log" interrupts)
	grep -qE "$interrupt" <<<"$found" || fault "$name: interrupts are not $interrupt: $found"
	section "$log" pci | grep -q '^0000:00:00.0 0x8086 0x29c0 0x060000' || fault "$name: no host bridge"
	check_dmesg "$log" "$name"
	section "$log" dmesg | grep -E 'pci .*(fail|error|conflict|no space|can.t claim)|PCI: (Fatal|not using MMCONFIG)' &&
		fault "$name: the kernel does not like the bus"
}

for flavour in cloud-amd64 amd64; do
	tools/make-initramfs "$work/$flavour.cpio" tests/e2e/guest/virtio.sh --modules "$(kernel "$flavour")" \
		virtio_pci virtio_mmio virtio-rng || fault "no initramfs for $flavour"
	check "$flavour-pci" $flavour 3 'PCI-MSI.*virtio0-input' -p quiet
	section "$work/$flavour-pci" iomem | grep -q 'PCI MMCONFIG 0000' || fault "$flavour: ECAM is not used"
	check "$flavour-mmio" $flavour 2 'IO-APIC.*virtio0' -p quiet -o virtio.transport=mmio
done
check wire cloud-amd64 3 'IO-APIC +17-fasteoi +virtio0' -p quiet -o virtio.msix=false
check nomsi cloud-amd64 3 'IO-APIC +17-fasteoi +virtio0' -p 'quiet pci=nomsi'
# The cloud kernel does not read MP tables. Without ACPI there is only a reset, which ends the VM with 2.
wanted=2 check noacpi amd64 3 'IO-APIC +17-fasteoi +virtio0' -p 'quiet acpi=off pci=nomsi' -o x86.mptable=true
check moved cloud-amd64 3 'PCI-MSI.*virtio0-input' -c 1 -p quiet -o debug.move_every=200 -o debug.move_to="$accel"

# More disks and cards than a PCI bus has device numbers.
tools/make-initramfs "$work/many.cpio" tests/e2e/guest/many.sh --modules "$(kernel cloud-amd64)" \
	virtio_pci virtio_blk virtio_net || fault "no initramfs for many disks"
options=() disks=() cards=()
for i in $(seq 40); do
	truncate -s 1M "$work/disk$i"
	options+=(-d "$work/disk$i,format=raw,serial=NUMBER$i")
	disks+=("NUMBER$i")
done
for i in $(seq 10 19); do
	options+=(-n "mode=mcast,local=127.0.0.1,guest_mac=02:00:00:00:00:$i")
	cards+=("eth$((i - 10)) 02:00:00:00:00:$i")
done
boot 60 "$work/many" --accel "$accel" -c 1 -m 256M -p "quiet net.ifnames=0" -i "$work/many.cpio" "${options[@]}" \
	"$(kernel cloud-amd64)"
expect_status 0 many
# vda to vdz, then vdaa: by the length of the name, then by the name.
found=$(section "$work/many" disks | awk '{ print length($1), $0 }' | sort -k1,1n -k2,2 | cut -d' ' -f3)
[ "$found" = "$(printf '%s\n' "${disks[@]}")" ] || fault "many: the disks are $(tr '\n' ' ' <<<"$found")"
[ "$(section "$work/many" cards)" = "$(printf '%s\n' "${cards[@]}")" ] || fault "many: the cards are $(section "$work/many" cards)"
finish
