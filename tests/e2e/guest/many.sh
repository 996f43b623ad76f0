#!/bin/sh
# Says which disk and which network card has which name.
mount -t sysfs sys /sys
/bin/load-modules
echo "=== disks"
for disk in /sys/block/vd*; do
	echo "$(basename "$disk") $(cat "$disk/serial")"
done
echo "=== cards"
for card in /sys/class/net/eth*; do
	echo "$(basename "$card") $(cat "$card/address")"
done
echo "=== done"
poweroff -f
