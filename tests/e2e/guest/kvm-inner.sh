#!/bin/sh
# The init of a guest in a guest: says what it found, then does what its command line asks for.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "inner up: $(grep -c ^processor /proc/cpuinfo) CPUs," \
	"clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
if [ -d /sys/bus/pci/devices/0000:00:01.0 ]; then
	/bin/load-modules
	echo "inner drew $(dd if=/dev/hwrng bs=1024 count=64 2>/dev/null | wc -c)"
	grep virtio /proc/interrupts
fi
sleep 1 && echo "inner slept"
# The emulated machine has no invariant TSC and an unknown microcode; what a kernel says of these is right.
dmesg | grep -E 'Call Trace|ACPI (BIOS )?(Error|Warning)|nobody cared|BUG:|WARNING:|lockup|stall|MP-BIOS|APIC error|invalid opcode' |
	grep -v 'Speculative Return Stack Overflow' |
	sed 's/^/inner complains: /'
word=poweroff
grep -q then=ask /proc/cmdline && read -r word
$word -f
