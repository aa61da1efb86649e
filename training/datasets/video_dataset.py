"""Clips of people with labels per second, as sequences of facial and posture features for PyTorch.

    facial_features     float32 [T, Ff], the layout's face and emotion features (`FACIAL_NAMES`) of T seconds, raw
    posture_features    float32 [T, Fp], its pose and hands features (`POSTURE_NAMES`)
    labels              int64 [T, K], per task the class of each second; UNLABELLED where no label, or one that leaves
                        several classes, holds (rules: `training.datasets.session_labels`)
    facial_mask         bool [T, Ff], which features were seen; those that were not are 0
    posture_mask        bool [T, Fp]
    subject             the person; no split may put one on both sides

A clip is cut where its time jumps. The last sequence of a stretch is filled up with seconds that were not seen and have
no label, so that all have T seconds and none is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from perception.session_features import Seconds
from perception.session_rows import SessionLabel
from sentry_proto.errors import InputError, SentryError
from sentry_proto.layout import MODALITY_INDEX, SECOND_FEATURES
from sentry_proto.tasks import DEFAULT_TASKS, Task
from training.datasets.exclusions import Exclusions
from training.datasets.extraction import extract_all
from training.datasets.feature_cache import Video, read_features
from training.datasets.session_labels import Times, label_seconds, sift
from training.datasets.sessions import BLOCK, open_sessions, place, video_of
from training.feature_space import SECOND_SPACE

UNLABELLED = -100
"""What the losses of PyTorch pass over unless told otherwise."""

OPEN_CLIPS = 64
"""Clips whose seconds are kept in memory; bounds it, however many there are."""


def _columns(*modalities: str) -> NDArray[np.intp]:
    return np.flatnonzero(np.isin(SECOND_SPACE.feature_modality, [MODALITY_INDEX[name] for name in modalities]))


FACIAL = _columns("face", "emotion")
POSTURE = _columns("pose", "hands")
FACIAL_NAMES = tuple(SECOND_FEATURES[i].name for i in FACIAL)
POSTURE_NAMES = tuple(SECOND_FEATURES[i].name for i in POSTURE)


@dataclass(frozen=True)
class Clip:
    """A video of one person.

    Attributes:
        video: the file, its frame rate and its first frame's time.
        subject: a pseudonym.
        labels: on the same clock as `video.start`.
        name: for messages.
    """

    video: Video
    subject: str
    labels: tuple[SessionLabel, ...] = ()
    name: str = ""


class Sample(NamedTuple):
    """T seconds of one person; the module's description has each entry."""

    facial_features: torch.Tensor
    posture_features: torch.Tensor
    labels: torch.Tensor
    facial_mask: torch.Tensor
    posture_mask: torch.Tensor
    subject: str


