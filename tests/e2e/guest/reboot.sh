#!/bin/sh
# An init that does what it is told on its console: one word, then a line end.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
dmesg -n 1
echo
echo "=== booted"
while read -r word; do
	echo "=== heard $word"
	case $word in
	reboot | poweroff) $word -f ;;
	button)
		# What a distribution's acpid does: the modules give the event, a rule calls poweroff.
		insmod /modules/button.ko
		insmod /modules/evdev.ko
		mkdir -p /etc/acpi/PWRF /var/log
		printf '#!/bin/sh\necho "=== power button" >/dev/console\npoweroff -f\n' >/etc/acpi/PWRF/00000080
		chmod 755 /etc/acpi/PWRF/00000080
		acpid -f &
		sleep 1
		echo "=== listening"
		;;
	esac
done
