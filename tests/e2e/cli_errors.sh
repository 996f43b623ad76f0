#!/bin/bash
# Every mistake a user can make on the command line or in a file gets its sentence on stderr, its exit
# status, and nothing on stdout.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/e2e-lib.sh
bantam=$(realpath "$bantam")
top=$PWD
cloud=$(kernel cloud-amd64)

# refuse STATUS SENTENCE ARGUMENT...: the first line on stderr must be exactly the sentence.
refuse() {
	local wanted=$1 sentence="bantam: $2" first
	shift 2
	timeout -k 5 30 "$bantam" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	expect_status "$wanted" "bantam $*"
	first=$(grep -v '^  # bantam run' "$work/err" | grep -v '^bantam: warning' | head -n 1)
	[ "$first" = "$sentence" ] || fault "bantam $*:
  says   $first
  wanted $sentence"
	[ ! -s "$work/out" ] || fault "bantam $*: something on stdout: $(head -c 200 "$work/out")"
}

cpus_last=1023 # CPU_SETSIZE - 1
usage=64 config=4

head -c 100000 /dev/zero >"$work/zeros" # no kernel

# ---- verbs ----
refuse $usage "a verb is missing; 'bantam help' lists them"
refuse $usage "unknown verb 'rnu'; the nearest known one is 'run'" rnu
refuse $usage "unknown verb 'versoin'; the nearest known one is 'version'" help versoin
refuse $usage "Cannot handle parameter: x" version x
refuse $usage "Cannot handle parameter: x" help run x

# ---- options ----
refuse $usage "Cannot handle parameter: second" run first second
refuse $usage "Cannot handle parameter: second" run -k first second
refuse $usage "unknown option '--memory-size'; the nearest known one is '--mem'" run --memory-size=1
refuse $usage "unknown option '--kernl'; the nearest known one is '--kernel'" run --kernl=x
refuse $usage "'-drive' is an option of QEMU; here it is -d FILE" run -drive file=x.img
refuse $usage "'-nographic' is an option of QEMU; here it is no option: the console is this terminal" run -nographic
refuse 125 "'-smp' is an option of QEMU; here it is -c N" sandbox -smp 2 true
display="no option: the guest has no display yet, and its console is this terminal"
for word in --vnc --sdl --gtk; do
	refuse $usage "'$word' is an option of kvmtool; here it is $display" run $word
done
refuse $usage "'-vnc' is an option of QEMU; here it is $display" run -vnc :0
firmware="no option: there is no firmware yet, and a kernel is started by -k FILE"
refuse $usage "'--firmware' is an option of kvmtool; here it is $firmware" run --firmware=bios.bin
refuse $usage "'-f' is an option of kvmtool; here it is $firmware" run -f bios.bin
refuse $usage "'--hugetlbfs' is an option of kvmtool; here it is no option: guest memory is ordinary memory of the host" \
	run --hugetlbfs /dev/hugepages
for word in -pidfile --pidfile; do
	refuse $usage "'$word' is an option of QEMU; here it is no option: bantam stays in the foreground, and \$! of the \
shell is its process" run $word x
done
refuse $usage "'-daemonize' is an option of QEMU; here it is no option: bantam stays in the foreground; '&' of the shell \
puts it behind" run -daemonize
refuse $usage "'-mem-path' is an option of QEMU; here it is no option: guest memory is ordinary memory of the host" \
	run -mem-path /dev/hugepages
refuse $usage "disk 'scsi:naa.5001405': vhost-scsi is not offered; a disk is an image or a block device" \
	run -d scsi:naa.5001405
refuse $usage "unknown option '-z'; see 'bantam help run'" run -z
refuse $usage "option '--mem' needs a value: SIZE[BKMGTP]" run --mem
refuse $usage "option '--no-reboot' takes no value" run --no-reboot=1

# ---- memory ----
refuse $usage "Invalid memory specifier: lots" run -m lots
refuse $usage "Invalid memory specifier: 64M@1G" run -m 64M@1G
refuse $usage "Invalid memory specifier: 64MB" run -m 64MB
refuse $usage "Invalid RAM size: 0" run -m 0
refuse $usage "Memory too large: 99999999999999999999" run -m 99999999999999999999
refuse $usage "Memory too large: 16384P" run -m 16384P
refuse $config "Invalid value for memory.size: '2T' (must be a size from 1M to 1T)" run -m 2T
refuse $config "Invalid value for memory.size: '64K' (must be a size from 1M to 1T)" run -o memory.size=64K

