#!/bin/sh
# Answers line by line on the serial ports 1 to 3 until each has said "end", then powers off.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for n in 1 2 3; do
	stty -F /dev/ttyS$n raw -echo
	(
		exec 3<>/dev/ttyS$n
		echo "ready $n" >&3
		while read -r line <&3 && [ "$line" != end ]; do
			echo "line $n: $line" >&3
		done
		echo "bye $n" >&3
		sleep 1
	) &
done
wait
echo "=== ports"
grep -c 16550A /proc/tty/driver/serial
echo "=== done"
poweroff -f
