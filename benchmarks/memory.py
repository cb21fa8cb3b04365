"""How far resident memory grows during one call, in a process of its own.

``python -m benchmarks.memory CONTEST ENTRANT`` prints the growth in bytes: libraries are loaded and
inputs made before, so that it is what the call needs beyond its inputs.
"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATUS = Path("/proc/self/status")


class NotMeasured(RuntimeError):
    """The operating system does not tell the peak, or the call did not come to its end."""


def peak(contest: str, entrant: str, *, timeout: float = 900.0) -> int:
    """Bytes of growth of one call, measured in a fresh process.

    Raises
    ------
    NotMeasured
        If that process failed; the message is its last line.
    """
    command = [sys.executable, "-m", "benchmarks.memory", contest, entrant]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotMeasured(f"not finished after {timeout:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotMeasured(f"exit status {done.returncode}: {last}")
    return int(done.stdout.strip().splitlines()[-1])


def growth(contest: str, entrant: str) -> int:
    """The same in this process, which must be fresh."""
    from .suites import find

    one = find(contest)
    program = one.entrant(entrant)
    inputs = one.inputs()
    one.warm(program)
    gc.collect()
    _give_back()
    before = _reset_peak()
    program.call(inputs)
    return max(0, _read("VmHWM") - before)


def _reset_peak() -> int:
    """Forget the highest resident size so far; returns the present one, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise NotMeasured(f"the peak cannot be reset: {error}") from error
    return _read("VmRSS")


def _read(field: str) -> int:
    """A field of this process's status, in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise NotMeasured(f"{STATUS} has no {field}")


def _give_back() -> None:
    """Return freed memory to the system, or a later call could use it unseen."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


if __name__ == "__main__":
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    import torch

    torch.set_num_threads(threads)
    print(growth(*sys.argv[1:]))
