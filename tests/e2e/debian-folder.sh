#!/bin/bash
# A Debian system in a folder of this host boots under systemd with `-d FOLDER`: a login, a network, no
# failed unit, files of its own that stay, and a clean end.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
[ "$(id -u)" -eq 0 ] || skip "the files of a system belong to many users: only root can unpack it"

image=$(tools/get-debian) || exit 1
mkdir "$work/root"
debugfs -R "rdump / $work/root" "$image" >/dev/null 2>"$work/unpack.err"
[ -e "$work/root/etc/passwd" ] || { cat "$work/unpack.err"; exit 1; }
: >"$work/root/etc/fstab" # the image's tells of a disk

mkfifo "$work/typed"
exec 9<>"$work/typed"
: >"$work/log"

# see TEXT: waits until the console shows it.
see() {
	for _ in $(seq 1500); do
		grep -q "$1" "$work/log" && return
		sleep 0.1
	done
	fault "the console never shows '$1'"
	tail -n 20 "$work/log"
}

timeout -k 5 240 "$bantam" run --accel "${ACCEL:-soft}" -c 2 -m 512M -p quiet -k "$(kernel cloud-amd64)" -d "$work/root" \
	>"$work/log" 2>"$work/err" <&9 &
job=$!
background="$background $job"
see 'login:'
echo root >&9
see 'root@'
echo 'stty -echo; ip -4 -o addr show eth0 | grep -o 10.0.2.15; echo units $(systemctl --failed --no-legend | wc -l); echo kept >/etc/kept; echo a-$((40 + 2)); poweroff' >&9
wait $job
status=$?
expect_status 0 "a system in a folder"
sed 's/\r//g; s/\x1b\[[?0-9]*[a-z]//g' <"$work/log" >"$work/text"
for line in 10.0.2.15 'units 0' a-42; do
	grep -q "^$line\$" "$work/text" || fault "no line '$line': $(tail -n 40 "$work/text")"
done
grep -q 'reboot: Power down' "$work/text" || fault "it did not switch itself off"
grep -E 'unmount.*(fail|busy)|Failed to' "$work/text" && fault "the system complains"
[ "$(cat "$work/root/etc/kept" 2>/dev/null)" = kept ] || fault "what it wrote is not in the folder"
finish
