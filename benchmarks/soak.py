"""Does the agent's memory stay flat? A recording, or the puppet, in a loop through the whole chain.

    python -m benchmarks.soak [--video FILE] [--minutes 60] [--speed 1] [--json]

An hour at 30 frames a second is 108,000 frames; with `--speed max` they pass as fast as they can. Resident memory is
read every second. What is allocated once comes in the first fifth, which does not count. Exit code 1 if the rest grows
by more than `LIMIT_MIB`. The growth per hour of 30 frames a second, the slope of a straight line, is told from
`ENOUGH_FRAMES` on only: stage times are kept for 10,000 frames, and fill some MiB until then.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.edge import make_loop
from edge_agent.capture import DirectCapture
from edge_agent.sources import PUPPET, Frame, SourceOptions, open_source
from perception.chain import Perception
from perception.schedule import LEVELS, Schedule

LIMIT_MIB = 20.0
ENOUGH_FRAMES = 20_000
FRAMES_PER_HOUR = 30 * 3600
WARM_SHARE = 0.2


def resident_mib() -> float:
    """Of this process, as the kernel counts it (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Sampled(DirectCapture):
    """Reads a source for some time, and the memory every second."""

    def begin(self, seconds: float) -> None:
        self.samples: list[tuple[int, float]] = []
        self._end = time.monotonic() + seconds

    def __iter__(self) -> Iterator[Frame | None]:
        due = time.monotonic()
        for frame in super().__iter__():
            yield frame
            now = time.monotonic()
            if now >= due:
                self.samples.append((self.read, resident_mib()))
                due = now + 1
            if now >= self._end:
                return


def growth(samples: list[tuple[int, float]]) -> float:
    """MiB per hour of 30 frames a second, from (frames so far, MiB)."""
    frames, mib = np.array(samples[int(WARM_SHARE * len(samples)) :]).T
    return float(np.polyfit(frames, mib, 1)[0] * FRAMES_PER_HOUR)


def soak(spec: str, seconds: float, speed: float | None) -> dict[str, Any]:
    """Run, and tell how memory went."""
    source = open_source(SourceOptions(spec, "P01", speed, loop=True, stop=threading.Event()))
    capture, schedule = Sampled(source), Schedule(LEVELS)
    capture.begin(seconds)
    with Perception(schedule=schedule) as chain:
        make_loop(source, capture, chain, schedule, None).run()
    first, last = capture.samples[int(WARM_SHARE * len(capture.samples))][1], capture.samples[-1][1]
    return {
        "frames": capture.read,
        "first_mib": round(first, 1),
        "last_mib": round(last, 1),
        "growth_mib": round(last - first, 1),
        "growth_mib_per_hour": round(growth(capture.samples), 2) if capture.read >= ENOUGH_FRAMES else None,
    }


def main() -> int:
    """Print the figures; 1 if memory grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", default=PUPPET, help="default: the puppet")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--speed", default="1", metavar="max|N")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    speed = None if arguments.speed == "max" else float(arguments.speed)
    figures = soak(arguments.video, 60 * arguments.minutes, speed)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:22} {value}" for name, value in figures.items()))
    return int(figures["growth_mib"] > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
