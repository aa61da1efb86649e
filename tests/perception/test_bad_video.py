"""S6: whatever a damaged recording holds, what comes out is finite, or a sentence says where it breaks off."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.pipeline import FeaturePipeline
from perception.video import VideoFile
from sentry_proto.errors import MediaError
from tests.perception.stages import stand_in

ROUNDS = 12


@pytest.fixture(scope="module", params=[("mkv", "XVID"), ("avi", "MJPG"), ("mp4", "mp4v")], ids=lambda kind: kind[0])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds at 10 frames a second."""
    suffix, codec = request.param
    path = tmp_path_factory.mktemp("recording") / f"whole.{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (96, 64))
    random = np.random.default_rng(0)
    for _ in range(60):
        writer.write(random.integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    return path


def damaged(content: bytes, seed: int) -> bytes:
    """Cut off, with a hole, or with single bytes changed."""
    random, data = np.random.default_rng(seed), bytearray(content)
    at = int(random.integers(len(data)))
    if seed % 3 == 0:
        return bytes(data[:at])
    if seed % 3 == 1:
        data[at : at + 2000] = bytes(len(data[at : at + 2000]))
    else:
        for place in random.integers(len(data), size=40):
            data[place] = int(random.integers(256))
    return bytes(data)


def check(path: Path) -> int:
    """Work through a file; returns how many seconds came out."""
    pipeline = FeaturePipeline(stand_in(), "p", "s", length_s=3, hop_s=1)
    seconds, windows = [], []
    with contextlib.suppress(MediaError), VideoFile(path) as video:  # `test_video` looks at what it says
        for image, t in video:
            step = pipeline.feed(image, 1e9 + t)
            seconds += step.seconds
            windows += step.windows
    rest = pipeline.finish()
    for second in seconds + rest[0]:
        assert np.isfinite(second.values).all()
        assert ((second.coverage >= 0) & (second.coverage <= 1)).all()
    for window in windows + rest[1]:
        assert np.isfinite(window.values).all()
        assert np.isfinite(window.baseline.centre).all()
        assert np.isfinite(window.baseline.scale).all()
    return len(seconds + rest[0])


@pytest.mark.promise("S6")
def test_a_damaged_recording_yields_finite_numbers_only(recording: Path, tmp_path: Path) -> None:
    assert check(recording) == 6
    content = recording.read_bytes()
    yielded = []
    for seed in range(ROUNDS):
        path = tmp_path / f"damaged{seed}{recording.suffix}"
        path.write_bytes(damaged(content, seed))
        yielded.append(check(path))
    assert any(yielded), "some of them can be read in part"
