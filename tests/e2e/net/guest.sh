#!/bin/sh
# Init of the guests of tests/e2e/net.sh. The kernel's command line says who this one is (role=) and how
# many bytes to move (bytes=). Prints "=== NAME" before each part's output.
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for word in $(cat /proc/cmdline); do
	case $word in
	role=* | bytes=* | seconds=* | peer=*) export "$word" ;;
	esac
done
size=$bytes
[ "$size" -le 33554432 ] || size=33554432
load-modules
ip link set lo up
ip link set eth0 up

# Both ways through HOST at once, the first one checked here, the second one there.
transfer() {
	echo "=== download"
	/bin/curl -sS -m 600 "http://$1:8000/$bytes" | sha256sum
	echo "=== upload"
	/bin/curl -sS -m 600 "http://$1:8000/$bytes" | /bin/curl -sS -m 600 -T - "http://$1:8000/up" && echo sent
}

# iperf HOST: bits per second out and in.
iperf() {
	echo "=== iperf out"
	/bin/iperf3 -c "$1" -t "$seconds" -f m | grep receiver
	echo "=== iperf in"
	/bin/iperf3 -R -c "$1" -t "$seconds" -f m | grep receiver
}

# What is served lies in memory: larger amounts are moved by asking for it several times.
serve() {
	mkdir -p /www/cgi-bin
	dd if=/dev/urandom of=/www/file bs=64k count=$((size / 65536)) 2>/dev/null
	sha256sum </www/file >/www/sum
	printf '#!/bin/sh\nprintf "Content-type: text/plain\\r\\n\\r\\n"\nsha256sum\n' >/www/cgi-bin/sum
	chmod 755 /www/cgi-bin/sum
	httpd -p 80 -h /www
	/bin/iperf3 -s -D >/dev/null
}

# Until somebody connects to port 99.
wait_for_end() {
	echo "=== serving"
	nc -l -p 99 </dev/null >/dev/null
}

lease() {
	mkdir -p /usr/share/udhcpc
	cat >/lease <<'LEASE'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
ip route add default via $router
for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
LEASE
	chmod 755 /lease
	udhcpc -s /lease -i eth0 -q -n -t 10 >/dev/null 2>&1
	ip -4 addr show eth0 | grep inet
}

case $role in
user)
	echo "=== lease"
	lease
	echo "=== name"
	nslookup -type=a example.test
	transfer 10.0.2.2
	iperf 10.0.2.2
	while ! ip -6 addr show eth0 | grep 'inet6 fec0' | grep -qv tentative; do sleep 0.1; done
	echo "=== download6"
	/bin/curl -sS -m 600 "http://[fec0::2]:8000/$bytes" | sha256sum
	serve
	wait_for_end
	;;
restricted)
	lease
	echo "=== restricted"
	/bin/curl -sS -m 2 http://10.0.2.2:8000/1 >/dev/null && echo got out
	serve
	wait_for_end
	;;
speed-user)
	lease
	iperf 10.0.2.2
	;;
speed-tap)
	ip addr add "192.168.33.15/24" dev eth0
	iperf 192.168.33.1
	;;
static)
	ip addr add "192.168.33.15/24" dev eth0
	transfer 192.168.33.1
	iperf 192.168.33.1
	serve
	wait_for_end
	;;
server)
	ip addr add 192.168.34.1/24 dev eth0
	serve
	wait_for_end
	;;
client)
	ip addr add 192.168.34.2/24 dev eth0
	until ping -c 1 -W 1 192.168.34.1 >/dev/null 2>&1; do sleep 0.2; done
	until /bin/curl -sf http://192.168.34.1/sum >/sum; do sleep 0.2; done
	echo "=== peer download"
	for i in $(seq $((bytes / size))); do
		/bin/curl -sS -m 600 http://192.168.34.1/file | sha256sum | cmp - /sum || break
		[ "$i" -ne $((bytes / size)) ] || echo same
	done
	echo "=== peer upload"
	for i in $(seq $((bytes / size))); do
		/bin/curl -sS -m 600 http://192.168.34.1/file |
			/bin/curl -sS -m 600 --data-binary @- http://192.168.34.1/cgi-bin/sum | cmp - /sum || break
		[ "$i" -ne $((bytes / size)) ] || echo same
	done
	iperf 192.168.34.1
	nc 192.168.34.1 99 </dev/null
	;;
esac
echo "=== dmesg"
dmesg
echo "=== end"
poweroff -f
