"""The live part of `benchmarks.edge`: a recording as a camera, in a process of its own, as on a lab machine."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.bare_models import Watched, native_calls, python_calls
from benchmarks.edge_loop import Costs, make_loop
from benchmarks.played_camera import OPENER
from benchmarks.processes import children, cpu_s
from edge_agent.capture import LiveCapture
from edge_agent.sources import SourceOptions, open_live
from perception.schedule import LEVELS, Schedule

KEPT = 300
"""The bare models run on so many of the newest frames: 10 s, and 280 MB."""


class NotedSchedule(Schedule):
    """Remembers the highest load level."""

    highest = 0

    def worked(self, now: float, spent_s: float, age_s: float) -> None:
        super().worked(now, spent_s, age_s)
        self.highest = max(self.highest, self.level)


def live(path: Path, seconds: float, busy: bool) -> dict[str, Any]:
    """The recording as a camera, on this core; then the bare model calls that its newest frames had."""
    stop, schedule, before = threading.Event(), NotedSchedule(LEVELS), children()
    with closing(open_live("recording", OPENER, SourceOptions(str(path), "P01", stop=stop))) as source:
        (camera,) = children() - before
        with neighbour(busy), Watched(schedule, KEPT) as chain:
            loop = make_loop(source, LiveCapture(source, stop), chain, schedule, seconds, Costs())
            begin, cpu, camera_cpu = time.monotonic(), time.process_time(), cpu_s(camera)
            loop.run()
            took = time.monotonic() - begin
            camera_share, own_share = (cpu_s(camera) - camera_cpu) / took, (time.process_time() - cpu) / took
        stop.set()
    figures = loop.figures()
    return {
        "live_core_share": round(own_share + camera_share, 3),
        "live_capture_core_share": round(camera_share, 3),
        **bare_shares(chain),
        "live_fps": figures["fps"],
        "live_frames_dropped": figures["frames_dropped"],
        "live_highest_level": schedule.highest,
        "capture_to_feature_ms": figures["stages"]["capture_to_feature"],
    }


def bare_shares(chain: Watched) -> dict[str, float]:
    """What the same models' calls on the newest frames take of a core, one after the other and at a camera's pace."""
    frames = list(chain.seen)
    lasted = (frames[-1][1].t - frames[0][1].t) * len(frames) / (len(frames) - 1)
    calls = {
        "live_bare_core_share": (python_calls(), False),
        "live_native_core_share": (native_calls(), False),
        "live_paced_core_share": (python_calls(), True),
    }
    shares = {}
    for name, (bare, paced) in calls.items():
        bare.run(frames[:10])  # finds the face anew, which is not counted
        shares[name] = round(bare.run(frames, paced) / lasted, 3)
    return shares


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Another process that spins on the same core, if that is wanted."""
    if not busy:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
