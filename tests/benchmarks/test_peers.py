from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.edge import letterbox


@pytest.mark.shared
@pytest.mark.slow
def test_every_tool_of_ours_sees_the_same_frames(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "ROUNDS", 1)
    path = letterbox(shared_dir / "videos" / "pyfeat_single_face.mp4", (640, 480), tmp_path)
    rows = peers.compare(path, 60, None, min(os.sched_getaffinity(0)))
    assert {row["tool"] for row in rows} == set(peers.OURS)
    assert all(row["frames_with_face"] == 1 for row in rows)
    assert rows[0]["tool"] == "sentry, live rates", "it calls models least often"
    assert [row["cpu_ms_per_frame"] for row in rows] == sorted(row["cpu_ms_per_frame"] for row in rows)
    assert len(peers.render(rows).splitlines()) == 4


@pytest.mark.slow
def test_a_tool_that_cannot_run_is_named(tmp_path: Path) -> None:
    recording = tmp_path / "empty.mp4"
    recording.touch()
    command = [sys.executable, "-m", "benchmarks.peers", "--run", "mediapipe loop", str(recording), "5"]
    with pytest.raises(SystemExit, match=r"mediapipe loop.* failed:\n(.*\n)*.*no frame can be read"):
        peers._run(command, min(os.sched_getaffinity(0)))
