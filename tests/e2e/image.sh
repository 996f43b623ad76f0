#!/bin/bash
# `bantam image` beside qemu-img: each reads what the other makes, both find the same contents, and
# qemu-img's check finds nothing wrong with what bantam wrote.
. tests/e2e-lib.sh

cd "$work" || exit 1
case $bantam in /*) ;; *) bantam=$OLDPWD/$bantam ;; esac
image() { "$bantam" image "$@" 2>>errors; }

# expect_same WHAT FILE FORMAT: its contents are those of model.raw, for qemu-img and for bantam.
expect_same() {
	qemu-img compare -q -f raw -F "$3" model.raw "$2" >compare.log 2>&1 ||
		fault "$1: qemu-img reads something else: $(cat compare.log)"
	rm -f out.raw
	image convert -f "$3" -O raw "$2" out.raw || fault "$1: bantam cannot read it: $(tail -n1 errors)"
	cmp -s out.raw model.raw || fault "$1: bantam reads something else"
}

# expect_clean WHAT FILE
expect_clean() {
	qemu-img check -q -f qcow2 "$2" >check.log 2>&1 || fault "$1: qemu-img check: $(cat check.log)"
	image check "$2" >check.log || fault "$1: bantam image check: $(cat check.log)"
}

# A disk of 24 MiB with noise, text that can be compressed, and holes.
truncate -s 24M model.raw
for at in 0 3 9 20; do
	head -c 1500000 /dev/urandom | dd of=model.raw bs=1M seek=$at conv=notrunc status=none
done
yes 'The quick brown fox jumps over the lazy dog.' | head -c 3000000 |
	dd of=model.raw bs=1M seek=13 conv=notrunc status=none

# ---- images of qemu-img, read by bantam ----
for kind in compat=0.10 compat=1.1 cluster_size=512 cluster_size=2M lazy_refcounts=on refcount_bits=1 refcount_bits=64 \
	preallocation=metadata; do
	qemu-img convert -q -f raw -O qcow2 -o "$kind" model.raw q.qcow2 || fault "qemu-img convert -o $kind"
	expect_same "qemu's qcow2 with $kind" q.qcow2 qcow2
	image check q.qcow2 >check.log || fault "$kind: bantam finds faults in qemu's image: $(cat check.log)"
done
for type in zlib zstd; do
	qemu-img convert -q -c -f raw -O qcow2 -o compression_type=$type model.raw q.qcow2
	expect_same "qemu's image compressed with $type" q.qcow2 qcow2
	image check q.qcow2 >check.log || fault "$type: $(cat check.log)"
done

# ---- images of bantam, read by qemu-img ----
for options in --compat=2 --compat=3 --cluster-size=512 --cluster-size=2M --lazy-refcounts -c '-c --compression zstd' \
	'-c --compat 2 --cluster-size 4K'; do
	# shellcheck disable=SC2086 # a list of words on purpose
	image convert -f raw -O qcow2 --force $options model.raw b.qcow2 || fault "convert $options: $(tail -n1 errors)"
	expect_clean "bantam's qcow2 with $options" b.qcow2
	expect_same "bantam's qcow2 with $options" b.qcow2 qcow2
done
[ "$(stat -c %s b.qcow2)" -lt 12000000 ] || fault "compressed image of $(stat -c %s b.qcow2) bytes"

# ---- layers ----
qemu-img create -q -f qcow2 -b model.raw -F raw top.qcow2
expect_same "qemu's layer" top.qcow2 qcow2
image create -b model.raw -F raw layer.qcow2 || fault "create -b: $(tail -n1 errors)"
expect_clean "bantam's layer" layer.qcow2
expect_same "bantam's layer" layer.qcow2 qcow2
image create -b layer.qcow2 layer2.qcow2 && fault "a layer without the format of its backing file was made"
image create -b layer.qcow2 -F qcow2 layer2.qcow2
qemu-io -f qcow2 -c 'write -P 7 1M 70000' -c 'write -z 3M 1M' -c 'discard 9M 256k' layer2.qcow2 >/dev/null
qemu-img convert -q -O raw layer2.qcow2 model2.raw
rm -f out.raw
image convert -O raw layer2.qcow2 out.raw
cmp -s out.raw model2.raw || fault "a chain of three reads wrong"
image commit layer2.qcow2 merged.raw
cmp -s merged.raw model2.raw || fault "commit into a new image"
image commit -d layer2.qcow2 || fault "commit -d: $(tail -n1 errors)"
expect_clean "what was committed into" layer.qcow2
qemu-img convert -q -O raw layer.qcow2 out2.raw
cmp -s out2.raw model2.raw || fault "commit -d into a qcow2 layer"
# An image that does not tell the format of its backing file.
qemu-img create -q -f qcow2 -b model.raw -F raw untold.qcow2
qemu-img rebase -q -u -f qcow2 -b '' untold.qcow2
python3 - <<'END'
import struct
f = open("untold.qcow2", "r+b")
name = b"model.raw"
f.seek(8); f.write(struct.pack(">QI", 0x8000, len(name)))
f.seek(0x8000); f.write(name)
END
image convert -O raw untold.qcow2 no.raw && fault "a backing file was probed"
tail -n1 errors | grep -q 'say backing-format=raw' || fault "no remedy: $(tail -n1 errors)"
image convert -F raw -O raw untold.qcow2 yes.raw && cmp -s yes.raw model.raw || fault "--backing-format is not heeded"

# ---- snapshots ----
qemu-img convert -q -f raw -O qcow2 model.raw snap.qcow2
qemu-img snapshot -c one snap.qcow2
image info snap.qcow2 | grep -q ' one ' || fault "info does not list the snapshot"
image create -b "$work/snap.qcow2" -F qcow2 over.qcow2
qemu-io -f qcow2 -c 'write -P 9 0 5M' over.qcow2 >/dev/null
image commit -d over.qcow2
expect_clean "an image with a snapshot" snap.qcow2
qemu-img convert -q -l one -O raw snap.qcow2 one.raw
cmp -s one.raw model.raw || fault "the snapshot was changed"

# ---- sizes ----
image create grow.qcow2 100M
image resize grow.qcow2 +400G || fault "resize: $(tail -n1 errors)"
expect_clean "a resized image" grow.qcow2
size=$("$bantam" image info --json grow.qcow2 | python3 -c 'import json,sys; print(json.load(sys.stdin)["virtual-size"])')
[ "$size" = $((100 * 1024 * 1024 + 400 * 1024 * 1024 * 1024)) ] || fault "size after growing: $size"
image resize grow.qcow2 50M && fault "shrunk without being told"
image resize --shrink grow.qcow2 50M || fault "shrink: $(tail -n1 errors)"
expect_clean "a shrunk image" grow.qcow2
cp model.raw shrink.raw
image resize --shrink -f raw shrink.raw 10M && [ "$(stat -c %s shrink.raw)" = 10485760 ] || fault "raw shrink"

# ---- damage ----
cp b.qcow2 bad.qcow2
python3 - <<'END'
import struct
f = open("bad.qcow2", "r+b")
f.seek(20); bits = struct.unpack(">I", f.read(4))[0]
f.seek(48); table = struct.unpack(">Q", f.read(8))[0]
f.seek(table); block = struct.unpack(">Q", f.read(8))[0]
f.seek(block + 8); f.write(b"\0" * 64)
END
image check bad.qcow2 >check.log; [ $? -eq 2 ] || fault "damage was not seen: $(cat check.log)"
image check --repair bad.qcow2 >check.log || fault "repair: $(cat check.log)"
expect_clean "a repaired image" bad.qcow2
expect_same "a repaired image" bad.qcow2 qcow2
# An image left by a program that was killed with lazy refcounts.
qemu-img create -q -f qcow2 -o lazy_refcounts=on lazy.qcow2 24M
(qemu-io -f qcow2 -c 'write -P 5 0 3M' -c 'abort' lazy.qcow2; :) >/dev/null 2>&1
image create -b "$work/lazy.qcow2" -F qcow2 onlazy.qcow2
image commit -d onlazy.qcow2
expect_clean "an image that was left dirty" lazy.qcow2
image convert --force -f raw model.raw b.qcow2
python3 - <<'END'
f = open("b.qcow2", "r+b")
f.seek(72); f.write((1 << 40 | 1 << 4).to_bytes(8, "big"))
END
image convert -O raw b.qcow2 no.raw && fault "unknown features were accepted"
tail -n1 errors | grep -q 'extended L2 entries, bit 40' || fault "features: $(tail -n1 errors)"

# ---- User Mode Linux ----
image create -f cow -b model.raw layer.cow || fault "create -f cow: $(tail -n1 errors)"
cp -p model.raw kept.raw
rm -f out.raw
image convert -O raw layer.cow out.raw && cmp -s out.raw model.raw || fault "a COW file reads wrong"
image info --json layer.cow | python3 -c 'import json,sys; d=json.load(sys.stdin); assert d["format"]=="cow" and d["actual-size"] < d["file-length"]' ||
	fault "info of a COW file"
touch model.raw
image convert -O raw layer.cow no.raw && fault "a COW file was read although its backing file has changed"
tail -n1 errors | grep -q 'was changed since' || fault "message: $(tail -n1 errors)"

# ---- locks ----
image create locked.qcow2 1M
qemu-io -f qcow2 -c 'sleep 60000' locked.qcow2 >/dev/null &
holder=$!
background="$background $holder"
sleep 1
image resize locked.qcow2 2M && fault "an image was written that QEMU has open"
tail -n1 errors | grep -q 'in use' || fault "message: $(tail -n1 errors)"
image check locked.qcow2 && fault "an image was read that QEMU is writing"
image info locked.qcow2 >/dev/null || fault "info cannot look at an image in use"
kill -9 $holder; wait $holder 2>/dev/null
image map --json snap.qcow2 | python3 -c 'import json,sys; assert sum(e["length"] for e in json.load(sys.stdin)) == 24 << 20' ||
	fault "map does not cover the image"
finish
