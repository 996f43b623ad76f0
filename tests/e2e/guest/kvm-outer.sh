#!/bin/sh
# The init of the machine that has KVM: runs bantam in it, once per way of booting.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in irqbypass kvm kvm-amd; do
	insmod /modules/$module.ko
done
[ -c /dev/kvm ] || echo "no /dev/kvm"

# run NAME ARGUMENT...
run() {
	name=$1
	shift
	echo "=== $name"
	timeout -s KILL 100 /bin/bantam run -m 128M -i /inner.cpio "$@" /kernel </dev/null 2>/messages
	echo "status $?"
	sed 's/^/message: /' /messages
}
run default -c 1 -p quiet
run two --accel kvm -c 2 -p quiet
run verbose --accel kvm -c 2
run reboot --accel kvm -c 2 --no-reboot -p 'quiet then=reboot'
run moved --accel kvm -c 1 -o debug.move_every=300 -o debug.move_to=soft -p quiet
echo "=== done"
poweroff -f
