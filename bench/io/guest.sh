#!/bin/sh
# The init of the guests that bench/io/run starts: runs the part named by bench= on the kernel's command
# line and prints lines "RESULT name value".
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /mnt /tmp
load-modules
for word in $(cat /proc/cmdline); do
	case $word in bench=*|seconds=*|share=*|files=*|requests=*) export "${word?}" ;; esac
done

# now: seconds since the boot, with hundredths.
now() {
	read -r up rest </proc/uptime
	echo "$up"
}

# fio_job NAME DEVICE RW BLOCK DEPTH FIELD: prints what fio says in that field of its terse output.
fio_job() {
	/bin/fio --name=job --filename="$2" --direct=1 --ioengine=libaio --rw="$3" --bs="$4" --iodepth="$5" \
		--runtime="$seconds" --time_based --ramp_time=0.2 --randrepeat=0 --minimal --terse-version=3 >/tmp/fio.out 2>/tmp/fio.err ||
		{ echo "FAILED $1"; cat /tmp/fio.out /tmp/fio.err; }
	echo "RESULT $1 $(cut -d';' -f"$6" /tmp/fio.out)"
}

disk() {
	for disk in vda:raw vdb:qcow2; do
		device=/dev/${disk%:*} format=${disk#*:}
		[ -b "$device" ] || { echo "FAILED no $device"; continue; }
		fio_job "$format-randread-1" "$device" randread 4k 1 8
		fio_job "$format-randread-32" "$device" randread 4k 32 8
		fio_job "$format-randwrite-1" "$device" randwrite 4k 1 49
		fio_job "$format-randwrite-32" "$device" randwrite 4k 32 49
		fio_job "$format-read-1M" "$device" read 1M 4 7
		fio_job "$format-write-1M" "$device" write 1M 4 48
	done
}

# As many random reads as were asked for, 32 at a time.
requests() {
	/bin/fio --name=job --filename=/dev/vda --direct=1 --ioengine=libaio --rw=randread --bs=4k --iodepth=32 \
		--number_ios="$requests" --minimal >/tmp/fio.out 2>&1 || { echo "FAILED requests"; cat /tmp/fio.out; }
	echo "RESULT requests $requests"
}

# iperf NAME ARGUMENT...: megabits per second at the receiver.
iperf() {
	name=$1
	shift
	/bin/iperf3 -J -t "$seconds" -O 1 "$@" >/tmp/iperf.out 2>&1 || { echo "FAILED $name"; cat /tmp/iperf.out; }
	echo "RESULT $name $(tr -d ' \t' </tmp/iperf.out | awk -F: '/"sum_received"/ { in_sum = 1 }
		in_sum && /"bits_per_second"/ { printf "%d", $2 / 1e6; exit }')"
}

net() {
	ip link set lo up
	ip link set eth0 up
	if [ "$share" = tap ]; then
		ip addr add 10.77.0.2/24 dev eth0
		server=10.77.0.1
	else
		ip addr add 10.0.2.15/24 dev eth0
		server=10.0.2.2
	fi
	sleep 1
	iperf "$share-out" -p 5299 -c "$server"
	iperf "$share-in" -p 5299 -c "$server" -R
}

share() {
	if [ "$share" = 9p ]; then
		mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 bench /mnt || echo "FAILED mount 9p"
	else
		mount -t virtiofs bench /mnt || echo "FAILED mount virtiofs"
	fi
	# -newer makes find stat every file, as git status does.
	begin=$(now)
	find /mnt -type f -newer /init >/tmp/found || echo "FAILED find"
	middle=$(now)
	[ "$(wc -l </tmp/found)" = "$files" ] || echo "FAILED $(wc -l </tmp/found) files found"
	find /mnt -type f -newer /init >/tmp/found
	end=$(now)
	echo "RESULT $share-stat-first $(awk "BEGIN { print $files / ($middle - $begin) }")"
	echo "RESULT $share-stat-again $(awk "BEGIN { print $files / ($end - $middle) }")"
}

"$bench"
poweroff -f
