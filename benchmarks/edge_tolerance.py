"""The tolerance part of `benchmarks.edge`: how far features of each load level lie from those of every frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.chain import Perception
from perception.fusion import Second
from perception.pipeline import FeaturePipeline
from perception.schedule import EVERY_FRAME, LEVELS, Rates, Schedule
from perception.video import VideoFile
from sentry_proto.layout import MODALITIES, SECOND_FEATURES

Table = dict[str, dict[str, float]]


def tolerance(paths: list[Path], levels: Sequence[Rates] = LEVELS) -> list[Table]:
    """Per level and modality, the difference to every frame's features, in their spreads within a recording."""
    full = [seconds_of(path, EVERY_FRAME[0]) for path in paths]
    return [compare(full, [seconds_of(path, rates) for path in paths]) for rates in levels]


def compare(full: list[list[Second]], scheduled: list[list[Second]]) -> Table:
    """Root mean square differences of the seconds that both have, per modality: of means, and the worst of all."""
    pairs = [matched(ours, theirs) for ours, theirs in zip(full, scheduled, strict=True)]
    spread = np.concatenate([every - every.mean(axis=0) for every, _ in pairs]).std(axis=0)
    difference = np.concatenate([every - some for every, some in pairs])
    share = np.sqrt(np.mean(difference**2, axis=0)) / np.maximum(spread, 1e-6)
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


def matched(ours: list[Second], theirs: list[Second]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of the seconds that both have: two arrays, [seconds, features]."""
    values = {second.start: second.values for second in theirs}
    both = [(second.values, values[second.start]) for second in ours if second.start in values]
    every, some = np.array(both, np.float64).swapaxes(0, 1)
    return every, some


def seconds_of(path: Path, rates: Rates) -> list[Second]:
    """The features of a recording with models at these rates; its last second is cut short, and left out."""
    schedule = Schedule((rates,))
    with Perception(schedule=schedule) as chain, VideoFile(path) as video:
        pipeline = FeaturePipeline(chain, "", "")
        frames = ((image, t) for image, t in video if schedule.admits(t))
        seconds = [second for image, t in frames for second in pipeline.feed(image, t).seconds]
        return (seconds + pipeline.finish()[0])[:-1]
