"""The measured loop of `benchmarks.peers`. It needs OpenCV only, so that it also runs in a peer's own environment."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2

WARM_UP, FPS = 20, 30.0

Step = Callable[[Any, float], bool]
"""Works through one frame, uint8 [H, W, 3] in BGR order, at a time in seconds; returns whether it found a face."""


def images(path: str) -> Iterator[Any]:
    """The frames of a recording, from the beginning again where it ends."""
    while True:
        video = cv2.VideoCapture(path)
        try:
            read, image = video.read()
            if not read:
                raise SystemExit(f"{path}: no frame can be read")
            while read:
                yield image
                read, image = video.read()
        finally:
            video.release()


def measure(step: Step, path: str, frames: int) -> dict[str, float]:
    """Processor time per frame in ms, of all threads and with decoding, and the share of frames with a face."""
    cv2.setNumThreads(1)
    found, begin = 0, 0.0
    for number, image in enumerate(images(path)):
        if number == WARM_UP:
            found, begin = 0, time.process_time()
        if number == WARM_UP + frames:
            break
        found += step(image, number / FPS)
    return {"cpu_ms": 1000 * (time.process_time() - begin) / frames, "found": found / frames}


def main(step: Step) -> None:
    """Measure what the command line names, a recording and a number of frames, and print one JSON line."""
    print(json.dumps(measure(step, sys.argv[-2], int(sys.argv[-1]))))
