#!/bin/sh
# The init of the machine that has KVM: runs the contract's tests and bantam, once per way of booting.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in irqbypass kvm kvm-amd; do
	insmod /modules/$module.ko
done
[ -c /dev/kvm ] || echo "no /dev/kvm"

echo "=== contract"
ACCEL=kvm timeout -s KILL 60 /bin/contract 2>&1

# run NAME ARGUMENT...
run() {
	name=$1
	shift
	echo "=== $name"
	timeout -s KILL 200 /bin/bantam run -n mode=none -m 128M -i /inner.cpio "$@" /kernel </dev/null 2>/messages
	echo "status $?"
	sed 's/^/message: /' /messages
}
run default -c 1 --rng -p quiet
run two --accel kvm -c 2 -p quiet
run verbose --accel kvm -c 2

# The same process boots again when the guest reboots.
echo "=== reboot"
mkfifo /in
timeout -s KILL 300 /bin/bantam run --accel kvm -n mode=none -c 2 -m 128M -i /inner.cpio -p 'quiet then=ask' /kernel </in >/out 2>/messages &
exec 7>/in
for answer in reboot reboot poweroff; do
	boots=$((${boots:-0} + 1))
	while [ "$(grep -c 'inner slept' /out)" -lt $boots ] && kill -0 $! 2>/dev/null; do sleep 1; done
	echo $answer >&7
done
wait $!
echo "status $?"
exec 7>&-
cat /out
echo "boots: $(grep -c 'inner up: 2 CPUs' /out)"
sed 's/^/message: /' /messages

run moved --accel kvm -c 1 --rng -o debug.move_every=300 -o debug.move_to=soft -p quiet
echo "=== done"
poweroff -f
