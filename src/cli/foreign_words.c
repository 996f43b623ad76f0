/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/foreign_words.h"

#include "base/base.h"

#define NO_DISPLAY	"no option: the guest has no display yet, and its console is this terminal"
#define NO_FIRMWARE	"no option: there is no firmware yet, and a kernel is started by -k FILE"
#define NO_PASS_THROUGH "no option: devices of the host are not passed to the guest yet"

static const struct foreign_word kvmtool[] = {
	{"--firmware", NO_FIRMWARE},
	{"-f", NO_FIRMWARE},
	{"--flash", NO_FIRMWARE},
	{"-F", NO_FIRMWARE},
	{"--gtk", NO_DISPLAY},
	{"--hugetlbfs", "no option: guest memory is ordinary memory of the host"},
	{"--sdl", NO_DISPLAY},
	{"--vfio-pci", NO_PASS_THROUGH},
	{"--vnc", NO_DISPLAY},
};

/* All that would otherwise be taken for one of our letters with a value, and what is asked for most. */
static const struct foreign_word qemu[] = {
	{"-accel", "--accel kvm or --accel soft"},
	{"-append", "-p PARAMETERS"},
	{"-bios", NO_FIRMWARE},
	{"-blockdev", "-d FILE"},
	{"-cdrom", "-d FILE,ro"},
	{"-chardev", "--serial CHANNEL or --port NAME=CHANNEL"},
	{"-cpu", "-o cpu.model=MODEL"},
	{"-daemonize",
	 "no option: bantam stays in the foreground; '&' of the shell puts it behind"},
	{"-debugcon", "-o debug.port=0xe9"},
	{"-device", "an option for each kind, see 'bantam help run'"},
	{"-display", "no option: the console is this terminal"},
	{"-drive", "-d FILE"},
	{"-enable-kvm", "no option: KVM is taken where it is usable"},
	{"-fsdev", "--9p DIR,TAG"},
	{"-hda", "-d FILE"},
	{"-hdb", "-d FILE"},
	{"-icount", "no option: time in the guest is that of the host"},
	{"-incoming", "no option: a running guest is not moved yet"},
	{"-initrd", "-i FILE"},
	{"-kernel", "-k FILE"},
	{"-machine", "no option: there is one machine"},
	{"-mem-path", "no option: guest memory is ordinary memory of the host"},
	{"-mem-prealloc", "no option: guest memory is ordinary memory of the host"},
	{"-mon", "no option: Ctrl-a x ends the VM"},
	{"-monitor", "no option: Ctrl-a x ends the VM"},
	{"-name", "--name NAME"},
	{"-net", "-n MODE"},
	{"-netdev", "-n MODE"},
	{"-nic", "-n MODE"},
	{"-no-acpi", "no option: the kernel's own acpi=off does it, -p acpi=off"},
	{"-no-hpet", "no option: the kernel's own nohpet does it, -p nohpet"},
	{"-no-reboot", "--no-reboot"},
	{"-no-shutdown", "no option: a guest that is off ends bantam"},
	{"-no-user-config", "no option: nothing is read but what --config names"},
	{"-nodefaults", "--nodefaults"},
	{"-nographic", "no option: the console is this terminal"},
	{"-object", "an option for each kind, see 'bantam help run'"},
	{"-option-rom", NO_FIRMWARE},
	{"-parallel", "no option: there are no parallel ports"},
	{"-pflash", NO_FIRMWARE},
	{"-pidfile",
	 "no option: bantam stays in the foreground, and $! of the shell is its process"},
	{"-plugin", "no option: --trace FILE writes what the guest executes"},
	{"-serial", "-o serial.N.channel=CHANNEL"},
	{"-smp", "-c N"},
	{"-snapshot", "-d NEW,backing=FILE"},
	{"-vga", NO_DISPLAY},
	{"-virtfs", "--9p DIR,TAG"},
	{"-vnc", NO_DISPLAY},
};

const struct foreign_words foreign_words[FOREIGN_SYSTEMS] = {
	{.system = "kvmtool", .words = kvmtool, .nr = ARRAY_SIZE(kvmtool)},
	{.system = "QEMU", .words = qemu, .nr = ARRAY_SIZE(qemu)},
};
