#!/usr/bin/env python3
"""Boots kernels to power-off under bantam's software engine, with its translator and without, and under QEMU's
TCG, in turn.

Prints the median, minimum and maximum of wall time, CPU time and peak resident memory, and what bantam takes
of the better of TCG's two machines; then the time from exec to the first guest instruction, the resident memory
beyond the guest's own, and the instructions that the interpreter does in a second of CPU time.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import threading
import time

import guests
from report import keep, spread

LIMIT_S = 300
GUEST_KIB = 512 << 10  # as guests.py has it
BANTAMS = {"bantam": [], "interpreter": ["-o", "soft.translate=false"]}


class Run:
    """One finished process: what it cost."""

    def __init__(self, argv: list[str], first_line: str | None = None):
        self.first_line_s = None
        self.beyond_guest_kib = 0
        started = time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        reader = threading.Thread(target=self._read_messages, args=(process, started, first_line))
        drain = threading.Thread(target=self._read_console, args=(process,))
        watch = threading.Thread(target=self._watch_memory, args=(process.pid,))
        for thread in (reader, drain, watch):
            thread.start()
        timer = threading.Timer(LIMIT_S, process.kill)
        timer.start()
        reader.join()
        drain.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        watch.join()
        self.wall_s = time.monotonic() - started
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peak_mib = usage.ru_maxrss / 1024
        self.exit_code = process.returncode

    def _read_messages(self, process, started, first_line):
        self.messages = ""
        for raw in process.stderr:
            line = raw.decode(errors="replace")
            self.messages += line
            if first_line and self.first_line_s is None and first_line in line:
                self.first_line_s = time.monotonic() - started

    def _read_console(self, process):
        self.console = process.stdout.read().decode(errors="replace")

    def _watch_memory(self, pid):
        """Guest memory is the mapping of that size; the rest is the monitor's own. Translated code is mapped
        twice, so proportional sizes are added up."""
        while True:
            try:
                with open(f"/proc/{pid}/smaps") as smaps:
                    maps = re.findall(r"Size:\s+(\d+) kB(?:.*\n)*?Pss:\s+(\d+) kB", smaps.read())
            except OSError:
                return
            if not maps:
                return
            own = sum(int(pss) for size, pss in maps if int(size) != GUEST_KIB)
            self.beyond_guest_kib = max(self.beyond_guest_kib, own)
            time.sleep(0.1)


class Failure(Exception):
    pass


def compare(args, kernel: str, tsc_khz: int) -> dict[str, list[Run]]:
    """All runs with one kernel, by what ran it."""
    guest = guests.Guest(kernel, args.initrd, "quiet")
    argvs = {name: guests.bantam(args.bantam, guest, "-v", "--stats", *options) for name, options in BANTAMS.items()}
    for machine in guests.TCG_MACHINES:
        argvs[machine] = guests.tcg(machine, guest, tsc_khz)
    runs: dict[str, list[Run]] = {name: [] for name in argvs}
    for number in range(args.runs):
        for name, argv in argvs.items():
            run = Run(argv, "starting vCPUs" if name in BANTAMS else None)
            if run.exit_code != 0:
                raise Failure(f"{name}: exit status {run.exit_code}\n{run.messages}{run.console[-2000:]}")
            runs[name].append(run)
        print(f"{os.path.basename(kernel)}: run {number + 1} of {args.runs} done", file=sys.stderr)
    return runs


def print_runs(kernel: str, runs: dict[str, list[Run]]) -> dict:
    """Prints the figures and returns them."""
    figures = {name: {"wall_s": [r.wall_s for r in done], "cpu_s": [r.cpu_s for r in done],
                      "peak_mib": [r.peak_mib for r in done]} for name, done in runs.items()}
    print(f"{os.path.basename(kernel)}, boot to power-off: median (minimum .. maximum)")
    for name, kept in figures.items():
        print(f"  {name:11}  wall {spread(kept['wall_s'], '.2f')} s, cpu {spread(kept['cpu_s'], '.2f')} s, "
              f"peak resident {spread(kept['peak_mib'], '.1f')} MiB")
    for name in BANTAMS:
        print_bantam(name, runs[name], figures)
    return figures


def print_bantam(name: str, soft: list[Run], figures: dict) -> None:
    """Prints and adds what is only asked of bantam."""
    kept = figures[name]
    kept["of_tcg"] = {}
    for what, unit in (("wall time", "wall_s"), ("CPU time", "cpu_s"), ("peak memory", "peak_mib")):
        medians = {name: statistics.median(figures[name][unit]) for name in (name, *guests.TCG_MACHINES)}
        best = min(guests.TCG_MACHINES, key=medians.get)
        ratios = [a / b for a, b in zip(kept[unit], figures[best][unit])]
        kept["of_tcg"][unit] = medians[name] / medians[best]
        print(f"  {what}: {name} takes {kept['of_tcg'][unit]:.2f} of TCG's ({best}); pair by pair {spread(ratios, '.2f')}")
    kept["first_instruction_ms"] = [r.first_line_s * 1000 for r in soft]
    print(f"  {name}: exec to first guest instruction {spread(kept['first_instruction_ms'], '.1f')} ms")
    kept["beyond_guest_mib"] = [r.beyond_guest_kib / 1024 for r in soft]
    print(f"  {name}: resident beyond guest memory {spread(kept['beyond_guest_mib'], '.1f')} MiB")
    if name == "interpreter":
        counts = [int(re.search(r" interpreted=(\d+)", r.messages)[1]) for r in soft]
        kept["mips"] = [count / r.cpu_s / 1e6 for count, r in zip(counts, soft)]
        print(f"  {name}: {spread(kept['mips'], '.0f')} million instructions per second of CPU time")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bantam")
    parser.add_argument("programs", help="the program that tells the TSC's frequency")
    parser.add_argument("initrd")
    parser.add_argument("kernels", nargs="+")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="put every figure into FILE, under \"boot\"")
    args = parser.parse_args()
    khz = guests.tsc_khz(args.programs)
    kept = {}
    try:
        for kernel in args.kernels:
            kept[os.path.basename(kernel)] = print_runs(kernel, compare(args, kernel, khz))
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    keep(args.json, "boot", kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
