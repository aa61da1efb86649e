"""Does the agent's memory stay flat? A recording as a camera through everything that a lab machine runs.

    python -m benchmarks.soak [--video FILE] [--minutes 60] [--json]

The recording, or the puppet filmed for a minute, plays in a loop as a camera of 30 frames a second. It is read in the
capture process, goes through perception, a model's heads and the outbox, and over CURVE to a trainer that stores every
window; an hour is 108,000 frames and some 700 windows. Resident memory of the agent's process, which is this one, and
of the capture process is read every second. What is allocated once comes in the first fifth, which does not count.
The growth per hour, the slope of a straight line, is told from `ENOUGH_S` on only: stage times are kept for 10,000
frames, and fill some MiB until then. Exit code 1 if either process grows by more than `LIMIT_MIB` in the rest, or if
the trainer has not stored all that was spooled.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.played_camera import FPS, OPENER
from benchmarks.processes import children, resident_mib
from edge_agent import app
from edge_agent.heads import Heads
from edge_agent.slots import Slots
from edge_agent.sources import Source, SourceOptions, open_live
from edge_agent.sources.puppet import PuppetSource
from edge_agent.state import RunOptions
from sentry_proto.tasks import DEFAULT_TASKS
from tests.e2e.study import Study
from tests.edge_agent.bundles import bundle

LIMIT_MIB = 20.0
ENOUGH_S = 660.0
WARM_SHARE = 0.2
FILM_S = 60.0
AGENT, PARTICIPANT = "soaked", "P01"

Samples = list[tuple[float, float]]
"""Seconds, and MiB then."""


class Sampler(threading.Thread):
    """Reads the memory of this process and of those that it has started since, every second until `stop`."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._stop_it, self._others = stop, children()
        self.agent: Samples = []
        self.capture: Samples = []

    def run(self) -> None:
        while not self._stop_it.wait(1.0):
            now = time.monotonic()
            self.agent.append((now, resident_mib(os.getpid())))
            self.capture.append((now, sum(map(resident_mib, children() - self._others))))


def rest(samples: Samples) -> Samples:
    """What comes after the first fifth."""
    return samples[int(WARM_SHARE * len(samples)) :]


def growth(samples: Samples) -> float:
    """MiB per hour."""
    seconds, mib = np.array(rest(samples)).T
    return float(np.polyfit(seconds - seconds[0], mib, 1)[0] * 3600)


def film_puppet(path: Path, seconds: float) -> Path:
    """A recording of the puppet at 30 frames a second."""
    source = PuppetSource(None, FPS, threading.Event())
    pictures = (frame.image for frame, _ in zip(source.frames(), range(int(seconds * FPS)), strict=False))
    first = next(pictures)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (first.shape[1], first.shape[0]))
    for image in (first, *pictures):
        writer.write(image)
    writer.release()
    return path


def run_agent(study: Study, video: Path, seconds: float) -> tuple[dict[str, Any], Sampler]:
    """An agent of this study in this process; returns its report and how memory went."""
    key, folder, stop = study.enroll(AGENT), study.data_dir(AGENT), threading.Event()
    study.consent(AGENT, PARTICIPANT)
    Slots(folder / "bundles", lambda found: Heads(found, DEFAULT_TASKS)).accept(bundle())
    options = RunOptions(str(video), folder, PARTICIPANT, key, audit=1.0, duration=seconds)
    sampler = Sampler(stop)
    sampler.start()
    try:
        report, trouble = app.run(options, stop, played)
    finally:
        stop.set()
        sampler.join()
    if trouble:
        raise trouble
    return report, sampler


def played(options: SourceOptions) -> Source:
    """A recording as a camera."""
    return open_live("recording", OPENER, options)


def soak(video: Path, seconds: float, folder: Path) -> dict[str, Any]:
    """Run, and tell how memory went and where the windows are."""
    with closing(Study(folder)) as study:
        study.start_trainer()
        report, sampler = run_agent(study, video, seconds)
        stored = study.status()["windows"]
    figures: dict[str, Any] = {
        name: report[name] for name in ("frames_scored", "fps", "frames_dropped", "windows", "sent", "acked", "spooled")
    }
    figures["stored_windows"] = stored
    for name, samples in (("agent", sampler.agent), ("capture", sampler.capture)):
        first, last = rest(samples)[0][1], samples[-1][1]
        hourly = round(growth(samples), 2) if seconds >= ENOUGH_S else None
        figures |= {f"{name}_first_mib": round(first, 1), f"{name}_last_mib": round(last, 1)}
        figures |= {f"{name}_growth_mib": round(last - first, 1), f"{name}_growth_mib_per_hour": hourly}
    return figures


def main() -> int:
    """Print the figures; 1 if memory grows or something was not stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="default: the puppet, filmed")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = arguments.video or film_puppet(folder / "puppet.mp4", FILM_S)
        figures = soak(video, 60 * arguments.minutes, folder)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:28} {value}" for name, value in figures.items()))
    grown = max(figures["agent_growth_mib"], figures["capture_growth_mib"]) > LIMIT_MIB
    return int(grown or figures["acked"] < figures["sent"] or figures["stored_windows"] < figures["windows"])


if __name__ == "__main__":
    sys.exit(main())
