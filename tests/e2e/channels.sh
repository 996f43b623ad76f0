#!/bin/bash
# Serial ports on channels: a file, a pseudo-terminal, a TCP port, also one for several, a Unix socket, and
# input and output apart; driven with socat and screen.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh

gz=$(initramfs tests/e2e/guest/lines.sh .gz)
cloud=$(kernel cloud-amd64)
port=$((20000 + RANDOM % 10000))
timeout -s KILL 100 "$bantam" run --accel "${ACCEL:-soft}" -c 1 -m 256M -i "$gz" -p quiet \
	--serial "0=file:$work/log" --tty 1 --serial "2=port:$port" --serial "3=unix:$work/line3" "$cloud" \
	>"$work/stdout" 2>"$work/messages" </dev/null &
pid=$!
background="$background $pid"

for _ in $(seq 100); do
	pty=$(sed -n 's/^bantam: Assigned terminal 1 to pty //p' "$work/messages")
	[ -S "$work/line3" ] && [ -n "$pty" ] && break
	sleep 0.1
done
[ -c "$pty" ] || fault "no pseudo-terminal: $(cat "$work/messages")"
[ "$(stat -c %a "$work/line3")" = 600 ] || fault "mode of the socket: $(stat -c %a "$work/line3")"

# One connection carries both directions.
for n in 1 2 3; do
	case $n in
	1) address=$pty,raw,echo=0 ;;
	2) address=TCP:127.0.0.1:$port ;;
	3) address=UNIX-CONNECT:$work/line3 ;;
	esac
	mkfifo "$work/in$n"
	timeout 90 socat "$address" - <"$work/in$n" >"$work/answer$n" 2>"$work/socat$n" &
	background="$background $!"
	(
		exec >"$work/in$n"
		for _ in $(seq 600); do grep -q "ready $n" "$work/answer$n" 2>/dev/null && break; sleep 0.1; done
		printf 'one\ntwo words\nend\n'
		for _ in $(seq 100); do grep -q "bye $n" "$work/answer$n" && break; sleep 0.1; done
	) &
	background="$background $!"
done
wait $pid
status=$?
expect_status 0 "serial ports on channels"
for n in 1 2 3; do
	printf 'ready %s\nline %s: one\nline %s: two words\nbye %s\n' $n $n $n $n |
		diff - <(tr -d '\r' <"$work/answer$n") || fault "line $n: see above; $(cat "$work/socat$n")"
done
[ ! -s "$work/stdout" ] || fault "something on stdout: $(head -c 200 "$work/stdout")"
tr -d '\r' <"$work/log" >"$work/log.txt"
[ "$(section "$work/log" ports)" = 4 ] || fault "ports: '$(section "$work/log" ports)': $(tail -n 5 "$work/log.txt")"
[ ! -e "$work/line3" ] || fault "the socket is left"

# ---- two lines on one TCP port, no fourth port; input and output apart ----

# session NAME: a client of the port that reads $work/NAME.in and writes $work/NAME.
session() {
	mkfifo "$work/$1.in"
	timeout 90 socat "TCP:127.0.0.1:$port,retry=100,interval=0.1" - <"$work/$1.in" >"$work/$1" 2>"$work/$1.err" \
		5>&- 6>&- 7>&- &
	background="$background $!"
}

# await FILE WORD: until the word is in the file, 30 s at most.
await() {
	for _ in $(seq 300); do
		grep -q "$2" "$1" 2>/dev/null && return
		sleep 0.1
	done
	fault "no '$2' in $1: '$(cat "$1")'"
}

timeout -s KILL 100 "$bantam" run --accel "${ACCEL:-soft}" -c 1 -m 256M -i "$gz" -p "quiet lines=1,2" \
	--serial "0=file:$work/log" --serial "1=port:$port" --serial "2=port:$port" --serial 3=none "$cloud" \
	>"$work/stdout" 2>"$work/messages" </dev/null &
pid=$!
background="$background $pid"
session first
exec 5>"$work/first.in"
await "$work/first" ready
session second
exec 6>"$work/second.in"
await "$work/second" ready
session surplus
exec 7>"$work/surplus.in"
echo hello >&5
await "$work/first" hello
[ "$(sed -n 's/^ready //p' "$work/first" "$work/second" | tr -d '\r' | sort | tr '\n' ' ')" = "1 2 " ] ||
	fault "sessions got '$(cat "$work/first" "$work/second")'"
