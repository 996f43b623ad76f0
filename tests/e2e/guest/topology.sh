#!/bin/sh
# An init that prints how its CPUs are arranged.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
dmesg -n 1
echo
echo "=== topology"
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
	echo "${cpu##*/} $(cat $cpu/topology/physical_package_id) $(cat $cpu/topology/core_id) $(cat $cpu/topology/thread_siblings_list) $(cat $cpu/topology/core_siblings_list)"
done
echo "=== moved"
i=0
while [ $i -lt ${rounds:-40} ]; do
	echo "$i" | md5sum | cut -c1-8
	i=$((i + 1))
done
echo "=== dmesg"
dmesg
echo "=== done"
poweroff -f
