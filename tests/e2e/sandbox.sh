#!/bin/bash
# `bantam sandbox` is a command's wrapper that nobody notices: status, streams, arguments, environment
# and folder are exact, the host's files stay as they are, and nothing is left behind. Then SANDBOX_RUNS
# (100) one after the other. Also `bantam run` with nothing to boot from.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh

bantam=$(realpath "$bantam")
cloud=$(kernel cloud-amd64)
generic=$(kernel amd64)
[ -f "$cloud" ] && [ -f "$generic" ] || { echo "no kernels"; exit 1; }
image=$cloud
name=sandbox-test-$$
export TMPDIR=$work/tmp XDG_DATA_HOME=$work/tmp XDG_RUNTIME_DIR=$work/tmp
mkdir "$TMPDIR"

# sandbox ARGUMENT...: runs it within 60 s; sets status.
sandbox() {
	timeout -k 5 60 "$bantam" sandbox --accel "${ACCEL:-soft}" --name "$name" -k "$image" "$@"
	status=$?
}

# ---- status ----
sandbox true
expect_status 0 true
sandbox -- sh -c 'exit 42'
expect_status 42 "exit 42"
sandbox -- sh -c 'kill -TERM $$'
expect_status 143 "a command that a signal ends"
sandbox -- no-such-command 2>"$work/err"
expect_status 127 "a command that is not there"
grep -q 'no-such-command: no such file' "$work/err" || fault "no word on stderr of a missing command"
sandbox -- /etc/hostname 2>"$work/err"
expect_status 126 "a file that is no program"

# ---- streams ----
head -c 300000 /dev/urandom >"$work/bytes"
sandbox -- sh -c 'cat; echo error >&2' <"$work/bytes" >"$work/out" 2>"$work/err"
cmp "$work/bytes" "$work/out" || fault "bytes through stdin and stdout differ"
[ "$(cat "$work/err")" = error ] || fault "stderr is '$(cat "$work/err")'"
image=$generic
sandbox -- sh -c 'grep -w / /proc/mounts | grep -q overlay && cat "$1"' sh "$work/bytes" >"$work/out" 2>"$work/err"
expect_status 0 "generic kernel"
cmp "$work/bytes" "$work/out" || fault "bytes of a file on the root share differ"
[ ! -s "$work/err" ] || fault "stderr of a quiet command: $(cat "$work/err")"
image=$cloud
# The reader leaves: the command dies of SIGPIPE.
{ sandbox -- sh -c 'yes || exit $?'; echo "$status" >"$work/status"; } 2>/dev/null | head -n 1 >"$work/out"
[ "$(cat "$work/status")" = 141 ] || fault "a broken pipe gives $(cat "$work/status"), not 141"

# ---- the time, to less than the half second that an RTC leaves open ----
for image in "$generic" "$cloud"; do
	before=$(date +%s%N)
	now=$(sandbox -- date +%s%N)
	awk -v a="$before" -v t="$now" -v b="$(date +%s%N)" 'BEGIN { exit !(t > a && t < b) }' ||
		fault "the time in the guest is $now, between $before and $(date +%s%N) on the host"
done

# ---- words, variables, folder ----
odd=$'two\nlines' quotes="it's \"\$HOME\" \\ *"
mkdir "$work/a b"
(cd "$work/a b" && PASSED=yes sandbox --env SET='x y' --env PASSED --env NOT_THERE \
	-- sh -c 'printf "%s|" "$@"; printf "%s %s %s %s" "$SET" "$PASSED" "${NOT_THERE-none}" "$(pwd)"' sh "$odd" "$quotes" "" --rw) >"$work/out"
[ "$(cat "$work/out")" = "$odd|$quotes||--rw|x y yes none $(realpath "$work")/a b" ] || fault "words arrive as $(cat "$work/out")"

# ---- what may be written ----
mkdir "$work/rw"
sandbox --rw "$work/rw" -- sh -c 'echo new >"$1/rw/file" && echo changed >"$1/bytes" && cat "$1/bytes"' sh "$work" >"$work/out"
expect_status 0 "writing"
[ "$(cat "$work/rw/file")" = new ] || fault "a file written below --rw is not there"
[ "$(cat "$work/out")" = changed ] || fault "a file in the overlay does not change"
[ "$(stat -c %s "$work/bytes")" = 300000 ] || fault "a file of the host was changed"

