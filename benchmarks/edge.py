"""How fast the agent's chain is on one core, and what of that is not the models' own time.

    python -m benchmarks.edge --video FILE [--size 640x480] [--frames 600] [--live SECONDS [--busy]] [--json]

The process keeps to one core. Blocks of frames go by turns through the agent's loop (decode, quality, face, expression,
pose, fusion, heads, all of them at every frame) and through the bare calls of the same models, MediaPipe's in its own
Python, on pictures that were prepared beforehand; calls that the loop did not make are left out of the bare ones too.
So whatever slows the machine slows both. Figures are of processor time, of all threads: `fps` is how many frames one
core works through in a second when it has nothing else to do.

`start_s` is the time by the clock, median of `STARTS`, in which a whole `sentry-agent run` starts, works on the first
tenth of a second of the recording, and ends.

With `--live` the recording then plays as a camera of 30 frames a second does, each model at the rates of
`perception.schedule`: the share of a core, and how old a frame is when its features are known. `--busy` lets another
process spin on the same core meanwhile.

With `--tolerance` the features of all seconds of some recordings are compared: models at those rates against models at
every frame, as root mean square difference in standard deviations of the feature over these seconds.
"""

from __future__ import annotations

import argparse
import json
import os
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
import numpy as np

from edge_agent.capture import Capture, DirectCapture, LiveCapture
from edge_agent.consent import NOT_NEEDED, ConsentBook, Permit
from edge_agent.heads import Heads
from edge_agent.loop import Loop
from edge_agent.observer import Observer
from edge_agent.sources import Frame, Source
from edge_agent.sources.camera import LiveSource
from edge_agent.sources.file import FileSource
from edge_agent.state import State
from edge_agent.watch import NoTrial, Watch
from perception import face, pose
from perception.chain import FrameResult, Image, Perception
from perception.emotion import ExpressionModel
from perception.fusion import Second
from perception.pipeline import FeaturePipeline
from perception.runtime import StampClock, create_task, mediapipe_image, vision
from perception.schedule import EVERY_FRAME, LEVELS, Schedule
from perception.video import VideoFile
from sentry_proto.layout import MODALITIES, SECOND_FEATURES
from sentry_proto.tasks import DEFAULT_TASKS
from tests.edge_agent.bundles import bundle
from training.active_learning.selection import Selector

BLOCK = 25
STARTS = 3
LIVE_FPS = 30.0


class Watched(Perception):
    """The chain, with the pictures and results of its last block."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule=schedule, clock=time.process_time)
        self.seen: list[tuple[Image, FrameResult]] = []

    def process(self, image: Image, t: float) -> FrameResult:
        result = super().process(image, t)
        self.seen.append((image, result))
        return result


class Bare:
    """The model calls alone."""

    def __init__(self) -> None:
        self._face = create_task(vision.FaceLandmarker, face.landmarker_options(1))
        self._pose = create_task(vision.PoseLandmarker, pose.landmarker_options())
        self._expression = ExpressionModel()
        self._face_clock, self._pose_clock = StampClock(), StampClock()

    def run(self, seen: list[tuple[Image, FrameResult]]) -> float:
        """Seconds of processor time that the calls take which were made for these frames."""
        prepared = [
            (mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), face_crop(image, result), result)
            for image, result in seen
        ]
        begin = time.process_time()
        for image, crop, result in prepared:
            if "face" in result.stage_ms:
                self._face.detect_for_video(image, self._face_clock.stamp(result.t))
            if "expression" in result.stage_ms:
                self._expression(crop[None])
            if "pose" in result.stage_ms:
                self._pose.detect_for_video(image, self._pose_clock.stamp(result.t))
        return time.process_time() - begin


def face_crop(image: Image, result: FrameResult) -> Image:
    """A grey square about as large as the face."""
    side = min(round(result.box.side) if result.box else 100, *image.shape[:2])
    return np.ascontiguousarray(image[:side, :side, 0])


class ByTurns(DirectCapture):
    """Reads a recording and, after each block of frames, lets the bare models run on them."""

    def __init__(self, source: Source, chain: Watched, frames: int) -> None:
        super().__init__(source)
        self._chain, self._frames, self._bare = chain, frames, Bare()
        self.frames, self.chain_s, self.bare_s = 0, 0.0, 0.0

    def __iter__(self) -> Iterator[Frame | None]:
        warm, mark = False, time.process_time()
        for frame in super().__iter__():
            yield frame
            if len(self._chain.seen) < BLOCK:
                continue
            chain_s, bare_s = time.process_time() - mark, self._bare.run(self._chain.seen)
            if warm:
                self.frames, self.chain_s, self.bare_s = (
                    self.frames + BLOCK,
                    self.chain_s + chain_s,
                    self.bare_s + bare_s,
                )
            warm = True
            self._chain.seen.clear()
            if self.frames >= self._frames:
                return
            mark = time.process_time()


class PacedFile:
    """A recording that plays in a loop as a camera does: a frame every thirtieth of a second, taken or lost."""

    def __init__(self, path: Path) -> None:
        self._images, self._begin, self._index = self._play(path), time.monotonic(), 0

    def _play(self, path: Path) -> Iterator[Image]:
        while True:
            with VideoFile(path) as video:
                yield from (image for image, _ in video)

    def read(self) -> tuple[float, Image]:
        image = next(self._images)
        self._index += 1
        time.sleep(max(0.0, self._begin + self._index / LIVE_FPS - time.monotonic()))
        return time.time(), image

    def release(self) -> None:
        """Nothing is held."""


def make_loop(source: Source, capture: Capture, chain: Perception, schedule: Schedule, duration: float | None) -> Loop:
    """The loop of an agent with a model and without a trainer."""
    state = State(heads=Heads(bundle(), DEFAULT_TASKS))
    permit = Permit(ConsentBook(Path(os.devnull)), None, NOT_NEEDED)
    selector = Selector(np.random.default_rng(0), 0.05, 30)
    watch = Watch(Observer(selector), state, permit, lambda records, scored: None, NoTrial())
    pipeline = FeaturePipeline(chain, "", "")
    return Loop(source, capture, pipeline, watch, state, permit, duration, threading.Event(), schedule)


def speed(path: Path, frames: int) -> dict[str, Any]:
    """Chain and bare models by turns."""
    source = FileSource(str(path), lambda: VideoFile(path), "P01", None, None, True, threading.Event())
    schedule = Schedule(EVERY_FRAME)
    with Watched(schedule) as chain:
        turns = ByTurns(source, chain, frames)
        loop = make_loop(source, turns, chain, schedule, None)
        loop.run()
    return {
        "frames": turns.frames,
        "fps": round(turns.frames / turns.chain_s, 1),
        "bare_fps": round(turns.frames / turns.bare_s, 1),
        "overhead": round(turns.chain_s / turns.bare_s - 1, 3),
        "cpu_ms_per_frame": round(1000 * turns.chain_s / turns.frames, 2),
        "bare_cpu_ms_per_frame": round(1000 * turns.bare_s / turns.frames, 2),
        "stages_cpu_ms": {name: ms["median_ms"] for name, ms in loop.timings.summary().items() if name != "frame"},
    }


def live(path: Path, seconds: float, busy: bool) -> dict[str, Any]:
    """The recording as a camera, on this core."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None  # on the same core
    stop = threading.Event()
    try:
        schedule = Schedule(LEVELS)
        with Perception(schedule=schedule) as chain:
            source = LiveSource("recording", lambda: PacedFile(path), "P01", stop)
            loop = make_loop(source, LiveCapture(source, stop), chain, schedule, seconds)
            begin, cpu = time.monotonic(), time.process_time()
            loop.run()
            share = (time.process_time() - cpu) / (time.monotonic() - begin)
    finally:
        stop.set()
        if neighbour:
            neighbour.kill()
            neighbour.wait()
    figures = loop.figures()
    return {
        "live_core_share": round(share, 3),
        "live_fps": figures["fps"],
        "live_frames_dropped": figures["frames_dropped"],
        "live_load_level": figures["load_level"],
        "capture_to_feature_ms": figures["stages"]["capture_to_feature"],
    }


