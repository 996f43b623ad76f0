#!/bin/sh
# Virtio consoles and ports, as the host's side of the test drives them.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
load-modules
for _ in $(seq 100); do
	[ -c /dev/hvc1 ] && [ "$(cat /sys/class/virtio-ports/*/name 2>/dev/null | wc -l)" -eq 4 ] && break
	sleep 0.1
done
exec </dev/hvc0 >/dev/hvc0 2>&1
# port NAME: its device.
port() {
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat "$p/name" 2>/dev/null)" = "$1" ] && echo "/dev/${p##*/}"
	done
}
echo "=== names"
cat /sys/class/virtio-ports/*/name | sort
echo "=== copy"
# Every byte and the end of a stream: cat ends by itself.
cat "$(port test.in)" >/tmp/copied
echo "in: $(wc -c </tmp/copied)"
cat /tmp/copied >"$(port test.out)"
echo "=== echo"
(
	exec 3<>"$(port test.socket)"
	# Until a client is there, reading is at its end at once.
	for _ in 1 2; do
		until read -r line <&3; do sleep 0.1; done
		echo "port heard $line" >&3
	done
) &
(
	exec 3<>/dev/hvc1 # whose settings are forgotten when nobody has it open
	stty raw -echo <&3
	echo "hvc1 ready" >&3
	read -r line <&3
	echo "hvc1 heard $line" >&3
) &
hvc1=$!
# A reader that goes away is a hang-up: the writer hears of it instead of waiting for ever.
echo "=== broken"
(
	exec 4>"$(port test.broken)"
	echo first >&4
	sleep 1
	echo second >&4
	echo third >&4 &
	writer=$!
	sleep 2
	kill -9 $writer 2>/dev/null && echo "the writer waits"
)
echo "=== size"
stty size
wait $hvc1
echo "=== answer"
read -r answer
echo "answer: $answer"
echo "=== flood"
dd if=/dev/zero bs=1000 count=500 2>/dev/null | tr '\0' 'z'
echo
echo "=== end of flood"
echo "=== dmesg"
dmesg
echo "=== done"
poweroff -f
