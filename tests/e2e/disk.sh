#!/bin/bash
# Disks: an ext4 on raw and qcow2 images under fio with verification, options of --disk, and power cuts.
# CUTS (20): how often the power is cut.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
accel=${ACCEL:-soft}
cuts=${CUTS:-20}

kernel=$(kernel cloud-amd64)
# shellcheck disable=SC2046 # a list of words on purpose
tools/make-initramfs "$work/i.gz" tests/e2e/guest/disk.sh --with fio --with mkfs.ext4 --with e2fsck \
	--modules "$kernel" virtio_pci virtio_mmio virtio_blk ext4 || exit 1
guest() { # SECONDS LOG WHAT ARGUMENT...
	local seconds=$1 log=$2 what=$3
	shift 3
	boot "$seconds" "$work/$log" --accel "$accel" -c 1 -m 512M -n none -i "$work/i.gz" -k "$kernel" -p "quiet disk=$what" "$@"
}

# ---- fio on each format ----
check_fio() { # NAME: what the guest printed
	grep -q "no file system" "$work/$1.txt" && fault "$1: no file system"
	section "$work/$1" fio | grep -q '^fio 0$' || { fault "$1: fio: $(section "$work/$1" fio)"; tail -n 5 "$work/$1.err"; }
	for word in trimmed whole; do
		section "$work/$1" fio | grep -q "^$word" || fault "$1: not $word"
	done
}
truncate -s 200M "$work/disk.raw" "$work/second.raw"
guest 60 raw fio -d "$work/disk.raw,format=raw,serial=FIRST" -d "$work/second.raw,ro,serial=SECOND"
check_fio raw
[ "$(section "$work/raw" facts)" = "vda 409600 0 FIRST
vdb 409600 1 SECOND" ] || fault "disks: $(section "$work/raw" facts)"
guest 60 qcow2 fio -d "$work/disk.qcow2,size=200M,queues=2"
check_fio qcow2
qemu-img check -q "$work/disk.qcow2" || fault "qcow2: qemu-img check: $(qemu-img check "$work/disk.qcow2" 2>&1 | tail -n 3)"
qemu-img convert -O raw "$work/disk.qcow2" "$work/copy.raw" && e2fsck -fn "$work/copy.raw" >/dev/null 2>&1 ||
	fault "qcow2: the file system is not whole for qemu-img"
[ "$(stat -c %b "$work/disk.qcow2")" -lt 100000 ] || fault "qcow2: discards gave nothing back: $(stat -c %b "$work/disk.qcow2") blocks"
"$bantam" image create -b disk.qcow2 -F qcow2 "$work/layer.qcow2" || fault "a layer"

# ---- power cuts ----
# Blocks that were synced are there, the file system comes back, and the image has no faults.
for i in $(seq "$cuts"); do
	: >"$work/cut.log" # before the guest has its output there, which the loop below looks at
	"$bantam" run --accel "$accel" -c 1 -m 512M -n none -i "$work/i.gz" -k "$kernel" -p "quiet disk=write" \
		-d "$work/layer.qcow2" >"$work/cut.log" 2>"$work/cut.err" </dev/null &
	pid=$!
	background="$background $pid"
	for _ in $(seq 300); do
		grep -q "kept $((1 + i * 5 % 23))" "$work/cut.log" && break
		sleep 0.1
	done
	sleep "0.$((i * 37 % 100))"
	kill -9 $pid
	wait $pid 2>/dev/null
	# What the ring still held of the image, its lock too, is given up a moment after the process.
	for _ in $(seq 50); do
		qemu-img info "$work/layer.qcow2" >/dev/null 2>&1 && break
		sleep 0.1
	done
	grep -q "no file system" "$work/cut.log" && fault "cut $i: no file system"
	grep -q kept "$work/cut.log" || { fault "cut $i: nothing was written"; tail -n 3 "$work/cut.err" "$work/cut.log"; }
	# Status 3 is clusters that are in use for nothing, which is no damage.
	qemu-img check -q "$work/layer.qcow2" >"$work/check.log" 2>&1
	case $? in 0 | 3) ;; *) fault "cut $i: $(tail -n 3 "$work/check.log")" ;; esac
	"$bantam" image check "$work/layer.qcow2" >"$work/check.log" 2>&1
	case $? in 0 | 3) ;; *) fault "cut $i: $(cat "$work/check.log")" ;; esac
