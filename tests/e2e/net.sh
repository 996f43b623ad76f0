#!/bin/bash
# Guests on every kind of network, with curl and iperf3 both ways and every byte checked: user mode with
# DHCP, DNS, IPv6 and published ports; a tap interface; a switch with an uplink to the host; a multicast
# LAN shared with QEMU. In network and mount namespaces of its own, so nothing of the host's is touched.
# NET_BYTES (64 MiB, more than 1 GB in all) says how much is moved each time; `make check-net` moves 1 GiB.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ -z "${NET_INSIDE-}" ]; then
	unshare -nm true 2>/dev/null || { echo "network namespaces need root"; exit 77; }
	[ -w /dev/net/tun ] || { echo "/dev/net/tun cannot be opened"; exit 77; }
	NET_INSIDE=1 exec unshare -nm "$0" "$@"
fi
. tests/e2e-lib.sh
bytes=${NET_BYTES:-67108864}
seconds=${NET_SECONDS:-1}
limit=${NET_TIMEOUT:-180}
image=$(kernel cloud-amd64)
guest=$work/net.cpio
tools/make-initramfs "$guest" tests/e2e/net/guest.sh --with curl --with iperf3 \
	--modules "$image" virtio_mmio virtio_pci virtio_net || exit 1
gcc -O1 -Wall -Wextra -o "$work/with-tap" tests/e2e/net/with-tap.c || exit 1
sum=$(tests/e2e/net/server.py --digest "$bytes")

echo "nameserver 127.0.0.1" >"$work/resolv.conf"
mount --bind "$work/resolv.conf" /etc/resolv.conf || exit 1
ip link set lo up multicast on
ip route add 224.0.0.0/4 dev lo
tests/e2e/net/server.py 8000 "$work/server.log" 127.0.0.1 &
background="$background $!"
iperf3 -s >/dev/null &
background="$background $!"

# start NAME ROLE ARGUMENT...: a guest in the background, whose bantam the words of holder start; its console
# goes to NAME.
holder=()
start() {
	local name=$work/$1 role=$2
	shift 2
	"${holder[@]}" timeout -s KILL "$limit" "$bantam" run --accel soft -c 1 -m 256 -i "$guest" "$@" "$image" \
		-p "quiet role=$role bytes=$bytes seconds=$seconds" >"$name" 2>"$name.err" </dev/null &
	background="$background $!"
	last=$!
}

# ended NAME PID: waits for a guest and checks its end.
ended() {
	wait "$2"
	status=$?
	tr -d '\r' <"$work/$1" >"$work/$1.txt"
	expect_status 0 "$1"
	check_dmesg "$work/$1" "$1"
	[ "$status" -eq 0 ] || tail -n 20 "$work/$1.txt" "$work/$1.err"
}

# until_serving NAME PID: until the guest says that it waits for us.
until_serving() {
	until grep -q '=== serving' "$work/$1"; do
		kill -0 "$2" 2>/dev/null || break
		sleep 0.1
	done
}

# expect_line NAME SECTION LINE
expect_line() {
	section "$work/$1" "$2" | grep -qF "$3" || fault "$1: $2: no '$3' but $(section "$work/$1" "$2" | head -n 5)"
}

# moved NAME: both transfers with the host arrived whole.
moved() {
	expect_line "$1" download "$sum"
	expect_line "$1" upload sent
	grep -qx "put $bytes $sum" "$work/server.log" || fault "$1: upload: $(grep put "$work/server.log")"
	sed -i '/^put/d' "$work/server.log"
	speeds "$1"
}

speeds() {
	local way
	for way in out in; do
		section "$work/$1" "iperf $way" | grep -q 'bits/sec' || fault "$1: no iperf $way"
		echo "$1: $way $(section "$work/$1" "iperf $way" | awk '{ print $(NF - 2), $(NF - 1) }')"
	done
}

# fetch URL: what the guest serves has the sum it says; what is sent there arrives.
fetch() {
	curl -gsS -m 120 "$1/file" >"$work/file" || fault "$1: no file"
	curl -gsS -m 20 "$1/sum" >"$work/sum" || fault "$1: no sum"
	sha256sum <"$work/file" | cmp -s - "$work/sum" || fault "$1: the file came damaged"
	curl -gsS -m 120 --data-binary @"$work/file" "$1/cgi-bin/sum" | cmp -s - "$work/sum" ||
		fault "$1: the file arrived damaged"
}

# release ADDRESS PORT: tells a serving guest to go on.
release() {
	timeout 10 busybox nc "$1" "$2" </dev/null >/dev/null 2>&1
}

