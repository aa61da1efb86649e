from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from perception.extract import extract
from sentry_proto.errors import MediaError, StorageError
from sentry_proto.layout import LAYOUT_ID, MODALITIES, SECOND_FEATURES
from tests.perception.stages import OneFace, stand_in

FRAMES, RATE = 75, 25


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of grey noise."""
    path = tmp_path_factory.mktemp("video") / "noise.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), float(RATE), (160, 120))
    rng = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(rng.integers(100, 140, (120, 160, 3), np.uint8))
    writer.release()
    return path


def test_one_row_a_second_named_by_the_layout(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    progress: list[tuple[int, int]] = []
    summary = extract(recording, out, lambda done, total: progress.append((done, total)), stand_in())
    table = pq.read_table(out)
    assert table.column_names == [
        "start",
        *[feature.name for feature in SECOND_FEATURES],
        *[f"coverage_{name}" for name in MODALITIES],
        "camera_state",
        "frames",
    ]
    assert table["start"].to_pylist() == [0, 1, 2]
    assert table["frames"].to_pylist() == [RATE] * 3
    assert table["camera_state"].to_pylist() == ["ok"] * 3
    assert table.schema.metadata[b"sentry_layout"] == LAYOUT_ID.encode()
    assert len(table.schema.metadata[b"sha256_expression.onnx"]) == 64
    assert progress == [(i + 1, FRAMES) for i in range(FRAMES)]
    assert (summary.frames, summary.seconds, summary.error) == (FRAMES, 3, "")
    assert summary.coverage["face"] == pytest.approx(1)
    assert json.loads(summary.to_json())["camera_states"] == {"ok": 1.0}
    assert list(tmp_path.iterdir()) == [out]


def test_unseen_is_null_and_not_zero(recording: Path, tmp_path: Path) -> None:
    face = OneFace()
    face.present = False
    out = tmp_path / "features.parquet"
    summary = extract(recording, out, perception=stand_in(face))
    table = pq.read_table(out)
    for feature in SECOND_FEATURES:
        expected = 0 if feature.modality == "quality" else 3
        assert table[feature.name].null_count == expected, feature.name
    assert summary.camera_states == {"no face": 1.0}


def test_a_cut_off_recording_keeps_its_rows_and_says_so(recording: Path, tmp_path: Path) -> None:
    cut, out = tmp_path / "cut.mkv", tmp_path / "features.parquet"
    content = recording.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    summary = extract(cut, out, perception=stand_in())
    assert "breaks off" in summary.error
    assert 0 < pq.read_table(out).num_rows == summary.seconds < 3


def test_no_video_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match="is empty"):
        extract(tmp_path / "empty.mp4", tmp_path / "out.parquet", perception=stand_in())
    assert not (tmp_path / "out.parquet").exists()


def test_a_folder_that_is_not_there_cannot_be_written(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        extract(recording, tmp_path / "nowhere" / "out.parquet", perception=stand_in())
