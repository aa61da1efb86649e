"""Runs a module with a wall clock that another process may move: `python -m benchmarks.shifted_clock FILE MODULE ...`.

The file holds one float, the seconds by which `time.time` is off. Real clocks are moved in one step, and so is this
one: the file is mapped, and every call reads it.
"""

from __future__ import annotations

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

SIZE = struct.calcsize("d")


def write(path: Path, seconds: float) -> None:
    """Move the clock of whoever follows this file; the first call makes it."""
    mode = "r+b" if path.exists() else "wb"
    with path.open(mode) as file:
        file.write(struct.pack("d", seconds))


def follow(path: Path) -> None:
    """From now on, this process' `time.time` is off by what the file says."""
    real = time.time
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)
    time.time = lambda: real() + float(struct.unpack("d", offset[:SIZE])[0])


if __name__ == "__main__":
    follow(Path(sys.argv[1]))
    module, sys.argv = sys.argv[2], sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