[ ! -s "$work/surplus" ] || fault "a surplus session got '$(cat "$work/surplus")'"
exec 5>&- # the first detaches; its line is the third's now
printf 'again\nend\n' >&7
await "$work/surplus" bye
printf 'end\n' >&6
await "$work/second" bye
wait $pid
status=$?
expect_status 0 "two lines on one port"
line=$(sed -n 's/^ready \([12]\).*/\1/p' "$work/first")
grep -q "^line $line: again" "$work/surplus" || fault "the third session: '$(cat "$work/surplus")'"
tr -d '\r' <"$work/log" >"$work/log.txt"
[ "$(section "$work/log" ports)" = 3 ] || fault "ports without the fourth: '$(section "$work/log" ports)'"
[ "$(section "$work/log" named)" = 3 ] || fault "ports that ACPI names: '$(section "$work/log" named)'"

# The second line is a pseudo-terminal with screen on it.
mkfifo "$work/input"
exec 8<>"$work/input"
timeout -s KILL 60 "$bantam" run --accel "${ACCEL:-soft}" -c 1 -m 256M -i "$gz" -p "quiet lines=1,2" \
	--serial "0=file:$work/log" --serial "1=fd:8,file:$work/output" --serial 2=pts "$cloud" \
	>"$work/stdout" 2>"$work/messages" </dev/null &
pid=$!
background="$background $pid"
await "$work/messages" 'Assigned serial line 2'
export SCREENDIR=$work/screen
mkdir -m 700 "$SCREENDIR"
echo 'logfile flush 0' >"$work/screenrc"
screen -c "$work/screenrc" -L -Logfile "$work/screen.log" -DmS line \
	"$(sed -n 's/^bantam: Assigned serial line 2 to pty //p' "$work/messages")" 8>&- &
background="$background $!"
await "$work/screen.log" ready
screen -S line -X stuff $'typed there\nend\n'
await "$work/screen.log" bye
await "$work/output" ready
printf 'from one\nend\n' >&8
wait $pid
status=$?
screen -S line -X quit >/dev/null
expect_status 0 "input and output apart"
printf 'ready 1\nline 1: from one\nbye 1\n' | diff - <(tr -d '\r' <"$work/output") || fault "IN,OUT: see above"
printf 'ready 2\nline 2: typed there\nbye 2\n' | diff - <(tr -d '\r' <"$work/screen.log") || fault "screen: see above"

# ---- mistakes ----

refuse() {
	local sentence=$1
	shift
	timeout -s KILL 20 "$bantam" run --accel soft "$@" /k >"$work/out" 2>"$work/err" </dev/null && fault "$* is accepted"
	grep -qxF "bantam: $sentence" "$work/err" || fault "$*: says '$(head -n 1 "$work/err")', wanted '$sentence'"
}
refuse "serial.1.channel: channel 'fd:x': 'x' is no descriptor number" --serial 1=fd:x
refuse "serial.4.channel: there are only 0 to 3" -o serial.4.channel=pts
refuse "serial.4.channel: there are only 0 to 3" --serial 4=pts
refuse "serial.1.channel: channel 'xterm' is not offered; pts is a pseudo-terminal, to which a terminal such as screen \
is attached" --serial 1=xterm
refuse "console.channel: channel 'fd' needs a value after a colon" --con fd
refuse "console.2.channel: channel 'tty:': a path is missing" --con 2=tty:
refuse "port.0.channel: channel 'file:': a path is missing" --port x=file:
refuse "port.0.channel is missing" -o port.0.name=x
refuse "port.1.name: port 0 is called 'x' already" --port x=null --port x=null
refuse "port.0.name: 'a/b' must be a file name of 1 to 63 bytes" --port a/b=null
refuse "more than 31 consoles and ports; consoles without a channel of their own, up to the last that \
has one, count too" --con 31=null
refuse "Invalid terminal '4': there are 0 to 3" --tty 4
refuse "serial.channel: channel 'port:0': the port must be 1 to 65535" --serial port:0
finish
