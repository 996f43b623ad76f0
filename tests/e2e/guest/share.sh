#!/bin/sh
# Guest of tests/e2e/share.sh: the host's own system, read-only over virtiofs, is where its tools come from;
# /mnt there is a share over virtiofs, /media one over 9p.
export PATH=/bin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
/bin/load-modules
mkdir /host
mount -t virtiofs -o ro system /host || echo "FAIL system"
mount -t proc proc /host/proc
mount -t devtmpfs dev /host/dev
mount -t tmpfs tmp /host/tmp
mount -t virtiofs one /host/mnt || echo "FAIL virtiofs"
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=mmap two /host/media || echo "FAIL 9p"

cat >/host/tmp/part <<'PART'
cd "$1" || exit 1
export HOME=/tmp GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 LC_ALL=C
git config --global --add safe.directory '*'
echo "=== ops $2"
./share-ops ops root mmap $3
echo "=== tree $2"
cp -a tree copy
(cd copy && find . -type f -print0 | sort -z | xargs -0 sha256sum) >sums
mv copy/d0 copy/moved
find copy/d1 -type f -name '*7' -delete
find copy -name '*3.txt' | while read -r f; do mv "$f" "${f%.txt}.renamed"; done
rm -r copy/d2
ls -U copy/moved | wc -l
echo "=== tools $2"
git clone -q repository clone && git -C clone fsck --no-progress && git -C clone status --short
# The host stamps files; its clock may be half a second ahead of one set by the seconds of an RTC.
wait_for_stamps() {
	until touch /tmp/now && [ -z "$(find clone -newer /tmp/now)" ]; do sleep 0.1; done
}
wait_for_stamps
(cd clone && make -s && ./program)
wait_for_stamps
tar cf clone.tar clone && mkdir unpacked && tar xf clone.tar -C unpacked && diff -r clone unpacked/clone && echo same
echo "=== lock $2"
flock locked sh -c 'touch lock-held; while [ ! -e lock-go ]; do sleep 0.1; done; echo over'
PART
chroot /host /bin/sh /tmp/part /mnt virtiofs 2>&1
chroot /host /bin/sh /tmp/part /media 9p seconds 2>&1

echo "=== race"
# The host swaps a directory for a link out of the share all the time.
for where in /host/mnt /host/media; do
	n=0
	while [ $n -lt 300 ]; do
		cat $where/race/file 2>/dev/null
		n=$((n + 1))
	done | sort -u
	cat $where/escape $where/up/secret $where/../secret 2>/dev/null
	ls $where/.. >/dev/null
done
echo "=== readonly"
for f in /host/etc/passwd /host/etc/new; do
	echo x >>$f && echo "written: $f"
done 2>/dev/null
mount -t virtiofs closed /tmp && cat /tmp/file && touch /tmp/file 2>&1
rm -f /tmp/file 2>&1
echo "=== dmesg"
dmesg
echo "=== end"
sync
poweroff -f