# Each of these two has a second guest beside the first, to save time.
user_network() {
	start user user -n user --publish 8080:80 --publish '[::1]:8081:80' --publish 0.0.0.0:9000-9001:98-99 \
		--publish 5202:5201 --publish 5202:5201/udp
	local pid=$last restricted
	start restricted restricted -n user,restrict=on --publish 8180:80 --publish 9101:99
	restricted=$last
	until_serving user "$pid"
	fetch http://127.0.0.1:8080
	fetch 'http://[::1]:8080'
	fetch 'http://[::1]:8081'
	for address in 127.0.0.1 ::1; do
		iperf3 -u -c "$address" -p 5202 -t 1 -b 4M >"$work/udp" 2>&1 || fault "UDP: $(tail -n 3 "$work/udp")"
		grep -q ' 0/[1-9][0-9]* (0%) .*receiver' "$work/udp" ||
			fault "UDP by $address loses datagrams: $(grep receiver "$work/udp")"
	done
	release 127.0.0.1 9001
	ended user "$pid"
	expect_line user lease 10.0.2.15/24
	expect_line user name 192.0.2.7
	expect_line user download6 "$sum"
	moved user
	until_serving restricted "$restricted"
	fetch http://127.0.0.1:8180
	release 127.0.0.1 9101
	ended restricted "$restricted"
	section "$work/restricted" restricted | grep -q 'got out' && fault "a restricted guest gets out"
}

tap_network() {
	ip link add br0 type bridge && ip addr add 192.168.34.9/24 dev br0 && ip link set br0 up
	start tap static -n mode=tap,tapif=bantam0,host_ip=192.168.33.1
	local pid=$last bridge
	start bridge server -n mode=bridge,bridge=br0
	bridge=$last
	until_serving tap "$pid"
	fetch http://192.168.33.15
	release 192.168.33.15 99
	ended tap "$pid"
	moved tap
	[ ! -e /sys/class/net/bantam0 ] || fault "the tap interface is still there"
	until_serving bridge "$bridge"
	fetch http://192.168.34.1
	release 192.168.34.1 99
	ended bridge "$bridge"
	ip link del br0
	# An interface that another has made and left open for bantam.
	holder=("$work/with-tap" adopted0 sh -c 'ip addr add 192.168.34.9/24 dev adopted0 && ip link set adopted0 up && exec "$@"' sh)
	start adopted server -n mode=tap,fd=9
	holder=()
	until_serving adopted "$last"
	fetch http://192.168.34.1
	release 192.168.34.1 99
	ended adopted "$last"
	[ ! -e /sys/class/net/adopted0 ] || fault "the adopted interface is still there"
}

switch_network() {
	"$bantam" switch --tap uplink0 "$work/switch" 2>"$work/switch.err" &
	local server client
	background="$background $!"
	local switch=$!
	until [ -S "$work/switch" ]; do kill -0 "$switch" || { cat "$work/switch.err"; break; }; sleep 0.05; done
	ip addr add 192.168.34.3/24 dev uplink0
	start switch-server server -n mode=socket,path="$work/switch"
	server=$last
	until_serving switch-server "$server"
	fetch http://192.168.34.1
	start switch-client client -n mode=socket,path="$work/switch"
	client=$last
	ended switch-client "$client"
	ended switch-server "$server"
	expect_line switch-client "peer download" same
	expect_line switch-client "peer upload" same
	speeds switch-client
	kill -TERM "$switch"
	wait "$switch" || fault "the switch ends with $?"
	[ ! -e "$work/switch" ] || fault "the switch leaves its socket behind"
}

# The other member is QEMU's: both speak the same format.
mcast_network() {
	timeout -s KILL "$limit" qemu-system-x86_64 -accel tcg -m 256 -display none -monitor none -serial stdio \
		-kernel "$image" -initrd "$guest" -no-reboot \
		-append "console=ttyS0 quiet role=server bytes=$bytes" \
		-netdev socket,id=n,mcast=239.192.168.1:1102 -device virtio-net-pci,netdev=n,romfile= \
		>"$work/qemu" 2>&1 </dev/null &
	local qemu=$!
	background="$background $qemu"
	start mcast-client client -n mcast
	ended mcast-client "$last"
	wait "$qemu" || { fault "QEMU ends with $?"; tail -n 5 "$work/qemu"; }
	expect_line mcast-client "peer download" same
	expect_line mcast-client "peer upload" same
	speeds mcast-client
}

for part in ${1:-user tap switch mcast}; do
	before=$EPOCHREALTIME
	"${part}_network"
	awk -v p="$part" -v a="$before" -v b="$EPOCHREALTIME" 'BEGIN { printf "%s: %.1f s\n", p, b - a }'
done
grep -h 'warning' "$work"/*.err && fault "bantam warns"
finish
