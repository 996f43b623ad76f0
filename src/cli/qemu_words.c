/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/qemu_words.h"

#include "base/base.h"

static const struct foreign_word words[] = {
	{"accel", "--accel kvm or --accel soft"},
	{"append", "-p PARAMETERS"},
	{"cdrom", "-d FILE,ro"},
	{"cpu", "-o cpu.model=MODEL"},
	{"device", "an option for each kind, see 'bantam help run'"},
	{"display", "no option: the console is this terminal"},
	{"drive", "-d FILE"},
	{"enable-kvm", "no option: KVM is taken where it is usable"},
	{"fsdev", "--9p DIR,TAG"},
	{"hda", "-d FILE"},
	{"initrd", "-i FILE"},
	{"kernel", "-k FILE"},
	{"machine", "no option: there is one machine"},
	{"monitor", "no option: Ctrl-a x ends the VM"},
	{"name", "--name NAME"},
	{"net", "-n MODE"},
	{"netdev", "-n MODE"},
	{"nic", "-n MODE"},
	{"no-reboot", "--no-reboot"},
	{"nodefaults", "--nodefaults"},
	{"nographic", "no option: the console is this terminal"},
	{"serial", "-o serial.N.channel=CHANNEL"},
	{"smp", "-c N"},
	{"snapshot", "-d NEW,backing=FILE"},
	{"virtfs", "--9p DIR,TAG"},
};

const struct foreign_words qemu_words = {.system = "QEMU", .words = words, .nr = ARRAY_SIZE(words)};