# ---- topology and pinning ----
refuse $usage "invalid cpu topology 'dies=2'" run -c dies=2
refuse $config "Invalid value for cpus: 'many' (must be 1 to 65535)" run -c many
refuse $config "Invalid value for cores: '0' (must be 1 to 65535)" run -c cores=0
refuse $config "Invalid value for threads: '65536' (must be 1 to 65535)" run -c 2,threads=65536
refuse $config "Computed number of vCPUs too high: 65536" run -c sockets=256,cores=256
refuse $config "Topology (2 sockets, 2 cores, 1 threads) does not match 2 vCPUs" run -c 2,cores=2
refuse $usage "invalid vcpu pinning configuration '1': invalid format: 1" run --pin 1
refuse $usage "invalid vcpu pinning configuration '99999:0': invalid vcpu '99999'" run --pin 99999:0
refuse $usage "invalid vcpu pinning configuration '0:4096': hostcpu '4096' outside valid range from 0 to $cpus_last" \
	run --pin 0:4096
refuse $config "invalid cpuset for vcpu 1: '2-1': Invalid hostcpu range 2-1" run -o vcpu.1.cpuset=2-1
refuse $config "invalid cpuset for vcpu 1: '9999': hostcpu '9999' outside valid range from 0 to $cpus_last" \
	run -o vcpu.1.cpuset=9999

# ---- networks ----
refuse $usage "Unknown network mode wifi, please use user, tap, bridge, socket, mcast or none" run -n mode=wifi
refuse $usage "Unknown network parameter speed" run -n user,speed=9
refuse $usage "Unknown network parameter vmlinuz" run -n vmlinuz
refuse $usage "Invalid networking mode: wifi" run --networking wifi
refuse $usage 'Not enough arguments for "tap" networking mode' run --networking tap
refuse $usage 'Not enough arguments for "bridge" networking mode' run --networking bridge,
refuse $usage "publish '80': Unable to parse the ports to be published, should be in format <host>:<guest> or \
<host>:<guest>/<tcp|udp>" run --publish 80
refuse $usage "publish '80:2': '80:1/tcp' already takes that host port" run --publish 80:1 --publish 80:2
refuse $config 'Port publishing requires "user" networking mode' run -n none --publish 80:1 -c 1 "$work/zeros"
refuse $config "net.0.mac: '01:00:00:00:00:01' is a multicast address (the first byte of a card's address must be even)" \
	run -n user,mac=01:00:00:00:00:01 -c 1 "$work/zeros"
refuse $config "Only one usermode network device allowed at a time" run -n user -n user -c 1 "$work/zeros"
refuse $config "net.0.restrict means nothing in mode none" run -n none,restrict=on -c 1 "$work/zeros"

refuse $config "net.0.vhost means nothing in mode user" run -n user,vhost=1 -c 1 "$work/zeros"
refuse $config "net.0.queues: an open descriptor is one queue, and vhost-net needs one for each pair (must be 1)" \
	run -n mode=tap,fd=9,mq=2,vhost=1 -c 1 "$work/zeros"
refuse $config "net.0: vhost: the host's kernel can serve a guest on KVM only, and this one is on the engine soft \
(leave vhost out)" run --accel soft -n mode=tap,vhost=1 -c 1 "$work/zeros"
refuse $config "vsock: vhost: the host's kernel can serve a guest on KVM only, and this one is on the engine soft \
(leave vhost out)" run --accel soft -n none --vsock 3,vhost -c 1 "$work/zeros"
refuse $config "vsock.vhost: the guest has no CID (set vsock.cid)" run -o vsock.vhost=true -c 1 "$work/zeros"
refuse $config "vsock.path means nothing with vsock.vhost: the host's programs use AF_VSOCK (leave one of them out)" \
	run --vsock 3,vhost -o vsock.path=/run/v -c 1 "$work/zeros"

# ---- keys and files ----
refuse $usage "invalid configuration option 'cpus'" run -o cpus
refuse $usage "invalid configuration option 'cpus='" run -o cpus=
refuse $config "unknown key 'memory.siez'; the nearest known one is 'memory.size'" run -o memory.siez=1
refuse $config "Invalid value for reboot: 'perhaps' (must be true or false)" run -o reboot=perhaps
refuse $config "Invalid value for cpu.model: 'z80' (must be auto, x86-64-v2, x86-64-v3 or host)" run -o cpu.model=z80
refuse $config "Failed to open configuration file $work/none: No such file or directory" run --config "$work/none"
printf '# fine\n\ncpus=2\nnonsense\n' >"$work/bad.conf"
refuse $config "$work/bad.conf line 4: invalid config option 'nonsense'" run --config "$work/bad.conf"
printf 'cpus=\n' >"$work/bad.conf"
refuse $config "$work/bad.conf line 1: invalid config option 'cpus='" run --config "$work/bad.conf"
printf 'name=x\nmemory.size=huge\n' >"$work/bad.conf"
refuse $config "$work/bad.conf line 2: Invalid value for memory.size: 'huge' (must be a size from 1M to 1T)" \
	run --config "$work/bad.conf"

# ---- kernel search ----
cd "$work" || exit 1
release=$(uname -r)
if ! ls /boot/vmlinuz-* /boot/bzImage-* >/dev/null 2>&1; then
	XDG_CACHE_HOME=$work refuse $config "Fatal: could not find default kernel image in: ./bzImage arch/x86/boot/bzImage \
../../arch/x86/boot/bzImage /boot/vmlinuz-$release /boot/bzImage-$release /boot/vmlinuz-* $work/bantam/*/boot/vmlinuz-*; \
install linux-image-cloud-amd64 or name one with --kernel FILE" run
else
	echo "the list of places without a kernel is left to the unit test: this host has one in /boot"
