"""How fast the agent's chain is on one core, and what of that is not the models' own time.

    python -m benchmarks.edge --video FILE [--size 640x480] [--frames 600] [--live SECONDS [--busy]] [--json]

The process keeps to one core. The recording plays in a loop. Blocks of frames go by turns through the agent's loop
(decode, quality, face, expression, pose, fusion, heads, all of them at every frame) and through the bare calls of the
same models on pictures that were prepared beforehand; calls that the loop did not make are left out of the bare ones
too. So whatever slows the machine slows both. Before that, the loop is given `WARM_S` seconds of the recording at a low
rate, so that the person has a baseline and heads score a window in every five seconds of what is measured; it is an
error if none was scored. Figures are of processor time, of all threads: `fps` is how many frames one core works through
in a second when it has nothing else to do. `overhead` is beside MediaPipe's Python API, `native_overhead` beside its C
library with results unread. `stages_cpu_ms` are means per frame, and add up.

`start_s` is the time by the clock, median of `STARTS`, from the start of a `sentry-agent run` with a model to its first
expression of a face, which has to come in the recording's first second; `start_cpu_s` the processor time of that run.

With `--live` the recording then plays as a camera of 30 frames a second does, read in a process of its own, each model
at the rates of `perception.schedule`: the share of a core of both processes, that of the bare calls which the last ten
seconds had, one after the other and at a camera's pace (`live_paced_core_share`, with caches that cooled down since the
frame before), and how old a frame is when its features are known. `--busy` lets another process spin on the same core
meanwhile; exit code 1 if nothing was given up then.

With `--tolerance` the features of all seconds of some recordings are compared: models at the rates of each load level
against models at every frame, as root mean square difference in standard deviations of the feature within a recording:
per modality the median over its means, the worst of them, and the worst of all aggregates.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from benchmarks.bare_models import Watched, native_calls, python_calls
from benchmarks.edge_live import live
from benchmarks.edge_loop import Costs, make_loop
from benchmarks.edge_tolerance import tolerance
from edge_agent.capture import DirectCapture
from edge_agent.heads import Heads
from edge_agent.slots import Slots
from edge_agent.sources import Frame, Source
from edge_agent.sources.file import FileSource
from perception.baseline import READY_S
from perception.schedule import EVERY_FRAME, Schedule
from perception.video import Thinner, VideoFile
from perception.window import LENGTH_S
from sentry_proto.tasks import DEFAULT_TASKS
from tests.edge_agent.bundles import bundle

BLOCK = 25
STARTS = 3

WARM_S = READY_S + LENGTH_S + 1.0
"""The last second before the first window that can be scored."""

WARM_FPS = 2.0
"""The least at which a second counts as seen throughout."""


class ByTurns(DirectCapture):
    """Reads a recording and, after each block of frames, lets the bare models run on them."""

    def __init__(self, source: Source, chain: Watched, costs: Costs, frames: int) -> None:
        super().__init__(source)
        self._chain, self._costs, self._wanted = chain, costs, frames
        self._python, self._native = python_calls(), native_calls()
        self._clear()

    def _clear(self) -> None:
        self._costs.clear()
        self.frames, self.chain_s, self.python_s, self.native_s = 0, 0.0, 0.0, 0.0

    def __iter__(self) -> Iterator[Frame | None]:
        frames = super().__iter__()
        yield from self._warm_up(frames)
        yield from self._turn(frames)
        self._clear()
        while self.frames < self._wanted:
            yield from self._turn(frames)

    def _warm_up(self, frames: Iterator[Frame | None]) -> Iterator[Frame]:
        thinner, begin = Thinner(WARM_FPS), None
        for frame in filter(None, frames):
            begin = frame.time if begin is None else begin
            if frame.time - begin >= WARM_S:
                return
            if thinner.passes(frame.time):
                yield frame

    def _turn(self, frames: Iterator[Frame | None]) -> Iterator[Frame | None]:
        self._chain.seen.clear()
        begin = time.process_time()
        for _ in range(BLOCK):
            with self._costs.stage("decode"):
                frame = next(frames)
            yield frame
        self.chain_s += time.process_time() - begin
        self.python_s += self._python.run(self._chain.seen)
        self.native_s += self._native.run(self._chain.seen)
        self.frames += BLOCK


def speed(path: Path, frames: int) -> dict[str, Any]:
    """Chain and bare models by turns.

    Raises:
        SystemExit: no window was scored, so that this was not the whole chain.
    """
    source = FileSource(str(path), lambda: VideoFile(path), "P01", None, None, True, threading.Event())
    schedule, costs = Schedule(EVERY_FRAME), Costs()
    with Watched(schedule) as chain:
        turns = ByTurns(source, chain, costs, frames)
        make_loop(source, turns, chain, schedule, None, costs).run()
    if not costs.scored:
        raise SystemExit(f"no window was scored in {frames} frames: too few frames, or too little of a face")
    stages = dict(costs.spent_s)
    stages["rest"] = turns.chain_s - sum(stages.values())
    return {
        "frames": turns.frames,
        "windows_scored": costs.scored,
        "fps": round(turns.frames / turns.chain_s, 1),
        "bare_fps": round(turns.frames / turns.python_s, 1),
        "native_fps": round(turns.frames / turns.native_s, 1),
        "overhead": round(turns.chain_s / turns.python_s - 1, 3),
        "native_overhead": round(turns.chain_s / turns.native_s - 1, 3),
        "cpu_ms_per_frame": round(1000 * turns.chain_s / turns.frames, 2),
        "stages_cpu_ms": {name: round(1000 * spent_s / turns.frames, 3) for name, spent_s in stages.items()},
    }


def start(path: Path, folder: Path) -> dict[str, float]:
    """How long an agent with a model takes from nothing to the first expression of a face, and to its end."""
    data = folder / "agent"
    Slots(data / "bundles", lambda found: Heads(found, DEFAULT_TASKS)).accept(bundle())
    runs = [start_once(path, data) for _ in range(STARTS)]
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


def start_once(path: Path, data: Path) -> dict[str, float]:
    """One start; its model is there already."""
    agent = [sys.executable, "-m", "edge_agent.cli", "run", "--source", str(path), "--data-dir", str(data)]
    begin, spent_s = time.time(), children_s()
    done = subprocess.run([*agent, "--duration", "1", "--speed", "max", "--json"], check=True, capture_output=True)
    report = json.loads(done.stdout)
    if report["first_expression_at"] is None or report["model_version"] == 0:
        raise SystemExit(f"the agent saw no face in the first second of {path}, or has no model")
    return {"start_s": report["first_expression_at"] - begin, "start_cpu_s": children_s() - spent_s}


def children_s() -> float:
    """Seconds of processor time of all processes that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def letterbox(path: Path, size: tuple[int, int], folder: Path) -> Path:
    """The same recording in another size, with bars rather than distorted."""
    out, (width, height) = folder / "sized.mp4", size
    with VideoFile(path) as video:
        writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"mp4v"), video.fps, size)
        for image, _ in video:
            scale = min(width / image.shape[1], height / image.shape[0])
            inner = cv2.resize(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
            top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
            bars = (top, height - inner.shape[0] - top, left, width - inner.shape[1] - left)
            writer.write(cv2.copyMakeBorder(inner, *bars, cv2.BORDER_CONSTANT))
        writer.release()
    return out


def size_of(text: str) -> tuple[int, int]:
    """Width and height of a text such as 640x480."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def main() -> int:
    """Print the figures, as a table or as JSON; 1 if a busy core made the live part give nothing up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--video", type=Path, required=True)
    add("--size", type=size_of, default=(640, 480), metavar="WxH", help="default: 640x480")
    add("--frames", type=int, default=600, help="default: %(default)s")
    add("--live", type=float, metavar="SECONDS", help="play the recording as a camera, too")
    add("--busy", action="store_true", help="with another process spinning on the same core meanwhile")
    add("--tolerance", type=Path, nargs="+", default=[], metavar="FILE", help="compare features over these recordings")
    add("--core", type=int, default=min(os.sched_getaffinity(0)), help="default: the first")
    add("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.busy and not arguments.live:
        parser.error("--busy goes with --live")
    os.sched_setaffinity(0, {arguments.core})
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = letterbox(arguments.video, arguments.size, Path(folder))
        figures: dict[str, Any] = {"video": arguments.video.name, "size": "{}x{}".format(*arguments.size)}
        figures |= {**start(path, Path(folder)), **speed(path, arguments.frames)}
        if arguments.live:
            figures |= live(path, arguments.live, arguments.busy)
        if arguments.tolerance:
            figures |= {f"tolerance_{level}": table for level, table in enumerate(tolerance(arguments.tolerance))}
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:24} {value}" for name, value in figures.items()))
    if arguments.busy and figures["live_highest_level"] == 0:
        print("a busy core, and nothing was given up", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
