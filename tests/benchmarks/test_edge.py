from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import edge
from perception.video import VideoFile

CLIP = "pyfeat_single_face.mp4"


@pytest.fixture
def one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.shared
@pytest.mark.slow
def test_the_chain_costs_little_beyond_its_models(shared_dir: Path, tmp_path: Path, one_core: None) -> None:
    path = edge.letterbox(shared_dir / "videos" / CLIP, (640, 480), tmp_path)
    with VideoFile(path) as video:
        assert next(iter(video))[0].shape == (480, 640, 3)
    figures = edge.speed(path, 200)
    assert figures["frames"] == 200
    assert figures["overhead"] == pytest.approx(figures["bare_fps"] / figures["fps"] - 1, abs=0.01)
    assert figures["overhead"] < 0.15, "0.05 on a quiet machine"
    assert set(figures["stages_cpu_ms"]) >= {"quality", "convert", "face", "expression", "pose"}


@pytest.mark.shared
@pytest.mark.slow
def test_scheduled_features_are_close_to_those_of_every_frame(shared_dir: Path) -> None:
    table = edge.tolerance([shared_dir / "videos" / name for name in (CLIP, "intel_head-pose-male.mp4")])
    assert table["face"]["worst"] == table["quality"]["worst"] == 0
    assert 0 < table["emotion"]["worst_mean"] < 0.2
    assert 0 < table["pose"]["worst_mean"] < 0.6


@pytest.mark.shared
@pytest.mark.slow
def test_beside_a_busy_process_frames_stay_fresh(shared_dir: Path, one_core: None) -> None:
    figures = edge.live(shared_dir / "videos" / CLIP, 12, busy=True)
    assert figures["live_fps"] >= 2
    assert figures["capture_to_feature_ms"]["p95_ms"] < 1000, "a queue would grow by seconds"