def tolerance(paths: list[Path]) -> dict[str, dict[str, float]]:
    """Per modality, how far features of scheduled models lie from those of every frame, in their own spreads."""
    full, scheduled = (
        np.array([one.values for path in paths for one in seconds_of(path, Schedule(levels))], np.float64)
        for levels in (EVERY_FRAME, LEVELS)
    )
    spread = full.std(axis=0)
    share = np.sqrt(np.mean((full - scheduled) ** 2, axis=0)) / np.maximum(spread, 1e-6)
    table = {}
    for modality in MODALITIES:
        of = np.array([f.modality == modality for f in SECOND_FEATURES]) & (spread > 1e-6)
        means = of & np.array([f.aggregate == "mean" for f in SECOND_FEATURES])
        if means.any():  # something moved
            table[modality] = {
                "means": round(float(np.median(share[means])), 3),
                "worst_mean": round(float(share[means].max()), 3),
                "worst": round(float(share[of].max()), 3),
            }
    return table


def seconds_of(path: Path, schedule: Schedule) -> list[Second]:
    with Perception(schedule=schedule) as chain, VideoFile(path) as video:
        pipeline = FeaturePipeline(chain, "", "")
        seconds = [second for image, t in video for second in pipeline.feed(image, t).seconds]
        return seconds + pipeline.finish()[0]


def start(path: Path, folder: Path) -> float:
    """Seconds from nothing to the features of the first frames, and down again."""
    agent = [sys.executable, "-m", "edge_agent.cli", "run", "--source", str(path), "--data-dir", str(folder / "agent")]
    took = []
    for _ in range(STARTS):
        began = time.monotonic()
        subprocess.run([*agent, "--duration", "0.1", "--speed", "max"], check=True, capture_output=True)
        took.append(time.monotonic() - began)
    return round(statistics.median(took), 2)


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
    """Print the figures, as a table or as JSON."""
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
    os.sched_setaffinity(0, {arguments.core})
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = letterbox(arguments.video, arguments.size, Path(folder))
        figures: dict[str, Any] = {"video": arguments.video.name, "size": "{}x{}".format(*arguments.size)}
        figures |= {"start_s": start(path, Path(folder)), **speed(path, arguments.frames)}
        if arguments.live:
            figures |= live(path, arguments.live, arguments.busy)
        if arguments.tolerance:
            figures["tolerance"] = tolerance(arguments.tolerance)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:22} {value}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
