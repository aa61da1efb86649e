"""Clips as labelled sequences: features made once by the agent's own code, nothing broken passed over in silence."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from perception import extract
from perception.session_features import read_seconds
from perception.session_folder import SessionFolder
from perception.session_metadata import FILE
from sentry_proto.errors import InputError
from sentry_proto.layout import SECOND_FEATURES
from sentry_proto.tasks import FOCUS, STRESS
from tests.perception.stages import stand_in
from tests.training.session_trees import BEGIN, label, write_session
from training.datasets.feature_cache import Video
from training.datasets.sessions import load_windows
from training.datasets.video_dataset import (
    FACIAL_NAMES,
    POSTURE_NAMES,
    UNLABELLED,
    Clip,
    Sample,
    VideoDataset,
    sequences,
)

RATE = 5


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand-ins for the models; has one entry per video that was looked at."""
    looked: list[int] = []

    def models() -> object:
        looked.append(1)
        return stand_in()

    monkeypatch.setattr(extract, "Perception", models)
    return looked


def write_video(path: Path, seconds: float, seed: int = 0) -> Path:
    """Grey noise, five frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), float(RATE), (160, 120))
    generator = np.random.default_rng(seed)
    for _ in range(int(seconds * RATE)):
        writer.write(generator.integers(100, 140, (120, 160, 3), np.uint8))
    writer.release()
    return path


def write_clip(path: Path, seconds: float = 10, **video: object) -> Clip:
    start = float(BEGIN)
    return Clip(Video(write_video(path, seconds), start=start, **video), "P01")  # type: ignore[arg-type]


def test_a_sample_is_features_labels_masks_and_a_person(tmp_path: Path) -> None:
    labels = (label(0, 4, "calm"), label(4, 8, "stressed"), label(0, 10, "5", "focus"))
    clip = replace(write_clip(tmp_path / "a.mkv", 10), labels=labels)
    dataset = VideoDataset([clip], [STRESS, FOCUS], length_s=4, workers=1)
    assert len(dataset) == 3
    facial, posture, classes, facial_mask, posture_mask, subject = dataset[0]
    assert (facial.shape, facial.dtype) == ((4, len(FACIAL_NAMES)), torch.float32)
    assert (posture.shape, posture.dtype) == ((4, len(POSTURE_NAMES)), torch.float32)
    assert (facial_mask.shape, facial_mask.dtype) == (facial.shape, torch.bool)
    assert (posture_mask.shape, posture_mask.dtype) == (posture.shape, torch.bool)
    assert facial_mask.all()
    assert classes.tolist() == [[0, 4]] * 4
    assert dataset[1].labels.tolist() == [[2, 4]] * 4
    assert (subject, dataset.subjects) == ("P01", ["P01"] * 3)
    assert not dataset.exclusions.counts


def test_the_last_sequence_is_filled_up_with_nothing(tmp_path: Path) -> None:
    clip = replace(write_clip(tmp_path / "a.mkv", 10), labels=(label(0, 10, "calm"),))
    sample = VideoDataset([clip], [STRESS], length_s=4, workers=1)[2]
    assert sample.labels[:, 0].tolist() == [0, 0, UNLABELLED, UNLABELLED]
    assert sample.facial_mask.any(1).tolist() == [True, True, False, False]
    assert not sample.facial_features[2:].any()


def test_features_are_those_of_an_extraction(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", 8)
    extract.extract(clip.video.path, tmp_path / "a.parquet")
    expected = read_seconds(tmp_path / "a.parquet").values
    sample = VideoDataset([clip], [STRESS], length_s=8, workers=1)[0]
    names = [feature.name for feature in SECOND_FEATURES]
    for features, own in ((sample.facial_features, FACIAL_NAMES), (sample.posture_features, POSTURE_NAMES)):
        np.testing.assert_array_equal(features.numpy(), expected[:, [names.index(name) for name in own]])


def test_a_loader_makes_batches_of_samples(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", 8)
    dataset = VideoDataset([clip], [STRESS], length_s=4, workers=1)
    (batch,) = DataLoader(dataset, batch_size=2)
    assert isinstance(batch, Sample)
    assert batch.facial_features.shape == (2, 4, len(FACIAL_NAMES))
    assert tuple(batch.subject) == ("P01", "P01")
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[1].facial_features, dataset[1].facial_features)


SEQUENCES = {
    "whole": (range(8), 4, 4, [(0, 4), (4, 8)]),
    "with a rest": (range(9), 4, 4, [(0, 4), (4, 8), (8, 9)]),
    "overlapping": (range(8), 4, 2, [(0, 4), (2, 6), (4, 8)]),
    "overlapping, with a rest": (range(7), 4, 2, [(0, 4), (2, 6), (4, 7)]),
    "shorter than a sequence": (range(2), 4, 4, [(0, 2)]),
    "with a jump": ([0, 1, 2, 9, 10], 4, 4, [(0, 3), (3, 5)]),
    "nothing": ([], 4, 4, []),
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_sequences_cover_all_and_cross_no_jump(case: str) -> None:
    starts, length, hop, expected = SEQUENCES[case]
    assert sequences(np.array(starts, np.int64), length, hop) == expected


# ---- the cache


def test_a_video_is_looked_at_once(tmp_path: Path, looks: list[int]) -> None:
    clip = write_clip(tmp_path / "a.mkv", 5, cache=tmp_path / "cache")
    first = VideoDataset([clip], [STRESS], length_s=5, workers=1)
    moved = Clip(replace(clip.video, path=clip.video.path.rename(tmp_path / "b.mkv")), "P02")
    again = VideoDataset([moved, moved], [STRESS], length_s=5, workers=1)
    assert len(looks) == 1
    assert again.subjects == ["P02", "P02"]
    np.testing.assert_array_equal(first[0].facial_features, again[1].facial_features)


CHANGES: dict[str, Callable[[Video], Video]] = {
    "content": lambda video: replace(video, path=write_video(video.path.with_name("b.mkv"), 5, seed=1)),
    "frame rate": lambda video: replace(video, fps=2.0),
    "phase": lambda video: replace(video, start=video.start + 0.5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_features_makes_them_anew(change: str, tmp_path: Path, looks: list[int]) -> None:
    clip = write_clip(tmp_path / "a.mkv", 5)
    VideoDataset([clip], [STRESS], workers=1)
    VideoDataset([replace(clip, video=CHANGES[change](clip.video))], [STRESS], workers=1)
    assert len(looks) == 2


@pytest.mark.parametrize("part", ["sentry_layout", "sentry_crop", "sentry_version", "sha256_expression.onnx"])
def test_other_models_or_another_layout_have_other_features(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_clip(tmp_path / "a.mkv", 1).video
    before = video.features()
    described = extract.table_metadata() | {part: "another"}
    monkeypatch.setattr("training.datasets.feature_cache.table_metadata", lambda: described)
    assert video.features() != before


def test_whole_seconds_of_the_start_do_not_matter(tmp_path: Path, looks: list[int]) -> None:
    clip = write_clip(tmp_path / "a.mkv", 5)
    later = replace(clip, video=replace(clip.video, start=clip.video.start + 60), labels=(label(60, 65, "calm"),))
    VideoDataset([clip], [STRESS], workers=1)
    sample = VideoDataset([later], [STRESS], length_s=5, workers=1)[0]
    assert len(looks) == 1
    assert sample.labels[:, 0].tolist() == [0] * 5


def test_a_torn_file_is_made_anew(tmp_path: Path, looks: list[int]) -> None:
    clip = write_clip(tmp_path / "a.mkv", 5)
    expected = VideoDataset([clip], [STRESS], workers=1)[0].facial_features
    features = clip.video.features()
    features.write_bytes(features.read_bytes()[:-100])
    np.testing.assert_array_equal(VideoDataset([clip], [STRESS], workers=1)[0].facial_features, expected)
    assert len(looks) == 2


# ---- what is wrong


def test_broken_videos_are_named_and_the_others_stay(tmp_path: Path) -> None:
    good, cut = write_clip(tmp_path / "good.mkv", 4), write_clip(tmp_path / "cut.mkv", 8)
    content = cut.video.path.read_bytes()
    cut.video.path.write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "text.mkv").write_text("no video")
    bad = [Clip(Video(tmp_path / name), "P02") for name in ("empty.mkv", "text.mkv", "absent.mkv")]
    dataset = VideoDataset([*bad, good, cut], [STRESS], length_s=4, workers=1)
    assert set(dataset.subjects) == {"P01"}
    assert dataset.exclusions.total("clips: ") == 3
    assert dataset.exclusions.total("ends of clips: ") == 1
    for words in ("is empty", "is not a video", "cannot be read", "breaks off"):
        assert words in str(dataset.exclusions)
    again = VideoDataset([cut], [STRESS], length_s=4, workers=1)
    assert "breaks off" in str(again.exclusions), "from the cache as well"


def test_labels_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    labels = (label(0, 4, "tense"), label(90, 99, "calm"), label(0, 4, "high", "arousal"), label(0, 4, "calm"))
    dataset = VideoDataset([replace(write_clip(tmp_path / "a.mkv", 4), labels=labels)], [STRESS], length_s=4, workers=1)
    assert dataset.exclusions.total("labels: ") == 3
    assert dataset[0].labels[:, 0].tolist() == [0] * 4


@pytest.mark.parametrize("arguments", [{"length_s": 0}, {"hop_s": 0}, {"engine": "cloud"}])
def test_impossible_arguments_are_an_error(arguments: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        VideoDataset([write_clip(tmp_path / "a.mkv", 1)], [STRESS], **arguments)  # type: ignore[arg-type]


def test_no_video_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip has a second"):
        VideoDataset([Clip(Video(tmp_path / "absent.mkv"), "P01")], workers=1)


# ---- sessions with a video


def write_filmed(root: Path, session: str, seconds: float) -> Path:
    """A lab's own clip as a session: a video, and no features."""
    labels = [label(0, seconds, "calm")]
    folder = write_session(root, "P01", session, 0, labels, video="video.mkv")
    for path in folder.glob("features.*"):
        path.unlink()
    write_video(folder / "video.mkv", seconds)
    return folder


