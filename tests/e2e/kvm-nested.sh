#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# KVM for real: QEMU emulates a machine with AMD's SVM, a Debian kernel in it loads kvm-amd, and bantam boots
# Debian's cloud kernel on that, reboots it in one process, moves it between KVM and the software engine
# while it runs, and runs a sandbox. The tests of engine.h's contract run there as well. The Debian kernel
# also serves queues of guests itself (vhost-net and vhost-vsock).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed (package qemu-system-x86)"

image=$(kernel cloud-amd64)
modules=${image%/boot/*}/lib/modules/${image##*/vmlinuz-}/kernel
inner=$(initramfs tests/e2e/guest/kvm-inner.sh .cpio --modules "$image" virtio_pci virtio-rng)
messages=$work/messages
gcc -static -O1 -Wall -Wextra -o "$messages" tests/e2e/guest/messages.c || fault "no program for messages"
tap=$work/with-tap
gcc -static -O1 -Wall -Wextra -o "$tap" tests/e2e/net/with-tap.c || fault "no program for an open interface"
served=$(initramfs tests/e2e/guest/kvm-vhost.sh .cpio --with socat "$messages=bin/messages" \
	--modules "$image" virtio_pci virtio_mmio virtio_net vmw_vsock_virtio_transport)
contract=$BUILD/tests/unit/engine/engine_test
libraries=$(ldd "$bantam" "$contract" | grep -o '/[^ ]*' | grep -v ':$' | sort -u)
files="$bantam=bin/bantam $contract=bin/contract $image=kernel $inner=inner.cpio $served=vhost.cpio $BUILD/tests/guest/hostile.elf=hostile.elf $messages=bin/messages $tap=bin/with-tap"
for library in $libraries; do files="$files $library=$library"; done
# What the init of a sandbox loads, for bantam to find.
version=${image##*/vmlinuz-}
for list in order builtin; do files="$files ${modules%/kernel}/modules.$list=lib/modules/$version/modules.$list"; done
for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console virtio_blk fuse virtiofs overlay ptp_kvm; do
	path=$(grep "/$module.ko" "${modules%/kernel}/modules.order" | sed 's/^kernel\///; s/\.ko.*/.ko/')
	[ -z "$path" ] || files="$files $modules/$path=lib/modules/$version/kernel/$path"
done
# shellcheck disable=SC2086
outer=$(initramfs tests/e2e/guest/kvm-outer.sh .cpio "$modules/virt/lib/irqbypass.ko=modules/irqbypass.ko" \
	"$modules/arch/x86/kvm/kvm.ko=modules/kvm.ko" "$modules/arch/x86/kvm/kvm-amd.ko=modules/kvm-amd.ko" $files \
	--with socat --modules "$image" tun bridge vhost_net vhost_vsock)

log=$work/log
# QEMU's VMRUN sets a bit of its CPU's request word without the lock under which its other threads do, so
# that the arrival of an interrupt is forgotten now and then, until the next one comes. A kernel that sets
# its timer anew at each tick waits for ever then; one with a periodic tick goes on 4 ms later.
emulate() {
	timeout -k 5 190 qemu-system-x86_64 -machine q35 -accel tcg -cpu qemu64,+svm,+npt -smp 1 -m 1024 -display none \
		-no-reboot -nodefaults -serial stdio -monitor none -kernel "$image" -initrd "$outer" \
		-append "console=ttyS0 panic=-1 quiet nohz=off highres=off" </dev/null >"$log" 2>"$log.err"
	status=$?
}
# The same happens to the guest of a guest, whose CPU nothing wakes then.
stands_still() {
	[ $status -eq 124 ] || grep -aqE 'soft lockup|^status 137' "$log"
}
emulate
for _ in 1 2; do
	stands_still || break
	echo "the emulated machine stood still, as QEMU's now and then does: once more"
	emulate
done
[ $status -eq 0 ] || fault "the outer machine ended with status $status"
tr -d '\r' <"$log" >"$log.txt"

# expect NAME TEXT
expect() {
	section "$log" "$1" | grep -qaF "$2" || fault "$1: not seen: $2"
}
parts="default two verbose reboot moved"
for name in $parts; do
	expect "$name" "inner slept"
	section "$log" "$name" | grep -a 'inner complains' && fault "$name: the inner kernel complains"
done
for name in $parts; do expect "$name" "status 0"; done
# A doorbell of KVM's reaches the device, also after the VM has been with the other engine.
for name in default moved; do
	expect "$name" "inner drew 65536"
	expect "$name" "virtio0-input"
done
expect default "inner up: 1 CPUs, clock kvm-clock"
expect two "inner up: 2 CPUs, clock kvm-clock"
expect verbose "Linux version"
expect reboot "boots: 3"
# From KVM to the soft engine and back, several times on the way to userspace.
moves=$(section "$log" moved | grep -a 'moved the VM' | grep -o '[0-9]*')
[ "${moves:-0}" -ge 4 ] || fault "moved: only ${moves:-0} moves between engines"
# No code of ours runs between the instructions of these three: QEMU's VMRUN loads DR7 without arming its
# breakpoints, and a block in the nested guest that changes itself ends too late.
qemus='debugger_breakpoint_stops_before_its_instruction
debugger_watchpoint_stops_after_the_store
store_into_the_running_code_takes_effect_at_once'
failed=$(section "$log" contract | grep -ao '^\[  FAILED  \] [a-z][a-z_]*$' | cut -d ' ' -f 6 | sort -u)
expect contract "test(s) run."
expect contract "[  PASSED  ] "
echo "contract: the emulated processor fails $(grep -xF "$qemus" <<<"$failed" | tr '\n' ' ')"
ours=$(grep -vxF "$qemus" <<<"$failed" | tr '\n' ' ')
[ -z "${ours// /}" ] || fault "contract: $ours"
# A sandbox on KVM: what it reads, says and leaves.
value() {
	section "$log" sandbox | sed -n "s/^$1: //p"
}
expect sandbox "got to the guest in "
expect sandbox "message: said on stderr"
expect sandbox "status 42"
[ "$(value read)" = "$(value before)" ] && [ "$(value unchanged)" = "$(value before)" ] ||
	fault "sandbox: reads $(value read), not $(value before), which is $(value unchanged) now"
[ -n "$(value wrote)" ] && [ "$(value after)" = "$(value wrote)" ] && [ "$(value wrote)" != "$(value before)" ] ||
	fault "sandbox: wrote $(value wrote), but the image has $(value after)"
# Queues the kernel serves. A change of a CPU masks a vector and unmasks it; a boot ends with the reset of
# devices that are in the middle of something.
expect vhost-missing "bantam: net.0: vhost: /dev/vhost-net: No such file or directory (load the host's module vhost_net, or leave vhost out)"
expect vhost-missing "bantam: vsock: vhost: /dev/vhost-vsock: No such file or directory (load the host's module vhost_vsock, or leave vhost out)"
# served NAME BOOTS QUEUES
served() {
	local name=$1 boots=$2 sum line n
	sum=$(section "$log" "$name" | sed -n 's/^data: //p')
	for line in "queues $3" "ping: 3 packets received" "get: $sum" "vsock get: $sum" "vsock echo: $sum" "upload: $sum" \
		"Connection reset by peer" "messages are as they were" "again: 3 packets received" \
		"bantam: vsock: vhost: CID 42 is another guest's (choose another one)"; do
		n=$(section "$log" "$name" | grep -acxF "$line")
		[ "$n" -eq "$boots" ] || fault "$name: seen $n times, not $boots: $line"
	done
	expect "$name" "status 0"
	section "$log" "$name" | grep -a 'inner complains' && fault "$name: the inner kernel complains"
}
# hostile TRANSPORT: the guest breaks its rings, which costs it the device and nobody else anything.
hostile() {
	expect "vhost-hostile-$1" "2 devices"
	expect "vhost-hostile-$1" "the host's kernel cannot go on with it"
	expect "vhost-hostile-$1" "status 1"
	section "$log" "vhost-hostile-$1" | grep -a 'outer complains' && fault "hostile $1: the kernel complains"
}
hostile pci
hostile mmio
served vhost 2 2
served vhost-mmio 1 2
served vhost-bridge 1 2
served vhost-adopted 1 1
# Frames and interrupts pass by the card's thread: it hears of few, where the guest is interrupted often.
interrupts=$(section "$log" vhost | awk '/-(in|out)put/ { n += $2 + $3 } END { print int(n / 2) }')
waits=$(section "$log" vhost | sed -n 's/^waits: //p' | head -n 1)
[ "${waits:-9999}" -lt $((interrupts / 2)) ] || fault "vhost: the card's thread woke $waits times for $interrupts interrupts"

section "$log" default | grep -a 'trying soft' && fault "default: KVM was passed over"
grep -q '^=== done' "$log.txt" || fault "the outer guest did not finish"
[ "$faults" -eq 0 ] || tail -n 60 "$log.txt" "$log.err"
finish
