#!/bin/sh
# Init of the disk test. Words on the kernel's command line choose: disk=fio makes an ext4 on vda and
# runs fio with verification on it; disk=write writes numbered blocks until the power is cut;
# disk=check looks whether the file system is whole; disk=full writes vda until the host has no room left, and
# goes on when there is some.
mkdir -p /mnt
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
/bin/load-modules
for word in $(cat /proc/cmdline); do
	case $word in disk=*) what=${word#disk=} ;; esac
done

case $what in
fio)
	echo "=== facts"
	for disk in /sys/block/vd*; do
		echo "$(basename "$disk") $(cat "$disk/size") $(cat "$disk/ro") $(cat "$disk/serial")"
	done
	echo "=== fio"
	mkfs.ext4 -q -F /dev/vda && mount -t ext4 -o discard /dev/vda /mnt || echo "no file system"
	/bin/fio --name=v --filename=/mnt/file --size=12M --rw=randwrite --bsrange=512-64k --blockalign=512 --verify=crc32c \
		--ioengine=psync --fsync=64 --direct=0 --norandommap --minimal >/tmp/fio.log 2>&1
	echo "fio $?"
	rm /mnt/file
	fstrim /mnt && echo "trimmed"
	cp /bin/busybox /mnt/kept && sync
	umount /mnt
	/bin/e2fsck -fn /dev/vda >/dev/null 2>&1 && echo "whole"
	;;
write)
	mount -t ext4 /dev/vda /mnt || echo "no file system"
	echo "=== writing"
	n=0
	while :; do
		n=$((n + 1))
		{ head -c 20000 /dev/urandom; echo "round $n"; } >/mnt/part
		md5sum </mnt/part >/mnt/part.sum
		sync
		mv /mnt/part.sum "/mnt/$((n % 20)).sum"
		mv /mnt/part "/mnt/$((n % 20))"
		sync
		echo "kept $n"
		[ $((n % 7)) -ne 0 ] || rm -f "/mnt/$((n % 20 / 2))" "/mnt/$((n % 20 / 2)).sum"
	done
	;;
check)
	echo "=== check"
	mount -t ext4 /dev/vda /mnt || echo "no file system"
	for file in /mnt/[0-9]*.sum; do
		name=${file%.sum}
		[ -f "$name" ] || continue
		[ "$(md5sum <"$name")" = "$(cat "$file")" ] && good=$((good + 1)) || echo "differs: $name"
	done
	echo "good ${good:-0}"
	cmp /bin/busybox /mnt/kept && echo "kept"
	umount /mnt
	/bin/e2fsck -fn /dev/vda >/dev/null 2>&1 && echo "whole"
	;;
full)
	echo "=== full"
	dd if=/dev/urandom of=/tmp/kept bs=64k count=128 2>/dev/null
	dd if=/tmp/kept of=/dev/vda bs=64k oflag=direct conv=fsync 2>/dev/null || echo "not written"
	dd if=/dev/zero bs=64k count=512 2>/dev/null | tr '\000' x >/tmp/more
	dd if=/tmp/more of=/dev/vda bs=64k seek=128 oflag=direct conv=fsync 2>/dev/null || echo "full"
	for _ in $(seq 60); do
		dd if=/tmp/more of=/dev/vda bs=64k seek=128 oflag=direct conv=fsync 2>/dev/null && echo "went on" && break
		sleep 0.5
	done
	dd if=/dev/vda bs=64k count=128 iflag=direct 2>/dev/null | cmp - /tmp/kept && echo "kept"
	dd if=/dev/vda bs=64k skip=128 count=512 iflag=direct 2>/dev/null | cmp - /tmp/more && echo "whole"
	;;
esac
poweroff -f
