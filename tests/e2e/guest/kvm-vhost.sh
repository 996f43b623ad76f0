#!/bin/sh
# The init of a guest in a guest whose network card and sockets are served by the kernel of the machine
# around it: moves data over both, also while interrupts move between CPUs and after the driver let go
# of the card.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
load-modules
ip link set lo up
ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
echo "queues $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)"

# try WHAT: the network is there.
try() {
	echo "$1: $(ping -c 3 -i 0.2 -W 5 10.9.0.1 | grep -o '[0-9]* packets received')"
}
try ping
/bin/socat VSOCK-LISTEN:1000,fork,reuseaddr EXEC:cat &

# Each change of a CPU masks the vector, moves it and unmasks it again.
while [ ! -e /tmp/stop ]; do
	for cpu in 1 2; do
		for irq in $(grep 'virtio.*-[io]' /proc/interrupts | cut -d: -f1); do
			echo $cpu >"/proc/irq/${irq# }/smp_affinity" 2>/dev/null
		done
	done
done &
echo "get: $(wget -q -O - http://10.9.0.1/data | sha256sum | cut -d' ' -f1)"
touch /tmp/stop
wait $!
wget -q -O /tmp/data http://10.9.0.1/data
/bin/socat -u /tmp/data TCP:10.9.0.1:9000
grep virtio /proc/interrupts

echo "vsock get: $(/bin/socat -u VSOCK-CONNECT:2:2000 - | sha256sum | cut -d' ' -f1)"
/bin/socat -u VSOCK-CONNECT:2:2999 - 2>&1 | grep -o 'Connection [a-z ]*'
/bin/messages vsock-connect 2003 2>&1

# The driver lets go of the card in the middle of a transfer, and takes it up again.
device=$(basename "$(readlink /sys/class/net/eth0/device)")
wget -q -O /dev/null http://10.9.0.1/data 2>/dev/null &
ping -q -c 1000 -i 0.01 10.9.0.1 >/dev/null 2>&1 &
sleep 0.1
echo "$device" >/sys/bus/virtio/drivers/virtio_net/unbind
echo "$device" >/sys/bus/virtio/drivers/virtio_net/bind
kill %2 %3 2>/dev/null
ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
try again
dmesg | grep -E 'Call Trace|nobody cared|BUG:|WARNING:|lockup|stall|NETDEV WATCHDOG' | grep -v 'Speculative Return Stack Overflow' |
	sed 's/^/inner complains: /'
echo "vhost ready"
read -r word
$word -f
