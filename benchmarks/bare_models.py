"""The model calls of the chain without the chain, for its overhead to be compared with.

Two ways of calling MediaPipe: its own Python API, which is what people write, and the functions of its C library
without a look at the results, which is as little as there can be. `perception.native` makes the same calls.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np

from perception import face, pose
from perception.chain import FrameResult, Image, Perception
from perception.emotion import ExpressionModel
from perception.native import VideoTask, internals
from perception.runtime import StampClock, create_task, mediapipe_image, vision
from perception.schedule import Schedule

Seen = tuple[Image, FrameResult]
Call = Callable[[Any, int], Any]


class Watched(Perception):
    """The chain, with the pictures and results of its last frames; stages are timed by the processor's clock.

    Args:
        keep: how many frames; None for all since they were cleared.
    """

    def __init__(self, schedule: Schedule, keep: int | None = None) -> None:
        super().__init__(schedule=schedule, clock=time.process_time)
        self.seen: deque[Seen] = deque(maxlen=keep)

    def process(self, image: Image, t: float) -> FrameResult:
        result = super().process(image, t)
        self.seen.append((image, result))
        return result


class Bare:
    """One set of models, called in one way.

    Args:
        face, pose: calls of the landmarkers with a MediaPipe image and a stamp in milliseconds.
    """

    def __init__(self, face: Call, pose: Call) -> None:
        self._face, self._pose = face, pose
        self._expression = ExpressionModel()
        self._face_clock, self._pose_clock = StampClock(), StampClock()

    def run(self, seen: Iterable[Seen], paced: bool = False) -> float:
        """Seconds of processor time that the calls take which were made for these frames.

        Args:
            seen: pictures, and what the chain did with each.
            paced: whether each picture waits for its moment, as before a camera; else they come one after the other,
                and find the models in the processor's caches.
        """
        prepared = [
            (mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), face_crop(image, result), result)
            for image, result in seen
        ]
        began, first, spent_s = time.monotonic(), prepared[0][2].t, 0.0
        for image, crop, result in prepared:
            if paced:
                time.sleep(max(0.0, result.t - first - (time.monotonic() - began)))
            begin = time.process_time()
            if "face" in result.stage_ms:
                self._face(image, self._face_clock.stamp(result.t))
            if "expression" in result.stage_ms:
                self._expression(crop[None])
            if "pose" in result.stage_ms:
                self._pose(image, self._pose_clock.stamp(result.t))
            spent_s += time.process_time() - begin
        return spent_s


def python_calls() -> Bare:
    """By MediaPipe's Python API."""
    return Bare(
        create_task(vision.FaceLandmarker, face.landmarker_options(1)).detect_for_video,
        create_task(vision.PoseLandmarker, pose.landmarker_options()).detect_for_video,
    )


def native_calls() -> Bare:
    """By MediaPipe's C library."""
    return Bare(
        _unread(VideoTask(vision.FaceLandmarker, face.landmarker_options(1), internals.face)),
        _unread(VideoTask(vision.PoseLandmarker, pose.landmarker_options(), internals.pose)),
    )


def _unread(task: VideoTask) -> Call:
    def call(image: Any, stamp: int) -> None:
        with task.detect(image, stamp):
            pass

    return call


def face_crop(image: Image, result: FrameResult) -> Image:
    """A grey square about as large as the face."""
    side = min(round(result.box.side) if result.box else 100, *image.shape[:2])
    return np.ascontiguousarray(image[:side, :side, 0])
