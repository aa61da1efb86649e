"""The streams of `benchmarks.label_efficiency`: what comes by, in which order, and what is held out for the score.

    rare state    embeddings of the shipped expression model on FER2013's PublicTest, as 32 principal components. The
                  state is one class, a twentieth of the stream or as much as there is; which one goes round the six
                  that are not neutral, seed by seed
    seven classes the same faces, each class as often as in the data set
    people        simulated (`training.datasets.simulation`); the score is on other people
    SWELL-KW      time pressure against interruptions; the score is on other people

The expression model was not fitted on PublicTest, but its epoch was chosen by it. Faces come in bouts of one class, as
a person would have them, though each face is somebody else's. Half of the faces, drawn anew for each seed, make the
stream, and the other half the score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.bundles import model_path
from perception.emotion import MODEL
from sentry_proto.layout import EMOTIONS
from sentry_proto.tasks import AlertRule, Task
from sentry_proto.types import Float32
from training.datasets.fer2013 import load_fer2013
from training.datasets.simulation import TASK as SIMULATED
from training.datasets.simulation import SimulatedStudy
from training.datasets.swellkw import STRESS, load_swell
from training.evaluation.expression import open_model
from training.feature_space import FeatureSpace
from training.pooling import pool
from training.windows import WindowSet

RARE = "rare state"
PREVALENCE = 0.05
BOUT = 12
"""Windows of a bout on average: a minute."""

COMPONENTS = 32
HOP_S = 5.0
STATES = tuple(name for name in EMOTIONS if name != "neutral")
STATE = Task("state", "binary", ("other", "state"), AlertRule(("state",), 0.6, 0.4))
CLASSES = Task("expression", "multiclass", tuple(EMOTIONS))
FACE_SPACE = FeatureSpace(tuple(f"component_{i}" for i in range(COMPONENTS)), ("face",), (0,) * COMPONENTS)
BODY_SPACE = FeatureSpace(tuple(f"f{i}" for i in range(24)), ("face", "pose"), (0,) * 12 + (1,) * 12)
STUDY = SimulatedStudy(people=45, blocks=6, windows=20, effect=0.8, affected=12, space=BODY_SPACE)
LEARNED = 15
"""Simulated people in the stream; the others are for the score."""

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Stream:
    """N windows in the order in which they come, and what is held out.

    Attributes:
        pooled, test: float32 [N, D] and [n, D].
        labels, test_labels: int64 [N] and [n], classes of the task.
        looks: float32 [N, L], see `training.active_learning.diversity`.
        people: str [N], whose agent sees it.
        groups: str [N], what the ensemble resamples.
        times: float64 [N], seconds.
    """

    task: Task
    space: FeatureSpace
    pooled: Float32
    labels: Rows
    looks: Float32
    people: NDArray[np.str_]
    groups: NDArray[np.str_]
    times: Floats
    test: Float32
    test_labels: Rows

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def event(self) -> int | None:
        """The class that raises an alert, if any does."""
        return self.task.classes.index(self.task.alert.classes[0]) if self.task.alert else None


Maker = Callable[[int], Stream]


def makers(faces: Path | None, swell: Path | None) -> tuple[dict[str, Maker], dict[str, str]]:
    """Streams by name, drawn by a seed, and why others are left out.

    Raises:
        InputError: if a data set that was named cannot be read.
    """
    found: dict[str, Maker] = {}
    absent: dict[str, str] = {}
    if faces is None:
        absent |= dict.fromkeys((RARE, "seven classes"), "no FER2013; name it with --data")
    else:
        embeddings, labels = embed(faces)
        found[RARE] = partial(rare_state, embeddings, labels)
        found["seven classes"] = partial(seven_classes, embeddings, labels)
    found["people"] = people
    if swell is None:
        absent["SWELL-KW"] = "no table; name it with --swell"
    else:
        found["SWELL-KW"] = partial(time_pressure, load_swell(swell)[0])
    return found, absent


def embed(path: Path) -> tuple[Float32, Rows]:
    """Embeddings float32 [n, 1024] and classes int64 [n] of PublicTest."""
    held_out = load_fer2013(path).split("PublicTest")
    session = open_model(model_path(MODEL), threads=1)
    starts = range(0, len(held_out), 256)
    parts = [session.run(["embedding"], {"faces": held_out.images[at : at + 256]})[0] for at in starts]
    return np.concatenate(parts), held_out.labels


def rare_state(embeddings: Float32, labels: Rows, seed: int) -> Stream:
    """One class of seven as the state, in a twentieth of the windows."""
    generator = np.random.default_rng(seed)
    state = labels == EMOTIONS.index(STATES[seed % len(STATES)])
    first, second = halves(labels, generator)
    others, there = first[~state[first]], first[state[first]]
    most = round(len(others) * PREVALENCE / (1 - PREVALENCE))
    rows = in_bouts(np.concatenate([others, there[:most]]), labels, generator)
    return _of_faces(STATE, embeddings, state.astype(np.int64), rows, second)


def seven_classes(embeddings: Float32, labels: Rows, seed: int) -> Stream:
    """All of them."""
    generator = np.random.default_rng(seed)
    first, second = halves(labels, generator)
    return _of_faces(CLASSES, embeddings, labels, in_bouts(first, labels, generator), second)


def halves(labels: Rows, generator: Generator) -> tuple[Rows, Rows]:
    """Rows of either half, each class divided evenly, in random order."""
    shuffled = [generator.permutation(np.flatnonzero(labels == one)) for one in np.unique(labels)]
    first = np.concatenate([rows[: len(rows) // 2] for rows in shuffled])
    return first, np.concatenate([rows[len(rows) // 2 :] for rows in shuffled])


def in_bouts(rows: Rows, labels: Rows, generator: Generator) -> Rows:
    """The rows in an order in which each class comes in bouts of `BOUT` on average, at random places."""
    bouts: list[Rows] = []
    for one in np.unique(labels[rows]):
        own = generator.permutation(rows[labels[rows] == one])
        cuts = np.flatnonzero(generator.random(len(own) - 1) < 1 / BOUT) + 1
        bouts += np.split(own, cuts)
    return np.concatenate([bouts[i] for i in generator.permutation(len(bouts))])


def _of_faces(task: Task, embeddings: Float32, labels: Rows, rows: Rows, held_out: Rows) -> Stream:
    """Components, centre and scale are those of the stream, without its labels."""
    centre = embeddings[rows].mean(0)
    directions = np.linalg.eigh(np.cov(embeddings[rows], rowvar=False))[1][:, -COMPONENTS:]
    both = (embeddings[np.concatenate([rows, held_out])] - centre) @ directions
    scale = both[: len(rows)].std(0)
    baselines = np.broadcast_to(np.stack([np.zeros_like(scale), scale]), (len(both), 2, COMPONENTS))
    pooled = pool(both[:, None], np.ones((len(both), 1, 1)), baselines, FACE_SPACE)
    stream, test = pooled[: len(rows)], pooled[len(rows) :]
    return Stream(
        task=task,
        space=FACE_SPACE,
        pooled=stream,
        labels=labels[rows],
        looks=looks_of(stream, FACE_SPACE),
        people=np.full(len(rows), "one"),
        groups=rows.astype(str),
        times=HOP_S * np.arange(len(rows), dtype=np.float64),
        test=test,
        test_labels=labels[held_out],
    )


def people(seed: int) -> Stream:
    """Simulated ones."""
    windows = STUDY.draw(seed)
    return _of_people(SIMULATED, windows, np.unique(windows.people)[:LEARNED])


def time_pressure(windows: WindowSet, seed: int) -> Stream:
    """Half of the people of SWELL-KW, and the other half for the score."""
    labelled = windows.take(windows.labelled(STRESS.name))
    names = np.random.default_rng(seed).permutation(np.unique(labelled.people))
    return _of_people(Task(STRESS.name, STRESS.kind, STRESS.classes), labelled, names[: (len(names) + 1) // 2])


def _of_people(task: Task, windows: WindowSet, learned: NDArray[np.str_]) -> Stream:
    """All people's agents run at the same time."""
    own = np.isin(windows.people, learned)
    rows = np.flatnonzero(own)
    rows = rows[np.argsort(windows.elapsed[rows], kind="stable")]
    pooled, labels = windows.pooled(), windows.allowed[task.name].argmax(1).astype(np.int64)
    names = windows.people[rows]
    nth = np.array([np.count_nonzero(names[:i] == name) for i, name in enumerate(names)], np.float64)
    return Stream(
        task=task,
        space=windows.space,
        pooled=pooled[rows],
        labels=labels[rows],
        looks=looks_of(pooled[rows], windows.space),
        people=names,
        groups=names,
        times=HOP_S * nth,
        test=pooled[~own],
        test_labels=labels[~own],
    )


def looks_of(pooled: Float32, space: FeatureSpace) -> Float32:
    """As `training.active_learning.diversity.look`, for many windows of any space."""
    return np.concatenate([pooled[:, : 2 * len(space.features)], pooled[:, -len(space.modalities) :]], axis=1)