class VideoDataset(Dataset[Sample]):
    """Sequences of seconds of many clips; features are extracted once, and read when they are asked for.

    Args:
        clips: whose videos need not exist or be whole: those that are not are in `exclusions`.
        tasks: one column of labels each.
        length_s: T.
        hop_s: seconds between the beginnings of sequences; T if None.
        engine: as of `training.datasets.extraction.extract_all`.
        workers: as of `extract_all`.
        progress: whether to show a bar while videos are worked on.

    Attributes:
        tasks: as given.
        exclusions: what was left out, and why.
        subjects: of each sequence, for splits.

    Raises:
        InputError: a length or hop below 1, or no clip has a second.
        StorageError: the cache cannot be written.
        MissingDependency: a model, or Ray, is absent.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        tasks: Sequence[Task] = DEFAULT_TASKS,
        *,
        length_s: int = 30,
        hop_s: int | None = None,
        engine: str = "local",
        workers: int | None = None,
        progress: bool = False,
    ) -> None:
        hop_s = length_s if hop_s is None else hop_s
        if length_s < 1 or hop_s < 1:
            raise InputError(f"sequences of {length_s} s every {hop_s} s are not possible")
        self.tasks, self._length = tuple(tasks), length_s
        self.exclusions = Exclusions()
        self._clips: list[tuple[Clip, Path]] = []
        self._sequences: list[tuple[int, int, int]] = []  # clip, first row, row after the last
        videos = [clip.video for clip in clips]
        found = extract_all(videos, engine=engine, workers=workers, progress=progress)
        for clip, extraction in zip(clips, found, strict=True):
            kind = "ends of clips" if extraction.features else "clips"
            self.exclusions.add(f"{kind}: {extraction.trouble}", _name(clip), int(bool(extraction.trouble)))
            if extraction.features:
                self._add(clip, extraction.features, hop_s)
        if not self._sequences:
            raise InputError("\n".join(["no clip has a second", *self.exclusions.lines()]))
        self.subjects = [self._clips[index][0].subject for index, _, _ in self._sequences]

    @classmethod
    def from_sessions(
        cls,
        root: Path,
        tasks: Sequence[Task] = DEFAULT_TASKS,
        *,
        fps: float | None = None,
        cache: Path | None = None,
        length_s: int = 30,
        hop_s: int | None = None,
        engine: str = "local",
        workers: int | None = None,
        progress: bool = False,
    ) -> VideoDataset:
        """The videos of recorded sessions; those without a video are counted.

        Args:
            root: as `custom_sessions`.
            tasks: one column of labels each.
            fps: most frames a second to look at; as each session was recorded if None.
            cache: folder for features; beside each video if None.
            length_s: as of the class.
            hop_s: as of the class.
            engine: as of the class.
            workers: as of the class.
            progress: as of the class.

        Raises:
            InputError: there is no session, or none has a video.
        """
        exclusions, clips = Exclusions(), []
        for folder in open_sessions(root, exclusions):
            where, problems = place(folder.path), list[str]()
            try:
                labels = tuple(folder.labels(problems))
                clips.append(Clip(video_of(folder, fps, cache), folder.metadata.participant, labels, where))
            except SentryError as error:
                exclusions.add(f"clips: {error}", where)
            for problem in problems:
                exclusions.add(f"labels: {problem}", where)
        dataset = cls(
            clips,
            tasks,
            length_s=length_s,
            hop_s=hop_s,
            engine=engine,
            workers=workers,
            progress=progress,
        )
        dataset.exclusions.update(exclusions)
        return dataset

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, index: int) -> Sample:
        number, first, end = self._sequences[index]
        clip, features = self._clips[number]
        seconds = _open(features, clip.video.start)
        coverage = seconds.coverage[first:end, SECOND_SPACE.feature_modality]
        values = self._filled(seconds.values[first:end], 0)
        seen = self._filled(coverage > 0, False)
        labels = self._filled(self._labels(clip, seconds.start[first:end]), UNLABELLED)
        return Sample(values[:, FACIAL], values[:, POSTURE], labels, seen[:, FACIAL], seen[:, POSTURE], clip.subject)

    def _filled(self, rows: NDArray[np.generic], value: float) -> torch.Tensor:
        """Rows [n, ...] as a tensor [T, ...]."""
        missing = self._length - len(rows)
        return torch.from_numpy(np.pad(rows, ((0, missing), (0, 0)), constant_values=value))

    def _labels(self, clip: Clip, starts: Times) -> NDArray[np.int64]:
        """The class of each second by task, int64 [n, K]."""
        columns = []
        for task in self.tasks:
            allowed = label_seconds(clip.labels, task, starts)
            columns.append(np.where(allowed.sum(1) == 1, allowed.argmax(1), UNLABELLED))
        return np.stack(columns, axis=1)

    def _add(self, clip: Clip, features: Path, hop: int) -> None:
        starts = _open(features, clip.video.start).start
        usable, problems = sift(clip.labels, self.tasks, starts, {BLOCK})
        for problem, count in Counter(problems).items():
            self.exclusions.add(f"labels: {problem}", _name(clip), count)
        self._sequences += [(len(self._clips), *rows) for rows in sequences(starts, self._length, hop)]
        self._clips.append((replace(clip, labels=tuple(usable)), features))


def sequences(starts: Times, length: int, hop: int) -> list[tuple[int, int]]:
    """Rows [first, end) of sequences that cover all seconds, none across a jump in time.

    Args:
        starts: int64 [S], Unix seconds.
        length: most seconds in a sequence; only the last of a stretch has fewer.
        hop: seconds between the beginnings of sequences.
    """
    jumps = [0, *(np.flatnonzero(np.diff(starts) != 1) + 1).tolist(), len(starts)]
    found = []
    for begin, end in pairwise(jumps):
        count = max(0, -(-(end - begin - length) // hop)) + 1 if end > begin else 0
        found += [(first, min(first + length, end)) for first in range(begin, begin + count * hop, hop)]
    return found


@lru_cache(OPEN_CLIPS)
def _open(features: Path, start: float) -> Seconds:
    return read_features(features, start)


def _name(clip: Clip) -> str:
    return clip.name or str(clip.video.path)
