"""Sentry's chain and what people use instead, on the same recording and the same core.

    python -m benchmarks.peers --video FILE [--size 640x480] [--frames 200] [--fer PYTHON] [--json]

* `sentry, every frame`: face, expression, pose, quality and fusion to features, each model at every frame.
* `sentry, live rates`: the same with each model at the rate its signal needs, as an agent does at 30 frames a second.
* `mediapipe loop`: the loop of MediaPipe's own examples: face landmarks with blendshapes, and pose, at every frame.
* `fer`: the `fer` package as its README shows it, FER().detect_emotions(): faces and expression, no landmarks, no pose.
  It wants an environment of its own (`python -m venv D; D/bin/pip install fer==25.10.3`): `--fer D/bin/python`.

Each runs in a process of its own on one core, by turns in several rounds. Figures are of processor time of all threads
with decoding, the median of the rounds, so that other work on the machine counts little; `fps` is how many frames one
core works through in a second when it has nothing else to do. DeepFace and Py-Feat are not compared: they fetch their
weights from other hosts at the first call.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from benchmarks.edge import letterbox, size_of
from benchmarks.peer_loop import Step
from benchmarks.peer_loop import main as run_peer
from perception import face, pose
from perception.chain import Image, Perception
from perception.pipeline import FeaturePipeline
from perception.runtime import StampClock, create_task, mediapipe_image, vision
from perception.schedule import EVERY_FRAME, LEVELS, Rates, Schedule

ROUNDS = 3


def sentry(levels: tuple[Rates, ...]) -> Step:
    """Our own chain, up to the features of each second."""
    pipeline = FeaturePipeline(Perception(schedule=Schedule(levels)), "", "")

    def step(image: Image, t: float) -> bool:
        return pipeline.feed(image, t).frame.box is not None

    return step


def mediapipe_loop() -> Step:
    """Both landmarkers at every frame, with their results as MediaPipe's Python gives them."""
    faces = create_task(vision.FaceLandmarker, face.landmarker_options(1))
    poses = create_task(vision.PoseLandmarker, pose.landmarker_options())
    face_clock, pose_clock = StampClock(), StampClock()

    def step(image: Image, t: float) -> bool:
        picture = mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        found = faces.detect_for_video(picture, face_clock.stamp(t))
        poses.detect_for_video(picture, pose_clock.stamp(t))
        return bool(found.face_landmarks)

    return step


OURS: dict[str, Callable[[], Step]] = {
    "sentry, every frame": functools.partial(sentry, EVERY_FRAME),
    "sentry, live rates": functools.partial(sentry, LEVELS),
    "mediapipe loop": mediapipe_loop,
}


def compare(path: Path, frames: int, fer: Path | None, core: int) -> list[dict[str, Any]]:
    """One row per tool, the quickest first."""
    commands = {name: [sys.executable, "-m", "benchmarks.peers", "--run", name] for name in OURS}
    if fer:
        commands["fer"] = [str(fer), str(Path(__file__).with_name("peer_fer.py"))]
    runs = [
        {name: _run([*command, str(path), str(frames)], core) for name, command in commands.items()}
        for _ in range(ROUNDS)
    ]
    rows = []
    for name in commands:
        cpu_ms = statistics.median(run[name]["cpu_ms"] for run in runs)
        row = {"cpu_ms_per_frame": round(cpu_ms, 2), "fps": round(1000 / cpu_ms, 1)}
        rows.append({"tool": name, **row, "frames_with_face": round(runs[0][name]["found"], 3)})
    return sorted(rows, key=lambda row: row["cpu_ms_per_frame"])


def _run(command: Sequence[str], core: int) -> Mapping[str, float]:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for a person."""
    lines = [f"{'tool':22} {'CPU per frame':>14} {'frames/s on a core':>19} {'frames with a face':>19}"]
    for row in rows:
        lines.append(
            f"{row['tool']:22} {row['cpu_ms_per_frame']:>11.2f} ms {row['fps']:>19.1f} {row['frames_with_face']:>19.0%}"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table, or one JSON object."""
    if sys.argv[1:2] == ["--run"]:
        run_peer(OURS[sys.argv[2]]())
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--video", type=Path, required=True)
    add("--size", type=size_of, default=(640, 480), metavar="WxH", help="default: 640x480")
    add("--frames", type=int, default=200, help="in each round; default: %(default)s")
    add("--fer", type=Path, metavar="PYTHON", help="of an environment that has the fer package")
    add("--core", type=int, default=max(os.sched_getaffinity(0)), help="default: the last")
    add("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(
            letterbox(arguments.video, arguments.size, Path(folder)), arguments.frames, arguments.fer, arguments.core
        )
    print(json.dumps({"video": arguments.video.name, "rows": rows}) if arguments.json else render(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