def test_sessions_with_videos_are_clips(tmp_path: Path) -> None:
    write_filmed(tmp_path, "filmed", 6)
    write_session(tmp_path, "P02", "features only", 30)
    dataset = VideoDataset.from_sessions(tmp_path, [STRESS], length_s=6, workers=1)
    assert dataset.subjects == ["P01"]
    assert dataset[0].labels[:, 0].tolist() == [0] * 6
    assert "has no video (P02/features only)" in str(dataset.exclusions)


def test_windows_are_cut_of_a_video_where_a_session_has_no_features(tmp_path: Path, looks: list[int]) -> None:
    folder = write_filmed(tmp_path, "filmed", 35)
    windows, exclusions = load_windows(tmp_path, [STRESS], baseline=False, workers=1)
    assert windows.elapsed.tolist() == [0, 5]
    assert windows.labelled("stress").tolist() == [0, 1]
    assert not exclusions.counts
    load_windows(tmp_path, [STRESS], baseline=False, workers=1)
    assert len(looks) == 1
    shutil.rmtree(folder)
    assert not list(tmp_path.rglob("*.parquet")), "who deletes a session deletes its features"


def test_another_cache_leaves_the_sessions_as_they_are(tmp_path: Path) -> None:
    write_filmed(tmp_path / "tree", "filmed", 35)
    before = sorted((tmp_path / "tree").rglob("*"))
    load_windows(tmp_path / "tree", [STRESS], baseline=False, workers=1, cache=tmp_path / "cache")
    assert sorted((tmp_path / "tree").rglob("*")) == before
    assert list((tmp_path / "cache").glob("*.parquet"))


def test_a_clip_of_unknown_date_counts_from_its_beginning(tmp_path: Path) -> None:
    folder = write_filmed(tmp_path, "undated", 31)
    undated = replace(SessionFolder.open(folder).metadata, started=0.0, ended=None)
    (folder / FILE).write_text(undated.to_json())
    (folder / "labels.csv").write_text(
        "start,end,task,value,source,rater,confidence,created\n0,31,stress,calm,import,R1,1,0\n"
    )
    windows, _ = load_windows(tmp_path, [STRESS], baseline=False, workers=1)
    assert windows.labelled("stress").tolist() == [0]


def test_a_session_whose_video_is_ruined_is_named(tmp_path: Path) -> None:
    write_session(tmp_path, session="good", seconds=30)
    (write_filmed(tmp_path, "ruined", 5) / "video.mkv").write_text("no video")
    windows, exclusions = load_windows(tmp_path, [STRESS], baseline=False, workers=1)
    assert set(windows.sessions) == {"good"}
    assert exclusions.total("sessions: ") == 1