# ---- a disk for the command ----
"$bantam" image convert -O qcow2 "$work/bytes" "$work/disk.qcow2" >/dev/null
sandbox -d "$work/disk.qcow2" -- sh -c 'head -c 300000 /dev/vda; dd if=/dev/zero of=/dev/vda bs=1000 count=1 conv=fsync 2>/dev/null' >"$work/out"
expect_status 0 "a disk"
cmp "$work/bytes" "$work/out" || fault "a disk's bytes differ"
"$bantam" image convert -O raw "$work/disk.qcow2" "$work/disk.raw" >/dev/null
head -c 300000 "$work/disk.raw" | cmp -s - <(head -c 1000 /dev/zero; tail -c +1001 "$work/bytes") || fault "a write to a disk is not there"

# ---- network ----
sandbox -- sh -c 'ls /sys/class/net' >"$work/out"
[ "$(cat "$work/out")" = lo ] || fault "network cards without --net: $(cat "$work/out")"

# ---- time and signals ----
sandbox --timeout 0.5s sleep 100 2>"$work/err"
expect_status 124 "--timeout"
sandbox -- sh -c 'trap "echo asked; exit 9" INT; echo ready; while :; do sleep 0.1; done' >"$work/out" &
job=$!
for _ in $(seq 400); do
	grep -q ready "$work/out" && break
	sleep 0.1
done
kill -INT "$(pgrep -P "$(pgrep -P $job)")" || fault "no bantam to interrupt"
wait $job
grep -q asked "$work/out" || fault "a signal is not passed on"

# ---- mistakes ----
sandbox --rw /no/such/folder true 2>"$work/err"
expect_status 125 "--rw of nothing"
[ "$(cat "$work/err")" = "bantam: --rw: folder '/no/such/folder': No such file or directory" ] || fault "says $(cat "$work/err")"
sandbox -i "$work/bytes" true 2>"$work/err"
expect_status 125 "an initrd"
[ "$(cat "$work/err")" = "bantam: kernel.initrd: a sandbox has an initrd of its own (leave out --initrd)" ] || fault "says $(cat "$work/err")"
sandbox -p 'quiet panic=-1 rdinit=/none' true 2>"$work/err"
expect_status 125 "a guest that panics"
grep -q 'Kernel panic' "$work/err" || fault "the panic is not shown: $(cat "$work/err")"

# ---- a terminal, in the foreground and in the background, with something to read ----
for way in --foreground ""; do
	SHELL=/bin/sh script -qec "stty rows 33 cols 101; timeout $way -k 5 60 $bantam sandbox --accel soft -k $cloud \
		-- sh -c 'tty; stty size; echo \$TERM'" /dev/null </dev/null >"$work/out"
	status=$?
	expect_status 0 "a terminal (timeout $way)"
	tr -d '\r' <"$work/out" | grep -qx '33 101' || fault "the terminal's size: $(cat "$work/out")"
	grep -q /dev/pts/0 "$work/out" || fault "no terminal: $(cat "$work/out")"
done

# ---- bantam run alone: what is typed before there is a shell waits for it ----
# run_alone WHAT COMMAND...: the command is bantam.
run_alone() {
	local what=$1 line
	shift
	rm -f "$work/typed"
	mkfifo "$work/typed"
	exec 9<>"$work/typed"
	echo 'echo address $(ip -4 -o addr show eth0 | grep -c 10.0.2.15); grep nameserver /etc/resolv.conf; touch /here && echo written; exit 5' >&9
	"$@" run --accel "${ACCEL:-soft}" --name "$name" -p quiet -k "$image" >"$work/console" 2>"$work/err" <&9
	status=$?
	exec 9>&-
	expect_status 0 "$what"
	sed 's/\r$//; s/\x1b\[[?0-9]*[a-z]//g; s/\r//g' <"$work/console" >"$work/console.txt"
	for line in 'address 1' 'nameserver 10.0.2.3' written 'bantam: the shell ended with status 5'; do
		grep -q "^$line\$" "$work/console.txt" || fault "$what: no line '$line': $(tail -n 20 "$work/console.txt" "$work/err")"
	done
	[ ! -e /here ] || fault "$what: the host's / was changed"
}
run_alone "run on the host's files" timeout -k 5 60 "$bantam"

