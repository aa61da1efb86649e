"""The whole agent on the recordings that lie beside the project: figures that must be plausible."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.shared, pytest.mark.slow]

# name -> (seconds of the recording, least and most seconds with a face)
RECORDINGS: dict[str, tuple[float, int, int]] = {
    "hysts_video00.mp4": (17.3, 16, 18),
    "intel_asl_again.mkv": (2.6, 0, 3),
    "intel_asl_book.mkv": (3.7, 0, 4),
    "intel_asl_learn.mkv": (2.0, 0, 3),
    "intel_asl_please.mkv": (2.4, 0, 3),
    "intel_asl_sister.mkv": (2.9, 0, 3),
    "intel_asl_yes.mkv": (2.2, 0, 3),
    "intel_head-pose-female-and-male.mp4": (4.7, 4, 5),
    "intel_head-pose-female.mp4": (1.9, 1, 2),
    "intel_head-pose-male.mp4": (5.2, 5, 6),
    "pyfeat_WolfgangLanger_Pexels.mp4": (19.7, 18, 20),
    "pyfeat_face_noface.mov": (6.4, 1, 6),
    "pyfeat_no_face.mp4": (4.1, 0, 0),
    "pyfeat_single_face.mp4": (2.4, 2, 3),
}


def run(source: Path, data: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "import sys; from edge_agent.cli import main; sys.exit(main())", "run"]
    command += ["--source", str(source), "--speed", "max", "--json", "--data-dir", str(data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("name", RECORDINGS)
def test_figures(name: str, shared_dir: Path, tmp_path: Path) -> None:
    duration, least, most = RECORDINGS[name]
    report = run(shared_dir / "videos" / name, tmp_path / "data")
    assert math.floor(duration) <= report["seconds"] <= math.ceil(duration) + 1
    assert least <= report["face_seconds"] <= most
    assert sum(report["camera_states"].values()) == report["seconds"]
    assert report["frames_read"] == report["frames_scored"]
    assert report["frames_dropped"] == 0
    assert 0.5 < report["stages"]["face"]["median_ms"] < 200
    assert report["error"] == ""


def test_an_empty_chair_is_no_data(shared_dir: Path, tmp_path: Path) -> None:
    source = shared_dir / "videos" / "pyfeat_no_face.mp4"
    report = run(source, tmp_path / "data", "--loop", "--duration", "45", "--fps", "5")
    assert report["face_seconds"] == 0
    assert report["windows"] == report["no_data_windows"] >= 3


def test_a_looped_person_makes_windows_with_data(shared_dir: Path, tmp_path: Path) -> None:
    source = shared_dir / "videos" / "pyfeat_single_face.mp4"
    report = run(source, tmp_path / "data", "--loop", "--duration", "45", "--fps", "5")
    assert report["windows"] >= 3
    assert report["no_data_windows"] == 0
