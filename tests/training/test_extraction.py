"""Extraction with the real models: the live agent's numbers, every engine, and a kill in the midst of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.puppet.renderer import Puppet
from edge_agent.puppet.script import Playlist
from perception.session_features import read_seconds
from perception.session_folder import SessionFolder, find_sessions
from sentry_proto.errors import InputError
from sentry_proto.layout import MODALITY_INDEX
from training.datasets.extraction import extract_all
from training.datasets.feature_cache import Video, read_features
from training.datasets.video_dataset import FACIAL, POSTURE, Clip, VideoDataset

SECONDS, RATE = 6, 10

pytestmark = pytest.mark.slow


def film_puppet(path: Path, seconds: float = SECONDS, second: float = 0.0) -> Path:
    """Some seconds of the acted puppet."""
    puppet, playlist = Puppet(), Playlist()
    person, _, _ = playlist.at(0.0)
    size = puppet.render(person, 0.0).shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), float(RATE), size)
    for frame in range(int(seconds * RATE)):
        writer.write(puppet.render(person, second + frame / RATE))
    writer.release()
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    pytest.importorskip("skimage", reason="the extra `demo` is not installed")
    folder = tmp_path_factory.mktemp("films")
    return [film_puppet(folder / f"{i}.mkv", second=60.0 * i) for i in range(3)]


def agent(*arguments: object) -> None:
    command = [sys.executable, "-c", "import sys; from edge_agent.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("fps", [None, 5])
def test_live_and_offline_give_the_same_numbers_on_the_same_frames(
    fps: int | None, films: list[Path], tmp_path: Path
) -> None:
    rate = ["--fps", fps] if fps else []
    agent("consent", "grant", "--participant", "P07", "--data-dir", tmp_path / "data")
    agent(
        "record", "--participant", "P07", "--source", films[0], "--speed", "max", *rate,
        "--out", tmp_path / "sessions", "--data-dir", tmp_path / "data",
    )  # fmt: skip
    (folder,) = map(SessionFolder.open, find_sessions(tmp_path / "sessions"))
    live = folder.seconds()
    video = Video(films[0], fps, folder.metadata.started, tmp_path / "cache")
    sample = VideoDataset([Clip(video, "P07")], length_s=len(live), workers=1)[0]
    offline = read_features(video.features(), video.start)
    np.testing.assert_array_equal(offline.start, live.start)
    np.testing.assert_array_equal(offline.frames, live.frames)
    assert live.frames.tolist() == [fps or RATE] * SECONDS
    assert offline.camera_states == live.camera_states
    assert live.coverage[:, MODALITY_INDEX["face"]].min() > 0.9, "a comparison of nothing shows nothing"
    np.testing.assert_allclose(offline.coverage, live.coverage, atol=1e-6)
    np.testing.assert_allclose(offline.values, live.values, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sample.facial_features.numpy(), live.values[:, FACIAL], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sample.posture_features.numpy(), live.values[:, POSTURE], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_every_engine_gives_the_same_features_and_names_the_same_broken_video(
    engine: str, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra `scale` is not installed")
    (tmp_path / "text.mkv").write_text("no video")
    script = f"""
import sys
from pathlib import Path
from training.datasets.extraction import extract_all
from training.datasets.feature_cache import Video
if __name__ == "__main__":
    videos = [Video(Path(name), cache=Path({str(tmp_path / "far")!r})) for name in sys.argv[1:]]
    for result in extract_all(videos, engine={engine!r}, workers=2):
        print(result.features, result.trouble, sep="|")
"""
    command = [sys.executable, "-c", script, *map(str, films[:2]), str(tmp_path / "text.mkv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    *made, broken = [line.split("|") for line in done.stdout.splitlines()]
    assert broken[0] == "None"
    assert "not a video" in broken[1]
    expected = extract_all([Video(film, cache=tmp_path / "near") for film in films[:2]], workers=1)
    for (path, trouble), here in zip(made, expected, strict=True):
        assert here.features is not None
        assert (Path(path).name, trouble) == (here.features.name, "")
        np.testing.assert_array_equal(read_seconds(Path(path)).values, read_seconds(here.features).values)


def test_a_killed_run_goes_on_where_it_was(films: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    script = f"""
import sys
from pathlib import Path
from training.datasets.extraction import extract_all
from training.datasets.feature_cache import Video
extract_all([Video(Path(name), cache=Path({str(cache)!r})) for name in sys.argv[1:]], workers=1)
"""
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, films)])
    try:
        limit = time.monotonic() + 60
        while len(list(cache.glob("*.parquet"))) < 1:
            assert time.monotonic() < limit
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finished = {path: path.stat().st_mtime_ns for path in cache.glob("*.parquet")}
    assert 1 <= len(finished) < len(films)
    results = extract_all([Video(film, cache=cache) for film in films], workers=1)
    assert len(list(cache.glob("*.parquet"))) == len(films)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "what was done is not done again"
    for result in results:
        assert result.features is not None
        assert len(read_seconds(result.features)) == SECONDS


def test_an_unknown_engine_is_an_error() -> None:
    with pytest.raises(InputError, match="'cloud'; there are local, ray"):
        extract_all([], engine="cloud")
