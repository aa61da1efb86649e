from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.fusion import Second
from perception.pipeline import FeaturePipeline
from sentry_proto.layout import MODALITY_INDEX
from sentry_proto.types import FeatureWindow
from tests.perception.stages import OneFace, stand_in

START = 1_700_000_000.0


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(100, 140, (120, 160, 3), np.uint8)


NOISE = [noise(i) for i in range(2)]


def feed(pipeline: FeaturePipeline, start: float, seconds: float, rate: float = 4) -> list[FeatureWindow]:
    windows: list[FeatureWindow] = []
    for i in range(int(seconds * rate)):
        windows += pipeline.feed(NOISE[i % 2], start + i / rate).windows
    return windows


def test_frames_become_windows_every_hop() -> None:
    pipeline = FeaturePipeline(stand_in(), "p", "s", length_s=10, hop_s=5)
    windows = feed(pipeline, START, 21)
    assert [w.end - START for w in windows] == [10, 15, 20]
    assert all((w.participant, w.session) == ("p", "s") for w in windows)
    assert all(w.coverage[:, MODALITY_INDEX["face"]].min() > 0.99 for w in windows)


def test_a_face_that_leaves_leaves_its_seconds_uncovered() -> None:
    face = OneFace()
    pipeline = FeaturePipeline(stand_in(face), "p", "s")
    seconds: list[Second] = []
    for i in range(24):
        face.present = i < 8
        seconds += pipeline.feed(NOISE[i % 2], START + i / 4).seconds
    seconds += pipeline.finish()[0]
    assert [s.coverage[MODALITY_INDEX["face"]] for s in seconds] == [1, 1, 0, 0, 0, 0]
    assert [s.coverage[MODALITY_INDEX["quality"]] for s in seconds] == [1] * 6


def test_a_new_session_takes_nothing_along() -> None:
    pipeline = FeaturePipeline(stand_in(), "p", "one", length_s=10, hop_s=5)
    feed(pipeline, START, 9.5)
    seconds, windows = pipeline.start_session("q", "two")
    assert [s.start - START for s in seconds] == [8, 9]
    assert [(w.session, w.end - START) for w in windows] == [("one", 10)]
    later = feed(pipeline, START + 9.5, 12)
    assert [(w.session, w.start - START) for w in later] == [("two", 10)]


def test_finish_closes_the_last_second() -> None:
    pipeline = FeaturePipeline(stand_in(), "p", "s", length_s=5, hop_s=5)
    assert feed(pipeline, START, 5) == []
    seconds, windows = pipeline.finish()
    assert len(seconds) == 1
    assert [w.end - START for w in windows] == [5]
