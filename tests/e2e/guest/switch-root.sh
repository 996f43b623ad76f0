#!/bin/sh
# Goes on with the system on the first disk.
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
load-modules
mkdir -p /root
mount -t ext4 /dev/vda /root || poweroff -f
umount /proc
exec switch_root /root /sbin/init
