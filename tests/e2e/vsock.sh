#!/bin/bash
# vsock with a stock kernel: host and guest connect to each other, bytes and ends of streams arrive, a
# slow reader holds its sender, and what nobody listens to is refused. socat is client and server. Sockets
# that keep messages apart do so both ways.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh

cloud=$(kernel cloud-amd64)
messages=$work/messages
gcc -static -O1 -Wall -Wextra -o "$messages" tests/e2e/guest/messages.c || fault "no program for messages"
tools/make-initramfs "$work/initramfs.gz" tests/e2e/guest/vsock.sh --with socat "$messages=bin/messages" \
	--modules "$cloud" virtio_mmio virtio_pci vmw_vsock_virtio_transport || fault "no initramfs"
head -c 3000000 /dev/urandom >"$work/file"
sum=$(sha256sum <"$work/file" | cut -d' ' -f1)
socket=$work/v
mkfifo "$work/stdin"
exec 4<>"$work/stdin"

# await PATTERN FILE: until a line of the file matches, at most 40 s.
await() {
	for _ in $(seq 400); do
		grep -q "$1" "$2" 2>/dev/null && return
		sleep 0.1
	done
}

# What the guest connects to.
timeout 90 socat -u "$work/file" "UNIX-LISTEN:${socket}_2000" &
background="$background $!"
timeout 90 socat -u "UNIX-LISTEN:${socket}_2001" "CREATE:$work/from-guest" &
receiver=$!
head -c 1234 /dev/zero >"$work/small"
timeout 90 socat -t 20 "UNIX-LISTEN:${socket}_2002" "OPEN:$work/small,rdonly!!CREATE:$work/counted" &
background="$background $receiver $!"
timeout 90 "$messages" unix-listen "${socket}_2003" >/dev/null &
background="$background $!"

timeout -s KILL 100 "$bantam" run --accel "${ACCEL:-soft}" -c 2 -m 256M -i "$work/initramfs.gz" -p quiet \
	--vsock "42,$socket" "$cloud" <"$work/stdin" >"$work/log" 2>"$work/log.err" 4<&- &
pid=$!
background="$background $pid"
await '^=== ready' "$work/log"
[ -S "$socket" ] || { fault "no socket: $(cat "$work/log.err")"; finish; }

# ask PORT: a client that speaks the handshake, then passes its input on.
ask() {
	(
		echo "CONNECT $1"
		cat
	) | timeout 40 socat -t 20 - "UNIX-CONNECT:$socket"
}
answer=$(echo hello | ask 1000)
[[ $answer =~ ^OK\ [0-9]+$'\n'hello$ ]] || fault "echo: '$answer'"
for n in 1 2 3 4; do
	ask 1000 <"$work/file" >"$work/echo$n" &
	clients[n]=$!
done
for n in 1 2 3 4; do
	wait "${clients[n]}"
	[ "$(tail -n +2 "$work/echo$n" | sha256sum | cut -d' ' -f1)" = "$sum" ] ||
		fault "echo of 3 MB, client $n: $(stat -c %s "$work/echo$n") bytes"
done
start=$EPOCHREALTIME
ask 1001 <"$work/file" >/dev/null
awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { exit !(b - a > 1) }' || fault "a reader that sleeps holds nobody up"
answer=$(echo x | ask 1999)
[ -z "$answer" ] || fault "a port nobody listens on: '$answer'"
for request in "CONNECT" "CONNECT x" "HELLO 1000" "CONNECT 99999999999" "$(head -c 200 /dev/zero | tr '\0' a)"; do
	answer=$(echo "$request" | timeout 10 socat -t 5 - "UNIX-CONNECT:$socket" 2>/dev/null)
	[ -z "$answer" ] || fault "request '$request': '$answer'"
done
[ -S "$socket.seq" ] || fault "no socket for messages"
timeout 40 "$messages" unix-ask "$socket.seq" 1003 >"$work/asked" 2>&1
grep -q '^answer: OK [0-9]' "$work/asked" && grep -qx 'messages are as they were' "$work/asked" ||
	fault "messages of the host: $(cat "$work/asked")"
timeout 10 "$messages" unix-ask "$socket.seq" 1999 >"$work/asked" 2>&1 && fault "a port nobody takes messages on"
await '^slow: ..' "$work/log"
echo >&4
wait $pid
status=$?
exec 4>&-
tr -d '\r' <"$work/log" >"$work/log.txt"
expect_status 0 vsock
grep -q '^=== done' "$work/log.txt" || { fault "not finished"; tail -n 20 "$work/log.txt" "$work/log.err"; }
grep -qx "from the host: $sum" "$work/log.txt" || fault "a file of the host: $(grep '^from' "$work/log.txt")"
wait $receiver
grep -qx "mine: $(sha256sum <"$work/from-guest" | cut -d' ' -f1)" "$work/log.txt" || fault "a file of the guest"
[ "$(cat "$work/counted")" = 1234 ] || fault "half a close: '$(cat "$work/counted")'"
[ "$(section "$work/log" refused)" = "Connection reset by peer" ] || fault "refused: '$(section "$work/log" refused)'"
[ "$(section "$work/log" messages)" = "messages are as they were" ] ||
	fault "messages of the guest: $(section "$work/log" messages)"
grep -qx "slow: $sum" "$work/log.txt" || fault "a slow reader: $(grep '^slow' "$work/log.txt")"
check_dmesg "$work/log" vsock
[ ! -e "$socket" ] && [ ! -e "$socket.seq" ] || fault "the socket is left"
finish
