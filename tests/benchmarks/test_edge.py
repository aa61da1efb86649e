from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import edge
from benchmarks.edge_live import live
from benchmarks.edge_tolerance import tolerance
from perception.schedule import LEVELS
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
    assert figures["native_overhead"] == pytest.approx(figures["native_fps"] / figures["fps"] - 1, abs=0.01)
    assert figures["windows_scored"] >= 1
    stages = figures["stages_cpu_ms"]
    assert {"decode", "quality", "convert", "face", "expression", "pose", "fusion", "heads", "rest"} == set(stages)
    assert all(ms > 0 for ms in stages.values())
    assert sum(stages.values()) == pytest.approx(figures["cpu_ms_per_frame"], abs=0.05)


@pytest.mark.shared
@pytest.mark.slow
def test_a_recording_in_which_no_window_is_scored_is_no_measurement(shared_dir: Path) -> None:
    with pytest.raises(SystemExit, match="no window was scored"):
        edge.speed(shared_dir / "videos" / "pyfeat_no_face.mp4", 150)


@pytest.mark.shared
@pytest.mark.slow
def test_an_agent_speaks_of_a_face_within_three_seconds(shared_dir: Path, tmp_path: Path) -> None:
    """By the processor's clock, which other work on the machine does not move; `benchmarks.edge` tells the other."""
    figures = edge.start(shared_dir / "videos" / CLIP, tmp_path)
    assert 0 < figures["start_cpu_s"] < 3
    assert figures["start_s"] > 0.3, "no process starts sooner"


@pytest.mark.shared
@pytest.mark.slow
def test_scheduled_features_are_close_to_those_of_every_frame(shared_dir: Path) -> None:
    unloaded, sparse, last = tolerance([shared_dir / "videos" / "hysts_video00.mp4"], LEVELS[::2])
    assert unloaded["face"]["worst"] == unloaded["quality"]["worst"] == 0
    assert 0 < unloaded["emotion"]["worst_mean"] < 0.2
    assert 0 < unloaded["pose"]["means"] < 0.4
    assert unloaded["pose"]["worst_mean"] < 0.8
    assert sparse["face"]["worst"] == 0, "the face is thinned last"
    assert 0 < last["face"]["means"] < last["face"]["worst_mean"]
    assert unloaded["pose"]["means"] < sparse["pose"]["means"] < last["pose"]["means"]


@pytest.mark.shared
@pytest.mark.slow
def test_beside_a_busy_process_load_is_shed_and_frames_stay_fresh(shared_dir: Path, one_core: None) -> None:
    figures = live(shared_dir / "videos" / CLIP, 12, busy=True)
    assert figures["live_highest_level"] > 0
    assert figures["live_fps"] >= 2
    assert figures["capture_to_feature_ms"]["p95_ms"] < 1000, "a queue would grow by seconds"
    assert figures["live_core_share"] > figures["live_capture_core_share"] > 0, "both processes count"
    assert 0 < figures["live_native_core_share"] < figures["live_core_share"]
    assert 0 < figures["live_bare_core_share"] < figures["live_core_share"]
    assert 0 < figures["live_paced_core_share"] < figures["live_core_share"]
