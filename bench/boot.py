#!/usr/bin/env python3
"""Boots one kernel and initramfs under bantam's software engine and under QEMU's TCG, in turn.

usage: bench/boot.py BANTAM KERNEL INITRD [--runs N]
Prints the median, minimum and maximum of wall time, CPU time and peak resident memory for both, their
ratio, the interpreter's instructions per second, the time from exec to the first guest instruction,
and the resident memory beyond the guest's own.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import threading
import time

LIMIT_S = 300


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
        """Guest memory is a shared mapping, so what is private or file-backed is the monitor's own."""
        while True:
            try:
                with open(f"/proc/{pid}/status") as status:
                    text = status.read()
            except OSError:
                return
            parts = re.findall(r"Rss(?:Anon|File):\s+(\d+)", text)
            if not parts:
                return
            self.beyond_guest_kib = max(self.beyond_guest_kib, sum(map(int, parts)))
            time.sleep(0.02)


def spread(values: list[float], form: str) -> str:
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{mid:{form}} ({low:{form}} .. {high:{form}})"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("bantam")
    parser.add_argument("kernel")
    parser.add_argument("initrd")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    ours = [args.bantam, "run", "--accel", "soft", "-v", "--stats", "-m", "512M", "-c", "1", "-i", args.initrd,
            "-p", "quiet", args.kernel]
    peer = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none",
            "-serial", "stdio", "-monitor", "none", "-nodefaults", "-no-reboot", "-kernel", args.kernel,
            "-initrd", args.initrd, "-append", "console=ttyS0 quiet"]
    runs = {"bantam soft": [], "qemu tcg": []}
    for number in range(args.runs):
        for name, argv in (("bantam soft", ours), ("qemu tcg", peer)):
            run = Run(argv, "starting vCPUs" if argv is ours else None)
            if run.exit_code != 0:
                print(f"{name}: exit status {run.exit_code}\n{run.messages}{run.console[-2000:]}", file=sys.stderr)
                return 1
            runs[name].append(run)
        print(f"run {number + 1} of {args.runs} done", file=sys.stderr)

    print(f"boot to power-off, {args.runs} runs each in turn: median (minimum .. maximum)")
    for name, done in runs.items():
        print(f"{name:12}  wall {spread([r.wall_s for r in done], '.2f')} s  "
              f"cpu {spread([r.cpu_s for r in done], '.2f')} s  "
              f"peak resident {spread([r.peak_mib for r in done], '.1f')} MiB")
    soft, tcg = runs["bantam soft"], runs["qemu tcg"]
    ratios = [a.wall_s / b.wall_s for a, b in zip(soft, tcg)]
    print(f"bantam/tcg wall, pair by pair: {spread(ratios, '.2f')}")
    counts = [int(m.group(1)) for r in soft if (m := re.search(r"(\d+) instructions", r.messages))]
    if counts:
        rates = [n / r.cpu_s / 1e6 for n, r in zip(counts, soft)]
        print(f"interpreter: {statistics.median(counts) / 1e6:.0f} million instructions, "
              f"{spread(rates, '.0f')} million per CPU second")
    firsts = [r.first_line_s * 1000 for r in soft if r.first_line_s is not None]
    if firsts:
        print(f"exec to first guest instruction: {spread(firsts, '.1f')} ms")
    print(f"resident beyond guest memory: {spread([r.beyond_guest_kib / 1024 for r in soft], '.1f')} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
