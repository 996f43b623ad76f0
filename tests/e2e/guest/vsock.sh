#!/bin/sh
# Streams both ways over vsock, with socat as server and client.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
load-modules
ip link set lo up
# An echo server, and one whose reader is slow; each connection is a process.
/bin/socat VSOCK-LISTEN:1000,fork,reuseaddr EXEC:cat &
/bin/socat -u VSOCK-LISTEN:1001,fork,reuseaddr SYSTEM:'sleep 2; sha256sum >/tmp/sum.new; mv /tmp/sum.new /tmp/sum' &
/bin/messages vsock-listen 1003 >/dev/null &
sleep 0.5
echo "=== ready"
# From the guest: a file of the host, and one to it.
/bin/socat -u VSOCK-CONNECT:2:2000 - | sha256sum | cut -d' ' -f1 | sed 's/^/from the host: /'
head -c 3000000 /dev/urandom >/tmp/mine
echo "mine: $(sha256sum </tmp/mine | cut -d' ' -f1)"
/bin/socat -u /tmp/mine VSOCK-CONNECT:2:2001
# Half a close: what the guest says after the host has finished sending arrives.
/bin/socat -t 20 VSOCK-CONNECT:2:2002 SYSTEM:'wc -c'
echo "=== refused"
/bin/socat -u VSOCK-CONNECT:2:2999 - 2>&1 | grep -o 'Connection [a-z ]*'
echo "=== messages"
/bin/messages vsock-connect 2003 2>&1
echo "=== wait"
for _ in $(seq 300); do [ -s /tmp/sum ] && break; sleep 0.1; done
echo "slow: $(cut -d' ' -f1 /tmp/sum)"
read -r word
echo "=== dmesg"
dmesg
echo "=== done"
poweroff -f