done
guest 60 checked check -d "$work/layer.qcow2"
for word in kept whole; do
	section "$work/checked" check | grep -q "^$word" || fault "after cuts: not $word: $(section "$work/checked" check)"
done
section "$work/checked" check | grep differs && fault "what was synced is lost"
"$bantam" image check --repair "$work/layer.qcow2" >/dev/null || fault "repair after cuts"
qemu-img check -q "$work/layer.qcow2" || fault "not clean after repair"

# ---- a full host disk ----
# The host's file system is a small tmpfs in a mount namespace, which gets more room when the guest has met its end.
unshare -m sleep 600 2>/dev/null &
holder=$!
background="$background $holder"
mkdir "$work/small"
small() { nsenter -t "$holder" -m --wd="$PWD" "$@"; }
fill() { # FORMAT
	local log=$work/full.$1
	timeout -k 5 90 nsenter -t "$holder" -m --wd="$PWD" "$bantam" run --accel "$accel" -c 1 -m 512M -n none -i "$work/i.gz" \
		-k "$kernel" -p "quiet disk=full" -d "$work/small/disk,format=$1,size=200M" >"$log" 2>"$log.err" </dev/null &
	local pid=$!
	background="$background $pid"
	for _ in $(seq 600); do
		grep -q "^full" "$log" && break
		sleep 0.1
	done
	small mount -o remount,size=256M "$work/small" || fault "full $1: no more room"
	wait $pid || fault "full $1: exit status $?"
	tr -d '\r' <"$log" >"$log.txt"
	[ "$(section "$log" full | grep -v '^\[' | sort | tr '\n' ' ')" = "full kept went on whole " ] || fault "full $1: $(cat "$log.txt")"
	grep -q "No space left on device: reported to the guest as an I/O error" "$log.err" || fault "full $1: $(cat "$log.err")"
	[ "$1" = raw ] || small qemu-img check -q "$work/small/disk" || fault "full $1: qemu-img check"
}
if sleep 0.2 && small mount -t tmpfs -o size=24M tmpfs "$work/small" 2>/dev/null; then
	fill raw
	small rm "$work/small/disk"
	small mount -o remount,size=24M "$work/small"
	fill qcow2
else
	echo "a full host disk: not tested, mounting a tmpfs is not allowed here"
fi
kill "$holder" 2>/dev/null
wait "$holder" 2>/dev/null

# ---- messages ----
expect_message() { # STATUS TEXT ARGUMENT...
	local wanted=$1 text=$2
	shift 2
	boot 20 "$work/message" --accel "$accel" -n none -k "$kernel" "$@"
	expect_status "$wanted" "$*"
	grep -qF -- "$text" "$work/message.err" || fault "$*: $(tail -n 1 "$work/message.err")"
}
expect_message 64 "disk specified with no size or name" -d ""
expect_message 64 "Unknown disk config: colour" -d "$work/disk.raw,colour=red"
expect_message 64 "Invalid disk size: 5Q" -d "$work/new.raw,size=5Q"
expect_message 4 "No such file or directory" -d "$work/nothing.raw"
expect_message 4 "Error creating disk [$work/no/new.qcow2] format qcow2" -d "$work/no/new.qcow2,size=1G"
expect_message 4 "is longer than 20 bytes" -d "$work/disk.raw,serial=123456789012345678901"
qemu-img create -q -f vmdk "$work/other.vmdk" 1M
expect_message 4 "looks like a vmdk image, which is not supported" -d "$work/other.vmdk"
# A second writer; readers share.
expect_message 4 "is in use by another program" -d "$work/disk.raw,format=raw" -d "$work/disk.raw,format=raw"
finish