# ---- as a user without rights, a home or folders of its own ----
user() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}
chmod 711 "$work" "$TMPDIR"
mkdir -p "$work/user/boot" "$work/user/lib/modules" "$work/user/rw"
cp "$bantam" "$work/user/bantam"
cp "$cloud" "$work/user/boot"
cp -r "$(dirname "$cloud")/../lib/modules/${cloud##*/vmlinuz-}" "$work/user/lib/modules"
[ "$(id -u)" -ne 0 ] || chown 65534:65534 "$work/user/rw"
image=$work/user/boot/${cloud##*/}
user_bantam() {
	user env -u HOME XDG_RUNTIME_DIR=/nonexistent XDG_DATA_HOME=/nonexistent TMPDIR=/nonexistent timeout -k 5 60 \
		"$work/user/bantam" "$@"
}
user_sandbox() {
	user_bantam sandbox --accel "${ACCEL:-soft}" --name "$name" -k "$image" "$@"
	status=$?
}
head -c 300000 /dev/urandom >"$work/user/bytes"
(cd "$work/user/rw" && user_sandbox --rw . -- sh -c 'cat; echo error >&2; echo new >file; mkdir folder; pwd >folder/pwd; exit 42'; exit "$status") \
	<"$work/user/bytes" >"$work/out" 2>"$work/err"
status=$?
expect_status 42 "a user without rights"
cmp "$work/user/bytes" "$work/out" || fault "a user's bytes through stdin and stdout differ"
[ "$(cat "$work/err")" = error ] || fault "a user's stderr is '$(cat "$work/err")'"
[ "$(cat "$work/user/rw/file" "$work/user/rw/folder/pwd")" = "new"$'\n'"$(realpath "$work/user/rw")" ] || fault "a user's files are not there"
[ "$(stat -c %u "$work/user/rw/file")" = "$(stat -c %u "$work/user/rw")" ] || fault "a user's file belongs to $(stat -c %u "$work/user/rw/file")"
if [ "$(id -u)" -eq 0 ]; then
	echo secret >"$work/user/secret"
	chmod 600 "$work/user/secret"
	user_sandbox -- sh -c 'cat "$1"; echo no >"$1"' sh "$work/user/secret" >"$work/out" 2>&1
	grep -q '^secret$' "$work/out" && fault "a user's guest reads what the user may not"
	[ "$(cat "$work/user/secret")" = secret ] || fault "a user's guest changed a file of root"
fi
run_alone "a user's run" user_bantam
# Kernels that only root may read, as some distributions have them.
chmod 000 "$work/user/boot/${cloud##*/}"
user_sandbox true 2>"$work/err"
expect_status 125 "a kernel the user may not read"
grep -q "kernel .*: Permission denied; .*sudo chmod a+r" "$work/err" || fault "no remedy: $(cat "$work/err")"
mkdir -p "$work/user/cache/bantam/test"
mv "$work/user/boot" "$work/user/cache/bantam/test"
user env XDG_CACHE_HOME="$work/user/cache" "$work/user/bantam" run 2>"$work/err" </dev/null
status=$?
expect_status 4 "only kernels the user may not read"
grep -q "the kernel image $work/user/cache/.* is not for this user to read: run 'sudo chmod a+r" "$work/err" ||
	fault "no remedy: $(cat "$work/err")"
rm -r "$work/user"
image=$cloud

# ---- roots that are folders ----
"$bantam" setup kept 2>"$work/err" || fault "setup: $(cat "$work/err")"
sandbox -d kept -- sh -c 'echo new >/etc/kept-file; rm /etc/hostname; mkdir /opt/moved; mv /opt/moved /opt/there'
expect_status 0 "writing into a kept root"
sandbox -d kept -- sh -c 'cat /etc/kept-file; hostname; ls /etc/hostname; ls -d /opt/there' >"$work/out" 2>/dev/null
[ "$(cat "$work/out")" = "new"$'\n'"$name"$'\n'"/opt/there" ] || fault "a kept root has $(cat "$work/out")"
rm -r "$TMPDIR/bantam"
mkdir -p "$work/root/bin" "$work/root/sbin" "$work/root/dev"
cp "$(command -v busybox)" "$work/root/bin"
printf '#!/bin/busybox sh\n/bin/busybox touch /made\n/bin/busybox poweroff -f\n' >"$work/root/sbin/init"
chmod +x "$work/root/sbin/init"
boot 60 "$work/own" --accel "${ACCEL:-soft}" -p quiet -k "$generic" -d "$work/root"
expect_status 0 "a folder with an init of its own"
[ -f "$work/root/made" ] || fault "the folder's own init did not run: $(cat "$work/own")"

# ---- again and again ----
start=$SECONDS runs=0
while [ $runs -lt "${SANDBOX_RUNS:-100}" ]; do
	wanted=$((runs * 7 % 256))
	found=$(sandbox -- sh -c "echo $runs; exit $wanted"; echo $status)
	[ "$found" = "$runs"$'\n'"$wanted" ] || fault "run $runs: '$found'"
	runs=$((runs + 1))
done
echo "$runs runs in $((SECONDS - start)) s"
left=$(pgrep -f "name $name" | tr '\n' ' ')
[ -z "$left" ] || fault "processes left: $left"
left=$(ls -A "$TMPDIR")
[ -z "$left" ] || fault "files left: $left"
finish
