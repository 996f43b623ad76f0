#!/bin/bash
# Debian 12 under systemd, installed on a qcow2 layer over a raw image, with every device there is: comes up
# to ssh through a published port, nothing has failed, the kernel has no complaint, and it powers off
# when told. With the cloud and the generic kernel.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
accel=${ACCEL:-soft}
base=$(tools/get-debian) || exit 1
mkdir "$work/share"
echo "from the host" >"$work/share/file"
devices=(--share "$work/share,shared" --con 1=null)
known=(-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=2)

# free_port: a TCP port nobody listens on now.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

in_guest() {
	timeout 30 ssh "${known[@]}" -i "$base.key" -p "$port" root@127.0.0.1 "$@" </dev/null
}

# debian FLAVOUR MODULE...: boots it, looks around, powers it off.
debian() {
	local flavour=$1 image log began limit
	shift
	image=$(kernel "$flavour")
	log=$work/$flavour
	port=$(free_port)
	tools/make-initramfs "$log.gz" tests/e2e/guest/switch-root.sh --modules "$image" virtio_pci virtio_blk ext4 crc32c_generic || exit 1
	began=$(date +%s%N)
	"$bantam" run --accel "$accel" -c 2 -m 1G -d "$log.qcow2,backing=$base,backing-format=raw,size=2G" -i "$log.gz" \
		-n "mode=user,publish=$port:22" --rng "${devices[@]}" "$@" -p "net.ifnames=0" "$image" >"$log" 2>"$log.err" </dev/null &
	pid=$!
	background="$background $pid"
	limit=$((SECONDS + 120))
	until in_guest true 2>/dev/null; do
		kill -0 $pid 2>/dev/null && [ $SECONDS -lt $limit ] || { fault "$flavour: no ssh"; tail -n 30 "$log" "$log.err"; return; }
		sleep 0.5
	done
	echo "$flavour: ssh after $((($(date +%s%N) - began) / 1000000)) ms"
	[ "$(in_guest 'systemctl is-system-running --wait; systemctl --failed --plain --no-legend')" = running ] ||
		fault "$flavour: $(in_guest systemctl --failed --plain)"
	[ "$(in_guest nproc)" = 2 ] || fault "$flavour: not two CPUs"
	in_guest 'findmnt -n -o FSTYPE /' | grep -qx ext4 || fault "$flavour: no ext4 root"
	in_guest 'dmesg --level=emerg,alert,crit,err' >"$log.dmesg"
	[ -s "$log.dmesg" ] && { fault "$flavour: the kernel complains"; cat "$log.dmesg"; }
	in_guest 'ls /sys/bus/virtio/devices | wc -l; for d in /sys/bus/virtio/devices/*; do [ -e $d/driver ] || cat $d/modalias; done' >"$log.devices"
	head -n 1 "$log.devices" | sed "s/^/$flavour: virtio devices: /"
	[ "$(wc -l <"$log.devices")" = 1 ] || fault "$flavour: devices without a driver: $(cat "$log.devices")"
	in_guest 'echo kept >/root/kept && sync && systemctl poweroff' || true
	for _ in $(seq 300); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
	kill -9 $pid 2>/dev/null && { fault "$flavour: does not power off"; tail -n 20 "$log"; }
	wait $pid
	status=$?
	expect_status 0 "$flavour"
}

tools/install-packages openssh-client python3-minimal
debian cloud-amd64
debian amd64 --9p "$work/share,nine" # the cloud kernel has no 9P
finish
