# What the end-to-end tests share; sourced by each. Needs BUILD (default build) and the repository as
# current folder. Every helper that finds a fault prints it and makes the test fail at its end.

BUILD=${BUILD:-build}
bantam=$BUILD/bantam
work=$(mktemp -d)
faults=0
background=
trap 'for p in $background; do kill -9 "$p" 2>/dev/null; done; rm -rf "$work"' EXIT

fault() {
	echo "FAULT: $*"
	faults=$((faults + 1))
}

finish() {
	[ "$faults" -eq 0 ] || { echo "$faults faults"; exit 1; }
	exit 0
}

skip() {
	echo "$*"
	exit 77
}

# kernel FLAVOUR: path of the stock Debian kernel (cloud-amd64, amd64).
kernel() {
	tools/get-kernel "$1" 2>>"$work/get-kernel.log" || { cat "$work/get-kernel.log" >&2; exit 1; }
}

# initramfs SCRIPT [SUFFIX [FILE=INSIDE...]]: builds one around the init script, prints its path.
initramfs() {
	local script=$1 suffix=${2:-.gz}
	local out=$work/$(basename "$script")-initramfs$suffix
	shift; [ $# -gt 0 ] && shift
	tools/make-initramfs "$out" "$script" "$@" && echo "$out"
}

# boot SECONDS LOG ARGUMENT...: runs `bantam run`, console to LOG, messages to LOG.err; sets status.
boot() {
	local limit=$1 log=$2
	shift 2
	timeout -k 5 "$limit" "$bantam" run "$@" >"$log" 2>"$log.err" </dev/null
	status=$?
	tr -d '\r' <"$log" >"$log.txt"
	if [ $status -eq 124 ] || [ $status -eq 137 ]; then
		fault "not done after $limit s: bantam run $*"
		tail -n 30 "$log.txt" "$log.err"
	fi
}

# section LOG NAME: what a guest script printed between "=== NAME" and the next "===".
section() {
	awk -v name="=== $2" '$0 == name { on = 1; next } /^=== / { on = 0 } on' "$1.txt"
}

# expect_status WANTED WHAT
expect_status() {
	[ "$status" -eq "$1" ] || fault "$2: exit status $status, not $1"
}

# Words in a kernel log that mean something is wrong with the machine under it.
bad_words='Call Trace|TSC.*unstable|clocksource.*unstable|ACPI (BIOS )?Error|ACPI (BIOS )?Warning|ACPI Exception|nobody cared|BUG:|WARNING:|soft lockup|hard LOCKUP|rcu.*stall|not responding|MP-BIOS bug|APIC error|[Ss]purious|lost interrupt|Firmware Bug|Failed to (access|read) perfctr|invalid opcode|general protection|segfault|do_IRQ:|stuck'

# check_dmesg LOG WHAT
check_dmesg() {
	local found
	found=$(section "$1" dmesg | grep -E "$bad_words")
	[ -z "$found" ] || fault "$2: the kernel complains: $found"
	[ -n "$(section "$1" dmesg)" ] || fault "$2: no kernel log"
}
