#!/bin/sh
# An init that tells the time whenever it gets a line, and measures a sleep and a busy CPU's ticks.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
dmesg -n 1
echo
loc() { awk '$1 == "LOC:" { print $2 }' /proc/interrupts; }
start=$(cut -d' ' -f1 /proc/uptime)
sleep 1
echo "=== slept $start $(cut -d' ' -f1 /proc/uptime)"
before=$(loc)
i=0
end=$(($(date +%s) + 3))
while [ "$(date +%s)" -lt $end ]; do :; done
echo "=== ticks $before $(loc)"
stty -echo -icanon min 1 </dev/console
echo "=== ready"
while read -r word; do
	[ "$word" = off ] && poweroff -f
	adjtimex | awk '/tv_sec|tv_usec/ { printf "%s ", $NF } END { print "" }' | sed "s/^/=== now /"
done