fi
refuse $config "kernel.path is not set and kernel.search is off" run -o kernel.search=off

# ---- what is found out when the VM is made ----
refuse $config "kernel $work/none: No such file or directory" run --accel soft -c 1 "$work/none"
refuse $config "kernel $work/zeros: no kernel: no bzImage (\"HdrS\" at offset 0x202), no ELF file, no multiboot \
header in the first 8192 bytes" run --accel soft -c 1 "$work/zeros"
refuse $config "accelerator \"warp\" is unknown (known: kvm, soft, tcg)" run --accel warp -c 1 "$work/zeros"
refuse $config "65535 vCPUs requested but only 64 available" run --accel soft -c 65535 "$work/zeros"
refuse $config "vcpu.3.cpuset: there are only vCPUs 0 to 0" run --accel soft -c 1 --pin 3:0 "$work/zeros"

# ---- files that are not there, or of another kind ----
mkdir "$work/folder"
echo text >"$work/text"
vm="--accel soft -c 1"
# shellcheck disable=SC2086 # a list of words on purpose, here and below
refuse $config "disk 0: $work/none.img: No such file or directory" run $vm -d "$work/none.img" "$work/zeros"
refuse $config "disk 0: $work/folder: Is a directory" run $vm -d "$work/folder,format=raw" "$work/zeros"
refuse $config "disk 0: $work/folder is neither a file nor a block device" \
	run $vm -d "$work/folder,format=raw,ro" "$work/zeros"
refuse $config "kernel $work/folder: a directory, not a regular file" run $vm "$work/folder"
refuse $config "initrd $work/none: No such file or directory" run $vm -i "$work/none" "$cloud"
refuse $config "initrd $work/folder: a directory, not a regular file" run $vm -i "$work/folder" "$cloud"
refuse $config "Failed to read configuration file $work/folder: Is a directory" run --config "$work/folder"
refuse $config "share 0: '$work/text' is no directory" run $vm --share "$work/text,tag" "$work/zeros"
refuse $config "--share: Failed resolving 9p path '$work/none': No such file or directory" run --share "$work/none,tag"
refuse $config "--sandbox '$work/folder': not an executable file" run --sandbox "$work/folder"
refuse $config "serial line 0: channel 'file:$work/folder': $work/folder: Is a directory" \
	run $vm --serial "file:$work/folder" "$work/zeros"
refuse 125 "--rw: folder '$work/text': Not a directory" sandbox --rw "$work/text" true
refuse 125 "--rw: folder '$work/none': No such file or directory" sandbox --rw "$work/none" true
refuse 1 "$work/folder is neither a file nor a block device" image info "$work/folder"
refuse 1 "$work/text/new: Not a directory" image create "$work/text/new" 1M

# ---- what is right ----
"$bantam" run --dump-config -k /k -c cpus=4,sockets=1,cores=2,threads=2 -m 1G --name n --pin 2:0 \
	-p 'quiet  loglevel=3 ' >"$work/first.conf" || fault "dump fails"
printf 'name=n\ncpus=4\nsockets=1\ncores=2\nthreads=2\nvcpu.2.cpuset=0\nmemory.size=1G\nkernel.path=/k\nkernel.params=quiet  loglevel=3 \nnet.0.mode=user\n' |
	diff - "$work/first.conf" || fault "the dump is not what was asked for"
"$bantam" run --dump-config --config "$work/first.conf" | diff "$work/first.conf" - || fault "the dump does not load"
"$bantam" run --dump-config --config "$work/first.conf" -o cpus=8 -o sockets=2 -m 512 | grep -E '^(cpus|memory)' >"$work/out"
printf 'cpus=8\nmemory.size=512M\n' | diff - "$work/out" || fault "later options do not win"
"$bantam" run --dump-config -k /k --console nonsense 2>"$work/err" | grep -q '^console=none' || fault "no console=none"
grep -qx 'bantam: warning: No console!' "$work/err" || fault "no warning about the console"
"$bantam" run --dump-config -k /k -m 1T 2>&1 >"$work/out" |
	grep -qE '^bantam: warning: Guest memory size 1048576MB exceeds host physical RAM size [0-9]+MB$' ||
	fault "no warning about memory"
"$bantam" help run | grep -q -- '--dump-config' || fault "help run"
"$bantam" run --help | diff - <("$bantam" help run) || fault "run --help is not help run"
"$bantam" help | grep -q '^  version' || fault "help"
"$bantam" version | grep -q '^bantam ' || fault "version"
"$bantam" version >/dev/full 2>"$work/err" && fault "a full stdout goes unnoticed"
cd "$top" && tools/update-man "$bantam" --check || fault "manual"
finish
