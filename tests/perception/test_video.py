from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.video import VideoFile, next_time
from sentry_proto.errors import MediaError


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of noise at 25 frames a second."""
    path = tmp_path_factory.mktemp("video") / "noise.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 120))
    rng = np.random.default_rng(0)
    for _ in range(50):
        writer.write(rng.integers(0, 255, (120, 160, 3), np.uint8))
    writer.release()
    return path


def test_frames_come_with_their_times(recording: Path) -> None:
    with VideoFile(recording) as video:
        assert video.fps == pytest.approx(25)
        assert video.frames == 50
        frames = list(video)
    assert [t for _, t in frames] == pytest.approx([i / 25 for i in range(50)], abs=0.002)
    assert frames[0][0].shape == (120, 160, 3)
    assert frames[0][0].dtype == np.uint8


def test_a_cut_off_file_keeps_what_was_read_and_says_where(recording: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    content = recording.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    read: list[float] = []
    with VideoFile(cut) as video, pytest.raises(MediaError, match=r"breaks off at frame \d+ of \d+"):
        read.extend(t for _, t in video)
    assert 10 < len(read) < 40


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "no video file"), (b"", "is empty"), (b"this is a text" * 100, "not a video")],
)
def test_what_is_no_video_is_refused(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=complaint):
        VideoFile(path)


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no video file"):
        VideoFile(tmp_path)


@given(st.lists(st.floats(), min_size=1, max_size=50))
def test_times_increase_whatever_the_container_says(stamps: list[float]) -> None:
    last = 0.0
    for stamp in stamps:
        following = next_time(last, stamp, 1 / 30)
        assert following > last or last > 1e14  # where a float has no room for a frame interval
        last = following
