#!/usr/bin/env python3
"""Time inside a Debian guest: its clock against the host's over a minute, sleep, and timer ticks of a
busy CPU. Environment: BUILD, ACCEL, SECONDS_OF_CLOCK (60)."""
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("BUILD", "build")
ACCEL = os.environ.get("ACCEL", "soft")
CLOCK_S = int(os.environ.get("SECONDS_OF_CLOCK", "60"))
BOOT_LIMIT_S = 120


class Guest:
    """A guest whose console is read line by line."""

    def __init__(self, initrd: str, kernel: str):
        self.process = subprocess.Popen(
            [f"{BUILD}/bantam", "run", "--accel", ACCEL, "-c", "1", "-m", "256M", "-i", initrd, "-p", "quiet", kernel],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.timer = threading.Timer(BOOT_LIMIT_S + CLOCK_S + 60, self.process.kill)
        self.timer.start()

    def expect(self, marker: str) -> str:
        """The rest of the next console line that holds the marker."""
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").strip()
            if marker in line:
                return line.split(marker, 1)[1].strip()
        sys.exit(f"the guest ended before '{marker}': {self.process.stderr.read().decode()}")

    def send(self, word: str) -> None:
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def offset_s(self) -> float:
        """Guest time minus host time, from the quickest of several questions."""
        best = None
        for _ in range(15):
            before = time.time()
            self.send("now")
            seconds, micros = self.expect("=== now").split()
            after = time.time()
            offset = int(seconds) + int(micros) / 1e6 - (before + after) / 2
            if best is None or after - before < best[0]:
                best = (after - before, offset)
        return best[1]


def main() -> int:
    faults = []
    with tempfile.TemporaryDirectory() as work:
        kernel = subprocess.run(["tools/get-kernel"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        initrd = f"{work}/initrd.gz"
        subprocess.run(["tools/make-initramfs", initrd, "tests/e2e/guest/time.sh"], check=True)
        guest = Guest(initrd, kernel)

        start, end = map(float, guest.expect("=== slept").split())
        print(f"sleep 1 took {end - start:.2f} s of guest time")
        if not 0.99 <= end - start <= 1.25:
            faults.append("sleep 1 does not take a second")

        before, after = map(int, guest.expect("=== ticks").split())
        print(f"{after - before} local timer interrupts while the CPU was busy for 2 to 3 s")
        if after - before < 2 * 250 * 0.8:
            faults.append("a busy CPU does not get its 250 timer interrupts a second")

        guest.expect("=== ready")
        host_before = time.monotonic()
        first = guest.offset_s()
        time.sleep(CLOCK_S)
        last = guest.offset_s()
        elapsed = time.monotonic() - host_before
        print(f"over {elapsed:.1f} s the guest's clock moved {1000 * (last - first):+.2f} ms against the host's")
        if abs(last - first) > 0.020:
            faults.append("the guest's clock drifts by more than 20 ms")

        guest.send("off")
        guest.process.stdin.close()
        status = guest.process.wait()
        guest.timer.cancel()
        if status != 0:
            faults.append(f"exit status {status}")
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
