#!/bin/sh
# The init of a guest with a virtio random number generator: uses it, takes it from its driver and gives it
# back, then (on PCI) has the function removed and found again. Says what it saw.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
/bin/load-modules

draw() {
	echo "drew $(dd if=/dev/hwrng bs=1024 count=32 2>/dev/null | wc -c) bytes"
}

draw
echo "=== interrupts"
grep virtio /proc/interrupts
echo "=== again"
driver=/sys/bus/virtio/drivers/virtio_rng
echo virtio0 >$driver/unbind
echo virtio0 >$driver/bind
draw
function=/sys/bus/pci/devices/0000:00:01.0
if [ -d $function ]; then
	echo 1 >$function/remove
	[ ! -d $function ] || echo "not removed"
	echo 1 >/sys/bus/pci/rescan
	draw
fi
echo "=== pci"
for f in /sys/bus/pci/devices/*; do
	echo "$(basename "$f") $(cat "$f/vendor") $(cat "$f/device") $(cat "$f/class")"
done
echo "=== iomem"
cat /proc/iomem
echo "=== dmesg"
dmesg
echo "=== done"
if grep -q acpi=off /proc/cmdline; then
	reboot -f
else
	poweroff -f
fi
