"""How the benchmarks start a guest: a kernel, an initramfs, 512 MiB, the console on standard output."""
import subprocess
from typing import NamedTuple


class Guest(NamedTuple):
    kernel: str
    initrd: str
    params: str
    cpus: int = 1


def bantam(program: str, guest: Guest, *options: str) -> list[str]:
    return [program, "run", "--accel", "soft", *options, "-m", "512M", "-c", str(guest.cpus), "-i", guest.initrd,
            "-p", guest.params, guest.kernel]


def tcg(machine: str, guest: Guest, tsc_khz: int) -> list[str]:
    """A guest of microvm has only the PIT to measure its TSC with, and only ticks to compare it with. Where the
    host's CPUs are busy the first can fail, and then it hangs, and the second makes it tell the time by ticks.
    So it is told that TCG's TSC is the host's."""
    params = f"console=ttyS0 {guest.params}"
    if machine == "microvm":
        machine = "microvm,x-option-roms=off,isa-serial=on,rtc=on"
        params += f" tsc=reliable tsc_early_khz={tsc_khz}"
    return ["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-cpu", "max", "-smp", str(guest.cpus),
            "-m", "512", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
            "-monitor", "none", "-kernel", guest.kernel, "-initrd", guest.initrd, "-append", params]


TCG_MACHINES = ["q35", "microvm"]


def tsc_khz(programs: str) -> int:
    """The frequency of the host's TSC, as the benchmark's own program measures it."""
    return int(subprocess.run([programs, "tsc-khz", "0"], check=True, stdout=subprocess.PIPE).stdout)
