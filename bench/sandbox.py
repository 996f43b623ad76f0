#!/usr/bin/env python3
"""Times `bantam sandbox -- true` beside QEMU's TCG that boots the same kernel to power-off on its microvm machine.

QEMU's guest has the easier part: a busybox initramfs that switches off at once, without drivers, shares or a
command. Prints the medians of wall and CPU time and what bantam takes of QEMU's.
usage: bench/sandbox.py [--runs N] [--json FILE] BANTAM PROGRAMS INITRD KERNEL...
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

import guests
from report import keep

LIMIT_S = 120


def run(argv: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command that must succeed."""
    started, before = time.monotonic(), os.times()
    subprocess.run(argv, check=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - started, cpu


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", help="keep the figures in this file")
    parser.add_argument("bantam")
    parser.add_argument("programs")
    parser.add_argument("initrd")
    parser.add_argument("kernels", nargs="+")
    args = parser.parse_args()
    khz = guests.tsc_khz(args.programs)
    for kernel in args.kernels:
        commands = {
            "sandbox": [args.bantam, "sandbox", "--accel", "soft", "-c", "1", "-k", kernel, "--", "true"],
            "microvm": guests.tcg("microvm", guests.Guest(kernel, args.initrd, "quiet"), khz),
        }
        times = {name: [] for name in commands}
        for _ in range(args.runs):
            for name, argv in commands.items():
                times[name].append(run(argv))
        name = os.path.basename(kernel)
        median = {who: [statistics.median(t[i] for t in times[who]) for i in (0, 1)] for who in times}
        share = [median["sandbox"][i] / median["microvm"][i] for i in (0, 1)]
        print(f"{name}: sandbox {median['sandbox'][0]:.2f} s ({median['sandbox'][1]:.2f} s CPU), "
              f"TCG microvm {median['microvm'][0]:.2f} s ({median['microvm'][1]:.2f} s CPU), "
              f"share {share[0]:.2f} ({share[1]:.2f})", flush=True)
        if args.json:
            keep(args.json, f"sandbox.{name}", {"wall_s": times, "share": share[0], "cpu_share": share[1]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
