#!/bin/bash
# What x86 promises programs on several CPUs: tests/smp as a guest's init on the software engine with two
# and four vCPUs, translated, and on the host for comparison. What the memory order allows and need not
# happen is printed. The stress runs with a code cache so small that it is emptied and refilled.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh

smp=$BUILD/tests/smp/smp
cloud=$(kernel cloud-amd64)
[ -f "$cloud" ] && [ -f "$smp.cpio" ] || { echo "no kernel, or no $smp.cpio"; exit 1; }

# judge LOG NAME PROGRAM...: each has said that it passed.
judge() {
	local log=$1 name=$2 program
	shift 2
	for program in "$@"; do
		grep -q "^$program passed" "$log" || fault "$name: $program did not pass: $(tail -n 5 "$log")"
	done
	grep -E '^BROKEN|ended with status' "$log" && fault "$name: a promise of the CPU is broken"
	grep -E "$bad_words" "$log" && fault "$name: the kernel complains"
	grep 'allowed outcome' "$log" | sed "s/^/$name: /"
}

# guest NAME CPUS PROGRAM:SECONDS,... OPTION...
guest() {
	local name=$1 cpus=$2 programs=$3 log=$work/$1
	shift 3
	boot 100 "$log" --accel soft -c "$cpus" -m 512M -i "$smp.cpio" -p "quiet smp=$programs" --stats "$@" "$cloud"
	expect_status 0 "$name"
	# shellcheck disable=SC2046 # a list of words on purpose
	judge "$log.txt" "$name" $(echo "$programs" | sed 's/:[0-9]*//g; s/,/ /g')
	grep -qE '^smp over' "$log.txt" || fault "$name: the guest did not finish"
	# Without a translation all this would be the interpreter's.
	grep -qE 'stats vm: .*translations=[1-9]' "$log.txt" "$log.err" || fault "$name: nothing was translated"
}

# The host has one CPU at least; with fewer than two nothing happens at once.
for program in litmus atomics stress; do
	timeout -k 5 60 "$smp" "$program" --seconds 2 >"$work/host.txt" 2>&1
	status=$?
	expect_status 0 "host: $program"
	judge "$work/host.txt" host "$program"
done

guest two 2 litmus:5,atomics:3
guest four 4 litmus:5,atomics:3
guest stress 2 stress:15 -o soft.code_cache=4M
parts=$(grep -ohE 'code_parts=[0-9]+' "$work/stress.txt" "$work/stress.err" | cut -d= -f2)
[ "${parts:-0}" -ge 16 ] || fault "stress: parts of the code cache were emptied ${parts:-0} times, not 16"
echo "stress: parts of the code cache were emptied $parts times"
finish
