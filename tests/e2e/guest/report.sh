#!/bin/sh
# An init that tells the host what the kernel found, then powers off.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
dmesg -n 1

# zones: free pages of each memory zone.
zones() {
	awk '/^Node/ { zone = $4 } /nr_free_pages/ { print zone, $2 }' /proc/zoneinfo
}

# memory_test: writes a pattern into tmpfs until every zone has been used, and reads it back.
memory_test() {
	mount -t tmpfs -o size=95% tmpfs /tmp
	free_kib=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)
	blocks=$((free_kib / 1024 * ${fill_percent:-20} / 100 / 4))
	[ "$blocks" -gt 64 ] && blocks=64
	[ "$blocks" -lt 1 ] && blocks=1
	dd if=/dev/urandom of=/pattern bs=1M count=4 2>/dev/null
	i=0
	while [ $i -lt $blocks ]; do
		cat /pattern >>/tmp/filled
		i=$((i + 1))
	done
	i=0 bad=0
	while [ $i -lt $blocks ]; do
		[ $((i % 16)) -eq 0 ] || { i=$((i + 1)); continue; }
		dd if=/tmp/filled bs=4M skip=$i count=1 2>/dev/null | cmp -s - /pattern || bad=$((bad + 1))
		i=$((i + 1))
	done
	echo "blocks $blocks bad $bad"
	echo "=== zones filled"
	zones
	rm /tmp/filled
}

echo
echo "=== cpuinfo"
cat /proc/cpuinfo
echo "=== interrupts"
cat /proc/interrupts
sleep 0.2
echo "=== interrupts2"
cat /proc/interrupts
echo "=== iomem"
cat /proc/iomem
echo "=== meminfo"
cat /proc/meminfo
echo "=== zones before"
zones
echo "=== memory"
memory_test
echo "=== clock"
cat /sys/devices/system/clocksource/clocksource0/current_clocksource
echo "=== dmesg"
dmesg
echo "=== done"
poweroff -f
