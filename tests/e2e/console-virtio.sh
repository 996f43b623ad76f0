#!/bin/bash
# virtio-console with a stock kernel: hvc0 on stdin and stdout, hvc1 on a pseudo-terminal, ports on
# descriptors and a Unix socket; bytes, ends of streams, early messages, and moves of the whole VM.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh

cloud=$(kernel cloud-amd64)
tools/make-initramfs "$work/initramfs.gz" tests/e2e/guest/console-virtio.sh \
	--modules "$cloud" virtio_mmio virtio_pci virtio_console || fault "no initramfs"
head -c 1000000 /dev/urandom >"$work/sent"

# await PATTERN FILE: until a line of the file matches, at most 40 s.
await() {
	for _ in $(seq 400); do
		grep -q "$1" "$2" 2>/dev/null && return
		sleep 0.1
	done
}

# check NAME OPTION...
check() {
	local name=$1 pid pty
	local dir=$work/$name
	shift
	mkdir "$dir"
	mkfifo "$dir/stdin" "$dir/broken"
	exec 4<>"$dir/stdin" # a writer of stdin while the VM runs
	exec 6<>"$dir/broken"
	timeout -s KILL 100 "$bantam" run --accel "${ACCEL:-soft}" -m 256M -i "$work/initramfs.gz" \
		--console virtio --con 1=pts --port test.in=fd:5,null --port test.out=null,fd:7 \
		--port "test.socket=unix:$dir/socket" --port test.broken=null,fd:8 "$@" "$cloud" \
		5<"$work/sent" 7>"$dir/received" 8> >(head -c 6 >"$dir/first") \
		<"$dir/stdin" >"$dir/log" 2>"$dir/log.err" 4<&- 6<&- &
	pid=$!
	background="$background $pid"
	await '^=== echo' "$dir/log"
	pty=$(sed -n 's/^bantam: Assigned console 1 to pty //p' "$dir/log.err")
	# A client that ends its input closes the port, so it stays until it has its answer.
	(
		printf 'from socat\nand again\n'
		await 'heard and again' "$dir/heard"
	) | timeout 20 socat - "UNIX-CONNECT:$dir/socket" >"$dir/heard" &
	background="$background $!"
	(
		await 'hvc1 ready' "$dir/hvc1"
		echo "from the pty"
		await 'hvc1 heard' "$dir/hvc1"
	) | timeout 20 socat - "$pty,raw,echo=0" >"$dir/hvc1" 2>>"$dir/log.err" &
	background="$background $!"
	echo "the answer" >&4
	wait $pid
	status=$?
	exec 4>&- 6>&-
	tr -d '\r' <"$dir/log" >"$dir/log.txt"
	expect_status 0 "$name"
	grep -q '^=== done' "$dir/log.txt" || { fault "$name: not finished"; tail -n 20 "$dir/log.txt" "$dir/log.err"; return; }
	cmp "$work/sent" "$dir/received" || fault "$name: bytes were changed or lost on the way"
	[ "$(section "$dir/log" copy)" = "in: 1000000" ] || fault "$name: copy: $(section "$dir/log" copy)"
	[ "$(section "$dir/log" names | tr '\n' ' ')" = "test.broken test.in test.out test.socket " ] ||
		fault "$name: names: $(section "$dir/log" names)"
	printf 'port heard from socat\nport heard and again\n' | diff - "$dir/heard" || fault "$name: the port on a socket"
	printf 'hvc1 ready\nhvc1 heard from the pty\n' | diff - <(tr -d '\r' <"$dir/hvc1") || fault "$name: hvc1"
	[ "$(cat "$dir/first")" = first ] || fault "$name: a port that breaks: '$(cat "$dir/first")'"
	grep -q '^answer: the answer$' "$dir/log.txt" || fault "$name: stdin: $(section "$dir/log" answer)"
	[ "$(section "$dir/log" flood | tr -d '\n' | tr -d z | wc -c)" -eq 0 ] &&
		[ "$(section "$dir/log" flood | tr -d '\n' | wc -c)" -eq 500000 ] ||
		fault "$name: a flood of 500000 bytes is $(section "$dir/log" flood | tr -d '\n' | wc -c) on stdout"
	grep -q 'Linux version' "$dir/log.txt" || fault "$name: the kernel's first messages are missing"
	check_dmesg "$dir/log" "$name"
	[ ! -e "$dir/socket" ] || fault "$name: the socket is left"
}

check plain -c 2
check moved -c 1 -o debug.move_every=200
finish
