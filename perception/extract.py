"""Offline extraction: a recording in, one row of named features per second out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perception import crop, emotion, face, pose
from perception.bundles import sha256
from perception.chain import STAGES, FrameResult, Perception
from perception.fusion import Second
from perception.pipeline import FeaturePipeline
from perception.video import Thinner, VideoFile
from sentry_proto.durable import sync_folder
from sentry_proto.errors import MediaError, StorageError
from sentry_proto.layout import LAYOUT_ID, MODALITIES, MODALITY_INDEX, SECOND_FEATURES
from sentry_proto.software import SOFTWARE
from sentry_proto.types import CameraState

Progress = Callable[[int, int], None]
"""Called after each frame that was looked at with the frames read so far and the frames that the container declares (0:
it does not say)."""

MODELS = (face.MODEL, pose.MODEL, emotion.MODEL)

PURPOSE = b"sentry_purpose"
"""Key in the metadata of an extracted table: what it was extracted for, as declared; empty if nobody said."""

ERROR = b"sentry_error"
"""Key in the metadata of an extracted table: why the recording ended early; empty if it did not."""


@dataclass
class Summary:
    """What an extraction did.

    Attributes:
        video: its path, as given.
        layout: the feature layout's id.
        frames: how many were looked at.
        seconds: how many rows there are.
        camera_states: share of the seconds per camera state.
        coverage: mean share of a second in which each modality was seen.
        fps: frames processed per second of wall time, decoding included.
        stage_ms: median milliseconds per stage, over the frames in which it ran.
        error: why the recording ended early; empty if it did not.
    """

    video: str
    layout: str = LAYOUT_ID
    frames: int = 0
    seconds: int = 0
    camera_states: dict[str, float] = field(default_factory=dict)
    coverage: dict[str, float] = field(default_factory=dict)
    fps: float = 0.0
    stage_ms: dict[str, float] = field(default_factory=dict)
    error: str = ""

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))


def extract(
    video: Path,
    out: Path | None = None,
    on_progress: Progress | None = None,
    perception: Perception | None = None,
    *,
    fps: float | None = None,
    start: float = 0.0,
    purpose: str = "",
) -> Summary:
    """Extract the features of every second of a recording.

    A recording that breaks off is kept up to there: the rows are written, and `Summary.error` and `sentry_error` in the
    table's metadata say what happened.

    Args:
        video: the recording.
        out: Parquet file to write; none if None.
        on_progress: told about every frame.
        perception: models to use, reset first and left open; own ones if None.
        fps: most frames a second to look at; None for all.
        start: Unix seconds of the first frame.
        purpose: what it is for, as declared; stamped into the table's metadata.

    Raises:
        MediaError: there is no such file, or it has not one frame.
        StorageError: `out` cannot be written.
        MissingDependency: a model is absent.
    """
    with VideoFile(video) as recording:
        if perception is not None:
            perception.reset()
            return _extract(recording, out, on_progress, perception, fps, start, purpose)
        with Perception() as own:
            return _extract(recording, out, on_progress, own, fps, start, purpose)


def _extract(
    recording: VideoFile,
    out: Path | None,
    on_progress: Progress | None,
    perception: Perception,
    fps: float | None,
    start: float,
    purpose: str,
) -> Summary:
    thinner = Thinner(fps)
    summary = Summary(str(recording.path))
    pipeline = FeaturePipeline(perception, participant="", session="")
    results: list[FrameResult] = []
    seconds: list[Second] = []
    begin = time.perf_counter()
    try:
        for read, (image, offset) in enumerate(recording, 1):
            if not thinner.passes(start + offset):
                continue
            step = pipeline.feed(image, start + offset)
            results.append(step.frame)
            seconds += step.seconds
            if on_progress is not None:
                on_progress(read, recording.frames)
    except MediaError as error:
        if not results:
            raise
        summary.error = str(error)
    seconds += pipeline.finish()[0]
    summary.frames, summary.seconds = len(results), len(seconds)
    summary.fps = len(results) / (time.perf_counter() - begin)
    summary.stage_ms = median_stages(results)
    summary.camera_states, summary.coverage = state_shares(seconds), mean_coverage(seconds)
    if out is not None:
        table = to_table(seconds)
        told = {ERROR: summary.error.encode(), PURPOSE: purpose.encode()}
        write_parquet(table.replace_schema_metadata(table.schema.metadata | told), out)
    return summary


def median_stages(results: list[FrameResult]) -> dict[str, float]:
    """Median milliseconds of each stage that ran at all."""
    spent = {stage: [result.stage_ms[stage] for result in results if stage in result.stage_ms] for stage in STAGES}
    return {stage: round(median(ms), 3) for stage, ms in spent.items() if ms}


def state_shares(seconds: list[Second]) -> dict[str, float]:
    """Share of the seconds per camera state that occurs."""
    states = [second.camera_state for second in seconds]
    return {state.value: states.count(state) / len(states) for state in CameraState if state in states}


def mean_coverage(seconds: list[Second]) -> dict[str, float]:
    """Mean coverage of each modality."""
    means = np.mean([second.coverage for second in seconds], axis=0)
    return {name: round(float(mean), 4) for name, mean in zip(MODALITIES, means, strict=True)}


def to_table(seconds: list[Second]) -> pa.Table:
    """One row per second: `start`, the features (null where unseen), `coverage_*`, `camera_state` and `frames`.

    The schema's metadata holds the layout id, the crop rule, the software version and the models' digests.
    """
    values = np.array([second.values for second in seconds], np.float32)
    coverage = np.array([second.coverage for second in seconds], np.float32)
    columns = {"start": pa.array([second.start for second in seconds], pa.int64())}
    for i, feature in enumerate(SECOND_FEATURES):
        unseen = coverage[:, MODALITY_INDEX[feature.modality]] == 0
        columns[feature.name] = pa.array(values[:, i], mask=unseen)
    for i, name in enumerate(MODALITIES):
        columns[f"coverage_{name}"] = pa.array(coverage[:, i])
    columns["camera_state"] = pa.array([second.camera_state.value for second in seconds])
    columns["frames"] = pa.array([second.frames for second in seconds], pa.int32())
    return pa.table(columns).replace_schema_metadata(table_metadata())


@cache
def table_metadata() -> dict[str, str]:
    """What a table of seconds says of its making: layout, crop rule, version of Sentry, one `sha256_*` per model."""
    metadata = {"sentry_layout": LAYOUT_ID, "sentry_crop": crop.RULE, "sentry_version": SOFTWARE}
    return metadata | {f"sha256_{name}": sha256(name) for name in MODELS}


def write_parquet(table: pa.Table, out: Path) -> None:
    """Write a table so that `out` is either complete and on the disk, or as it was.

    Raises:
        StorageError: it cannot be written.
    """
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
        sync_folder(out.parent)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)
