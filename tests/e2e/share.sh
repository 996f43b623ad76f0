#!/bin/bash
# Shared directories over virtiofs and 9p, served as an unprivileged user: a tree copied, hashed, renamed and
# deleted, compared with the same done on the host; git, make, tar; locks that hold on both sides; a race
# for a way out. FILES (20000) sets the size of the tree.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
files=${FILES:-20000}

generic=$(kernel amd64)
gz=$(tools/make-initramfs "$work/share.gz" tests/e2e/guest/share.sh \
	--modules "$generic" virtio_pci virtio_mmio virtiofs 9p 9pnet_virtio && echo "$work/share.gz") || exit 1
gcc -static -O1 -Wall -o "$work/share-ops" tests/e2e/guest/share-ops.c || exit 1
cp "$bantam" "$generic" "$work"
echo secret >"$work/secret"

# prepare DIR: what both shares hold at first.
prepare() {
	mkdir -p "$1/race" "$1/tree" && cp "$work/share-ops" "$1"
	python3 - "$1/tree" "$files" <<-'PYTHON'
		import os, sys
		top, files = sys.argv[1], int(sys.argv[2])
		for n in range(files):
		    d = f"{top}/d{n % 10}/e{n // 10 % 7}"
		    os.makedirs(d, exist_ok=True)
		    with open(f"{d}/{n}.txt" if n % 2 else f"{d}/{n}", "w") as f:
		        f.write(f"{n} " * (n * 37 % 3000))
		os.symlink("d0/e0", top + "/link")
		os.symlink("/nowhere", top + "/dangling")
	PYTHON
	git init -q "$1/repository"
	printf 'int printf(const char *, ...);\nint main(void) { return printf("built\\n") < 0; }\n' >"$1/repository/program.c"
	printf 'program: program.c\n\tgcc -O0 -o $@ $<\n' >"$1/repository/Makefile"
	for n in $(seq 60); do echo "file $n" >"$1/repository/file$n"; done
	git -C "$1/repository" add . && git -C "$1/repository" -c user.name=t -c user.email=t@t commit -qm all
	echo inside >"$1/race/file"
	ln -s "$work/secret" "$1/escape"
	ln -s .. "$1/up"
}
prepare "$work/one"
prepare "$work/two"
mkdir "$work/closed" "$work/outside" && echo kept >"$work/closed/file" && echo SECRET >"$work/outside/file"

# As nobody, who gets at nothing else of this test's.
as=
if [ "$(id -u)" = 0 ]; then
	as="setpriv --reuid=65534 --regid=65534 --clear-groups"
	chmod 711 "$work"
	chmod 644 "$work/share.gz" "$work/$(basename "$generic")"
	chown -R 65534:65534 "$work/one" "$work/two" "$work/closed"
fi
# shellcheck disable=SC2086 # words on purpose
timeout -s KILL $((120 + files / 8)) $as "$work/bantam" run --accel "${ACCEL:-soft}" -c 2 -m 1G -p quiet -i "$work/share.gz" \
	--share /,system,ro --share "$work/one,one" --9p "$work/two,two" --share "$work/closed,closed,ro" \
	-n none "$work/$(basename "$generic")" >"$work/log" 2>"$work/log.err" </dev/null &
pid=$!
background="$background $pid"

# While the guest looks at it, the directory of the race is a link out of the share every other moment.
python3 - $pid "$work" <<'PYTHON' &
import os, sys, time
pid, work = int(sys.argv[1]), sys.argv[2]
def is_before(name):
    with open(f"{work}/log", errors="replace") as log:
        return os.path.exists(f"/proc/{pid}") and f"=== {name}" not in log.read()
while is_before("race"):
    time.sleep(0.1)
n = 0
while n % 100 or is_before("readonly"):
    n += 1
    for d in "one", "two":
        race = f"{work}/{d}/race"
        os.rename(race, race + ".kept")
        os.symlink(f"{work}/outside", race)
        time.sleep(0.002)
        os.unlink(race)
        os.rename(race + ".kept", race)
PYTHON
racer=$!
background="$background $racer"

# The lock the guest holds, holds here; then the guest is told to go on.
for d in one two; do
	while kill -0 $pid 2>/dev/null && [ ! -e "$work/$d/lock-held" ]; do sleep 0.05; done
	# 9p has but one kind of lock, virtiofs has both.
	case $d in
	one) flock -n "$work/$d/locked" true ;;
	two) python3 -c 'import fcntl, sys; fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)' "$work/$d/locked" 2>/dev/null ;;
	esac && fault "$d: the guest's lock does not hold on the host"
	touch "$work/$d/lock-go"
done
wait $pid
status=$?
wait $racer || fault "the race did not run"
tr -d '\r' <"$work/log" >"$work/log.txt"
expect_status 0 "the guest"

# The same on the host.
model=$work/model
cp -a "$work/one/tree" "$model"
(cd "$model" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$work/sums"
mv "$model/d0" "$model/moved"
find "$model/d1" -type f -name '*7' -delete
find "$model" -name '*3.txt' | while read -r f; do mv "$f" "${f%.txt}.renamed"; done
rm -r "$model/d2"
for pair in virtiofs:one 9p:two; do
	fs=${pair%%:*} dir=$work/${pair#*:}
	cmp "$work/sums" "$dir/sums" || fault "$fs: the sums of the tree differ"
	diff -r --no-dereference "$model" "$dir/copy" >"$work/diff" || fault "$fs: the tree differs: $(head -n 3 "$work/diff")"
	(cd "$dir" && find tree -printf '%P %y %m %T@ %l\n' | LC_ALL=C sort) >"$work/before"
	[ -z "$(find "$dir/copy" ! -user "$(stat -c %U "$dir/tree")" -print -quit)" ] || fault "$fs: files of another user"
	[ "$(section "$work/log" "ops $fs")" = "done" ] || fault "$fs: $(section "$work/log" "ops $fs")"
	[ "$(section "$work/log" "tree $fs")" = 7 ] || fault "$fs: $(section "$work/log" "tree $fs")"
	[ "$(section "$work/log" "tools $fs")" = "built
same" ] || fault "$fs: $(section "$work/log" "tools $fs")"
	[ "$(section "$work/log" "lock $fs")" = over ] || fault "$fs: $(section "$work/log" "lock $fs")"
	diff -r "$dir/repository/.git/objects" "$dir/clone/.git/objects" >/dev/null ||
		fault "$fs: the clone's objects are not the repository's"
	# What the guest's root set is not set on the host.
	[ "$(stat -c '%a %F' "$dir/ops/owned")" = "711 regular file" ] || fault "$fs: $(stat -c '%a %F' "$dir/ops/owned")"
	[ "$(stat -c %F "$dir/ops/device")" = "regular empty file" ] || fault "$fs: $(stat -c %F "$dir/ops/device")"
done
[ "$(section "$work/log" race | sort -u)" = inside ] || fault "race: $(section "$work/log" race | sort -u)"
[ "$(section "$work/log" readonly | head -n 1)" = kept ] || fault "read-only: $(section "$work/log" readonly)"
[ "$(section "$work/log" readonly | grep -c 'Read-only file system')" = 2 ] || fault "read-only: $(section "$work/log" readonly)"
[ "$(cat "$work/closed/file")" = kept ] || fault "a read-only share was written"
check_dmesg "$work/log" "the guest"
grep -v -e '^ *$' -e '^  #' -e accel -e software "$work/log.err" && fault "messages of bantam"
[ $faults -eq 0 ] || { tail -n 40 "$work/log.txt"; cat "$work/log.err"; }
finish
