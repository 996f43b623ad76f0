#!/bin/sh
# Fills memory and frees it again, while the host looks on; says how large the balloon is.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
load-modules
for _ in $(seq 100); do
	[ "$(awk '/MemFree/ { print $2 }' /proc/meminfo)" -lt 340000 ] && break
	sleep 0.1
done
sleep 1
echo "=== balloon"
awk '/MemFree|MemTotal/ { print $1, $2 }' /proc/meminfo
mount -t tmpfs -o size=200M tmp /tmp
head -c 150000000 /dev/urandom >/tmp/fill
echo "=== filled"
read -r word
rm /tmp/fill
echo "=== freed"
read -r word
# More than there is outside the balloon: it gives way, and nothing is killed.
mount -o remount,size=400M /tmp
head -c 330000000 /dev/zero >/tmp/fill
echo "=== pressed"
ls -l /tmp/fill
echo "=== dmesg"
dmesg
echo "=== done"
poweroff -f
