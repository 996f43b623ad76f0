#!/bin/bash
# The console: a slow reader loses nothing, on either side, a large paste arrives whole, what is typed
# before the guest listens too, stdin at its end leaves the guest running, Ctrl-a x leaves, and the
# terminal is as before.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
guests=$BUILD/tests/guest
accel=${ACCEL:-soft}
run=("$bantam" run --accel "$accel" -c 1 -m 64M -o testdev=true)

# A reader that sleeps between small reads.
timeout 60 "${run[@]}" "$guests/flood.elf" 2>/dev/null </dev/null |
	(for _ in 1 2 3 4 5; do head -c 4096; sleep 0.1; done; cat) | tr -d '\r' >"$work/flood"
[ "$(grep -c 'lazy dog$' "$work/flood")" -eq 4096 ] || fault "$(grep -c 'lazy dog$' "$work/flood") lines of 4096 came through a slow pipe"
[ "$(sort -c -k2,2n "$work/flood" 2>&1)" = "" ] || fault "lines are out of order"

# Output to a file is whole when the process has ended.
timeout 60 "${run[@]}" "$guests/flood.elf" 2>/dev/null </dev/null >"$work/flood2"
[ "$(grep -c 'lazy dog' "$work/flood2")" -eq 4096 ] || fault "$(grep -c 'lazy dog' "$work/flood2") lines of 4096 in a file"

# Output nobody reads holds up neither the second signal nor, once the VM is gone, a third one.
mkfifo "$work/stuck"
exec 8<>"$work/stuck"
head -c 65536 /dev/zero >&8 # the pipe is full from the start
"${run[@]}" "$guests/flood.elf" >"$work/stuck" 2>"$work/stuck.err" </dev/null &
pid=$!
background="$background $pid"
for signal in 1 2 3; do
	sleep 0.7
	kill -0 $pid 2>/dev/null || fault "a stuck reader: ended before signal $signal"
	kill -TERM $pid 2>/dev/null
done
for _ in $(seq 60); do kill -0 $pid 2>/dev/null || break; sleep 0.05; done
kill -0 $pid 2>/dev/null && fault "a stuck reader keeps the process from ending"
wait $pid
status=$?
expect_status 143 "a stuck reader"
exec 8>&-

# 100 KB in one go, through a pipe and from a file; the guest's sum tells that each byte came in order.
head -c 75000 /dev/urandom | base64 -w 0 | tr -d '\n' | head -c 100000 >"$work/paste"
expected=$(od -An -v -tu1 -w1 "$work/paste" | awk '{ sum = (sum * 31 + $1) % 4294967296; n++ } END { printf "%08x %08x", n, sum }')
printf '~' >>"$work/paste"
got=$( (sleep 0.5; cat "$work/paste"; sleep 5) | timeout 60 "${run[@]}" "$guests/echo.elf" 2>/dev/null | tr -d '\r' | tail -n 2 | tr '\n' ' ')
[ "${got% }" = "$expected" ] || fault "paste through a pipe: '$got', not '$expected'"
(head -c 64 /dev/zero; cat "$work/paste") >"$work/early"
got=$(timeout 60 "${run[@]}" "$guests/echo.elf" 2>/dev/null <"$work/early" | tr -d '\r' | tail -n 2 | tr '\n' ' ')
[ "${got% }" = "$expected" ] || fault "paste from a file: '$got', not '$expected'"

# 2 MB each way through the driver of a stock kernel. Whoever reads is slow to begin with in the guest, and
# stops again and again here.
cat >"$work/line" <<'S'
#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
exec </dev/ttyS0
stty raw -echo crtscts
echo "=== ready"
sleep 6
dd bs=65536 count=32 iflag=fullblock 2>/dev/null >/data
echo "=== sum $(sha256sum </data)"
echo "=== data"
cat /data
echo "=== end"
stty raw >/dev/null # waits until all is out
poweroff -f
S
head -c 1572864 /dev/urandom | base64 -w 0 >"$work/data"
cloud=$(kernel cloud-amd64)
initrd=$(initramfs "$work/line")
mkfifo "$work/typed"
: >"$work/line.out"
exec 9<>"$work/typed"
(for _ in $(seq 300); do grep -q '=== ready' "$work/line.out" && break; sleep 0.1; done; exec cat "$work/data" >&9) &
background="$background $!"
timeout -k 5 120 "$bantam" run --accel "$accel" -c 1 -m 256M -p quiet --initrd "$initrd" "$cloud" 2>"$work/line.err" <&9 |
	(sed -u '/=== ready/q'; for _ in 1 2 3 4; do head -c 65536; sleep 1; done; cat) >"$work/line.out"
sent=$(sha256sum <"$work/data") sum=$(tr -d '\r' <"$work/line.out" | sed -n 's/^=== sum //p')
[ "$sum" = "$sent" ] || fault "2 MB to the guest arrives as '$sum', not '$sent'"
got=$(tr -d '\r' <"$work/line.out" | sed -n '/^=== data$/,/=== end$/p' | tail -n +2 | sed 's/=== end$//' | head -c 2097152 | sha256sum)
[ "$got" = "$sent" ] || fault "2 MB from the guest is '$got', not '$sent'"
exec 9>&-

# On a terminal: the mode is raw while it runs, Ctrl-a x leaves, and the mode comes back.
if command -v script >/dev/null; then
	cat >"$work/session.sh" <<S
stty -a | grep -o -- '-\?icanon' >"$work/before"
"$bantam" run --accel "$accel" -c 1 -m 64M "$guests/spin.elf"
echo \$? >"$work/status"
stty -a | grep -o -- '-\?icanon' >"$work/after"
S
	( sleep 2; printf '\001x'; sleep 1 ) | timeout 20 script -qec "bash $work/session.sh" /dev/null >"$work/terminal" 2>&1
	[ "$(cat "$work/status" 2>/dev/null)" = "$(cat "$work/status" 2>/dev/null | grep -x 5)" ] && [ -s "$work/status" ] || fault "Ctrl-a x: exit status $(cat "$work/status" 2>/dev/null), not 5"
	cmp -s "$work/before" "$work/after" || fault "terminal mode before: $(cat "$work/before"), after: $(cat "$work/after")"
	grep -q spinning "$work/terminal" || fault "no console output on a terminal"
else
	fault "script(1) is missing"
fi
finish
