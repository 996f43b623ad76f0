#!/bin/sh
# The init of the machine that has KVM: runs the contract's tests and bantam, once per way of booting, and
# guests whose queues its kernel serves (vhost).
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

# ---- a sandbox: the files of this machine, a disk, three streams and a status ----

echo "=== sandbox"
head -c 4194304 /dev/urandom >/disk.raw
bantam image convert -O qcow2 /disk.raw /disk.qcow2 >/dev/null
echo "before: $(sha256sum </disk.raw | cut -d' ' -f1)"
echo 'to the guest' | bantam sandbox --accel kvm -m 192M -k /kernel -o disk.0.path=/disk.qcow2 -- sh -c \
	'read -r line; echo "got $line in $(hostname)"; echo "said on stderr" >&2; echo no >/disk.raw
	echo "read: $(sha256sum </dev/vda | cut -d" " -f1)"
	dd if=/dev/urandom of=/dev/vda bs=64k count=32 conv=fsync 2>/dev/null
	echo "wrote: $(sha256sum </dev/vda | cut -d" " -f1)"; exit 42' 2>/messages
echo "status $?"
sed 's/^/message: /' /messages
echo "unchanged: $(sha256sum </disk.raw | cut -d' ' -f1)"
bantam image check /disk.qcow2 && bantam image convert -O raw /disk.qcow2 /disk.after >/dev/null
echo "after: $(sha256sum </disk.after | cut -d' ' -f1)"
rm /disk.*

# ---- vhost ----

echo "=== vhost-missing"
bantam run --accel kvm -n mode=tap,vhost=1 -i /inner.cpio /kernel </dev/null 2>&1
bantam run --accel kvm -n none --vsock 42,vhost -i /inner.cpio /kernel </dev/null 2>&1
load-modules
ip link set lo up
mkdir /www
head -c 3000000 /dev/urandom >/www/data
httpd -p 80 -h /www
/bin/socat -U VSOCK-LISTEN:2000,fork,reuseaddr OPEN:/www/data,rdonly &
/bin/socat -u TCP-LISTEN:9000,fork,reuseaddr SYSTEM:'sha256sum >>/uploads' &
while /bin/messages vsock-listen 2003; do :; done >/dev/null &

# waits THREAD: how often this thread of the guest's process had nothing to do.
waits() {
	for task in /proc/$guest/task/*; do
		[ "$(cat "$task/comm")" = "$1" ] && awk '/^voluntary/ { print $2 }' "$task/status"
	done
}

# serve NAME ANSWERS ARGUMENT...: a guest that moves data in each boot, and then does as it is told. The words
# of holder start its bantam.
holder=
serve() {
	name=$1
	answers=$2
	shift 2
	echo "=== $name"
	echo "data: $(sha256sum </www/data | cut -d' ' -f1)"
	rm -f /uploads /in /out
	mkfifo /in
	$holder /bin/bantam run --accel kvm --vsock 42,vhost -c 2 -m 160M -i /vhost.cpio -p quiet "$@" /kernel \
		</in >/out 2>/messages &
	guest=$!
	exec 7>/in
	boots=0
	for answer in $answers; do
		boots=$((boots + 1))
		for _ in $(seq 90); do
			[ "$(grep -c 'vhost ready' /out)" -lt $boots ] && kill -0 $guest 2>/dev/null || break
			sleep 1
		done
		echo "vsock echo: $(/bin/socat -t 20 - VSOCK-CONNECT:42:1000 </www/data | sha256sum | cut -d' ' -f1)"
		echo "waits: $(waits net-0)"
		bantam run --accel kvm -n none --vsock 42,vhost /kernel </dev/null 2>&1 | grep CID
		echo $answer >&7
	done
	for _ in $(seq 30); do
		kill -0 $guest 2>/dev/null || break
		sleep 1
	done
	kill -KILL $guest 2>/dev/null
	wait $guest
	echo "status $?"
	exec 7>&-
	cat /out
	awk '{ print "upload: " $1 }' /uploads
	sed 's/^/message: /' /messages
}
tap=mode=tap,tapif=vt0,vhost=1,mq=2,host_ip=10.9.0.1/24
serve vhost 'reboot poweroff' -n $tap
serve vhost-mmio poweroff -n $tap -o virtio.transport=mmio

# An interface on a bridge, and one that another has opened.
ip link add br0 type bridge
ip addr add 10.9.0.1/24 dev br0
ip link set br0 up
serve vhost-bridge poweroff -n mode=bridge,bridge=br0,vhost=1,mq=2
ip link del br0
cat >/holder <<'END'
#!/bin/sh
exec with-tap vt0 sh -c 'ip addr add 10.9.0.1/24 dev vt0; ip link set vt0 up; exec "$@"' sh "$@"
END
chmod +x /holder
holder=/holder
serve vhost-adopted poweroff -n mode=tap,fd=9,vhost=1

# A driver that does everything wrong.
for transport in pci mmio; do
	echo "=== vhost-hostile-$transport"
	timeout -s KILL 60 /bin/bantam run --accel kvm -n mode=tap,vhost=1,mq=2 --vsock 43,vhost -c 1 -m 64M \
		-o testdev=true -o virtio.transport=$transport --nodefaults -p "1 100" /hostile.elf </dev/null 2>&1
	echo "status $?"
done
dmesg | grep -E 'BUG:|WARNING:|general protection' | sed 's/^/outer complains: /'
echo "=== done"
poweroff -f
