"""The real chain on real people; the recordings lie beside the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from perception.chain import Perception
from perception.extract import Summary, extract
from perception.pipeline import FeaturePipeline
from perception.video import VideoFile
from sentry_proto.layout import SECOND_FEATURES

pytestmark = [pytest.mark.shared, pytest.mark.slow]


def run(perception: Perception, shared_dir: Path, name: str, out: Path | None = None) -> Summary:
    summary = extract(shared_dir / "videos" / name, out, perception=perception)
    assert summary.error == ""
    return summary


@pytest.mark.parametrize(
    ("name", "seconds", "face_at_least"),
    [
        ("hysts_video00.mp4", 18, 0.9),
        ("intel_asl_again.mkv", 3, 0.9),
        ("intel_asl_please.mkv", 3, 0.7),
        ("intel_asl_sister.mkv", 3, 0.9),
        ("intel_asl_yes.mkv", 3, 0.8),
        ("intel_head-pose-female.mp4", 2, 0.9),
        ("intel_head-pose-male.mp4", 6, 0.9),
        ("pyfeat_WolfgangLanger_Pexels.mp4", 20, 0.95),
        ("pyfeat_single_face.mp4", 3, 0.9),
    ],
)
def test_one_person(perception: Perception, shared_dir: Path, name: str, seconds: int, face_at_least: float) -> None:
    summary = run(perception, shared_dir, name)
    assert summary.seconds == seconds
    assert summary.coverage["face"] >= face_at_least
    assert summary.coverage["pose"] >= 0.7
    assert summary.camera_states["ok"] >= 0.9


@pytest.mark.parametrize("name", ["pyfeat_no_face.mp4", "intel_asl_book.mkv", "intel_asl_learn.mkv"])
def test_where_no_face_is_found_there_is_no_data(
    perception: Perception, shared_dir: Path, name: str, tmp_path: Path
) -> None:
    summary = run(perception, shared_dir, name, tmp_path / "out.parquet")
    assert summary.camera_states == {"no face": 1.0}
    assert {m: c for m, c in summary.coverage.items() if m != "quality"} == dict.fromkeys(
        ("face", "emotion", "pose", "hands"), 0.0
    )
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["head_yaw_mean"].null_count == table["emotion_neutral_mean"].null_count == table.num_rows


def test_a_face_that_goes(perception: Perception, shared_dir: Path) -> None:
    summary = run(perception, shared_dir, "pyfeat_face_noface.mov")
    assert 0.2 < summary.coverage["face"] < 0.6
    assert {"ok", "no face"} <= set(summary.camera_states)


def test_two_people_are_said(perception: Perception, shared_dir: Path) -> None:
    summary = run(perception, shared_dir, "intel_head-pose-female-and-male.mp4")
    assert summary.camera_states == {"several faces": 1.0}


def test_half_the_frame_rate_tells_nearly_the_same(shared_dir: Path) -> None:
    frames = list(VideoFile(shared_dir / "videos" / "pyfeat_single_face.mp4"))
    means = []
    for every in (1, 2):
        with Perception() as fresh:
            pipeline = FeaturePipeline(fresh, "p", "s")
            seconds = [s for image, t in frames[::every] for s in pipeline.feed(image, t).seconds]
        means.append(np.mean([second.values for second in seconds], axis=0))
    for i, feature in enumerate(SECOND_FEATURES):
        if feature.aggregate == "mean" and feature.source != "eyes_closed":  # blinks fall between the frames
            width = feature.high - feature.low
            assert means[0][i] == pytest.approx(means[1][i], abs=0.05 * width), feature.name


def test_the_same_recording_gives_the_same_rows(perception: Perception, shared_dir: Path, tmp_path: Path) -> None:
    tables = []
    for name in ("first.parquet", "second.parquet"):
        with Perception() as fresh:
            run(fresh, shared_dir, "pyfeat_single_face.mp4", tmp_path / name)
        tables.append(pq.read_table(tmp_path / name).to_pandas())
    np.testing.assert_allclose(
        tables[0].select_dtypes("number").to_numpy(), tables[1].select_dtypes("number").to_numpy(), atol=1e-5
    )
