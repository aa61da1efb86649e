"""How windows are split for a validation: by person, always; every split is checked before a model is fitted.

    LeaveOnePersonOut   each person is tested by a model of all others
    PersonKFold         the people in k groups, another grouping for each seed; leaves out a holdout if told to
    Holdout             the people that a `PersonKFold` with the same share left out, tested by a model of all others
    FewShot             leave one person out, with k labelled minutes of that person to learn from
    OtherBlocks         leave one block out, with the person's other blocks to learn from: for a control alone

A person's blocks are never cut: on one side of a split stand whole people, and calibration takes minutes of one block
to test on the person's other blocks.

What `FewShot` may compare. Where a person has one block of each class, the label of the tested block is the one that
the calibration minutes do not have, so that learning from them pushes every score the wrong way, and scores of blocks
that were calibrated differently cannot be ranked against each other. So all minutes of one person come from one block,
serve all of the other blocks alike, and count only if those others hold at least two classes. A task with two blocks a
person (time pressure against interruptions) leaves nothing to test by; there, `reference_baseline` calibrates by
minutes of the blocks that the task does not test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import InputError
from sentry_proto.types import Float32
from training.datasets.people import split_people
from training.windows import Names, Rows, WindowSet

MINUTE_S = 60.0
LEAST_PEOPLE = 2


class Leak(ValueError):
    """A split that would measure how well a model knows a person."""


@dataclass(frozen=True)
class Fold:
    """One model to fit and what it is tested on.

    Attributes:
        train, test: rows of a `WindowSet`.
        shots: rows of the tested people that are learned from as well.
        weight: how often each shot counts.
        round: tests of one round are measured together; no row is tested twice in a round.
    """

    train: Rows
    test: Rows
    shots: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    weight: int = 1
    round: int = 0

    def learned(self) -> Rows:
        """All rows to fit on, each shot repeated by its weight."""
        return np.concatenate([self.train, np.repeat(self.shots, self.weight)])


class SplitProtocol(Protocol):
    """How to split."""

    def folds(self, windows: WindowSet, rows: Rows, classes: NDArray[np.int64] | None, seed: int) -> list[Fold]:
        """The folds of one repetition.

        Args:
            windows: all of them.
            rows: those that may be learned from and tested.
            classes: of each of `rows`, -1 where the label leaves several possible; None for a scale.
            seed: of what is drawn.

        Raises:
            InputError: there are too few people.
        """


@dataclass(frozen=True)
class LeaveOnePersonOut:
    """As many folds as people."""

    def folds(self, windows: WindowSet, rows: Rows, classes: NDArray[np.int64] | None, seed: int) -> list[Fold]:
        """See `SplitProtocol`."""
        return [_fold(windows, rows, [person]) for person in people_of(windows, rows)]

    def __str__(self) -> str:
        return "leave one person out"


@dataclass(frozen=True)
class PersonKFold:
    """The people in `k` groups of about the same size, drawn by the seed.

    Attributes:
        k: groups; fewer if there are fewer people.
        holdout: share of the people that is neither learned from nor tested, always the same ones.
    """

    k: int = 5
    holdout: float = 0.0

    def folds(self, windows: WindowSet, rows: Rows, classes: NDArray[np.int64] | None, seed: int) -> list[Fold]:
        """See `SplitProtocol`."""
        people = people_of(windows, rows)
        kept = np.array([person for person in people if person not in held_out_people(people, self.holdout)])
        if len(kept) < LEAST_PEOPLE:
            raise InputError(f"cross-validation by person needs {LEAST_PEOPLE} people beside the holdout")
        rows = rows[np.isin(windows.people[rows], kept)]
        groups = np.array_split(np.random.default_rng(seed).permutation(kept), min(self.k, len(kept)))
        return [_fold(windows, rows, group.tolist()) for group in groups]

    def __str__(self) -> str:
        rest = f", {self.holdout:.0%} of the people held out" if self.holdout else ""
        return f"{self.k}-fold by person{rest}"


@dataclass(frozen=True)
class Holdout:
    """One fold: learn from all but a share of the people, test on those.

    A figure on them is honest once. Choose by `PersonKFold` with the same share, and touch the holdout at the end.
    """

    share: float = 0.2

    def folds(self, windows: WindowSet, rows: Rows, classes: NDArray[np.int64] | None, seed: int) -> list[Fold]:
        """See `SplitProtocol`."""
        return [_fold(windows, rows, held_out_people(people_of(windows, rows), self.share))]

    def __str__(self) -> str:
        return f"holdout of {self.share:.0%} of the people"


@dataclass(frozen=True)
class FewShot:
    """Leave one person out, with `k` labelled minutes of one block of that person; tested on the person's other blocks.

    Each block of the person calibrates in turn, in a round of its own; see the module for which ones count.

    Attributes:
        k: minutes, drawn from the block by the seed; a block with fewer gives none.
        weight: how often each of their windows counts in learning.
    """

    k: int
    weight: int = 5

    def folds(self, windows: WindowSet, rows: Rows, classes: NDArray[np.int64] | None, seed: int) -> list[Fold]:
        """See `SplitProtocol`."""
        generator = np.random.default_rng(seed)
        folds = []
        for person in people_of(windows, rows):
            whole = _fold(windows, rows, [person])
            for turn, block in enumerate(np.unique(windows.blocks[whole.test])):
                inside = windows.blocks[whole.test] == block
                shots = draw_minutes(windows, whole.test[inside], self.k, generator)
                tested = whole.test[~inside]
                if len(shots) and _can_be_told_apart(rows, classes, tested):
                    folds.append(replace(whole, test=tested, shots=shots, weight=self.weight, round=turn))
        if not folds:
            raise InputError(
                f"nobody has {self.k} labelled minutes in one block and two classes in the others: learning from "
                "minutes of the tested person cannot be measured here"
            )
        return folds

    def __str__(self) -> str:
        return f"leave one person out, with {self.k} labelled minutes of another block of that person"


@dataclass(frozen=True)
class OtherBlocks:
    """Leave one block out, with the other people and the person's other blocks to learn from.

    What a model reaches here it may owe to knowing the person. It serves to say how much that is worth, and no score of
    a model is to be had by it. People with labels in one block only are not tested.
    """

    def folds(self, windows: WindowSet, rows: Rows, classes: NDArray[np.int64] | None, seed: int) -> list[Fold]:
        """See `SplitProtocol`."""
        folds = []
        for person in people_of(windows, rows):
            whole = _fold(windows, rows, [person])
            blocks = windows.blocks[whole.test]
            inside = [blocks == block for block in np.unique(blocks)]
            if len(inside) > 1:
                folds += [replace(whole, test=whole.test[own], shots=whole.test[~own]) for own in inside]
        if not folds:
            raise InputError("nobody has labels in two blocks, so what the person alone tells cannot be measured")
        return folds

    def __str__(self) -> str:
        return "leave one block out, with the person's other blocks to learn from"


def check_fold(windows: WindowSet, fold: Fold) -> None:
    """Refuse a split that shares people, or blocks of the tested people.

    Raises:
        Leak: naming up to five of them.
    """
    people, blocks = windows.people, windows.blocks
    _refuse("people are both learned from and tested", people[fold.train], people[fold.test])
    _refuse("blocks are both learned from and tested", blocks[fold.learned()], blocks[fold.test])
    if strangers := set(people[fold.shots].tolist()) - set(people[fold.test].tolist()):
        raise Leak(f"calibration minutes are of people that are not tested: {', '.join(sorted(strangers)[:5])}")


def reference_baseline(
    windows: WindowSet, tested: NDArray[np.bool_], k: int, seed: int
) -> tuple[WindowSet, NDArray[np.bool_]]:
    """Take k minutes of blocks that are not tested as each person's baseline centre, for all people alike.

    Args:
        windows: all of them; their baseline's spread stays.
        tested: bool [N], windows that are learned from or tested; no minute is taken from their blocks.
        k: minutes of each person.
        seed: of the draw.

    Returns:
        The windows, and which of them are of people who have k such minutes, bool [N].
    """
    generator = np.random.default_rng(seed)
    free = np.flatnonzero(~np.isin(windows.blocks, windows.blocks[tested]))
    baselines = np.array(windows.baselines)
    known = np.zeros(len(windows), np.bool_)
    for person in np.unique(windows.people):
        shots = draw_minutes(windows, free[windows.people[free] == person], k, generator)
        own = windows.people == person
        if len(shots):
            baselines[own, 0] = _mean_of_seen(windows, shots, baselines[own][0, 0])
            known |= own
    return replace(windows, baselines=baselines), known


def draw_minutes(windows: WindowSet, rows: Rows, k: int, generator: np.random.Generator) -> Rows:
    """The windows among `rows` that begin in k minutes drawn from theirs; none if there are fewer than k."""
    minutes = np.char.add(windows.sessions[rows], (windows.elapsed[rows] // MINUTE_S).astype(np.int64).astype(str))
    names = np.unique(minutes)
    if len(names) < k:
        return rows[:0]
    return rows[np.isin(minutes, generator.choice(names, k, replace=False))]


def held_out_people(people: Sequence[str] | Names, share: float) -> list[str]:
    """The people of the holdout, the same on every machine."""
    parts = split_people([str(person) for person in people], {"kept": 1 - share, "held out": share})
    return sorted(person for person, part in parts.items() if part == "held out")


def dependence(windows: WindowSet, folds: Sequence[Fold]) -> float:
    """By how much the variance over people is to be multiplied because the folds of a round share what they learn from.

    With K folds it is 1 + K * tested / learned from, in people (Nadeau and Bengio 2003): about 2 where one person is
    left out, 2.25 with five folds. People who are only tested, on one model, need nothing. Folds that test the same
    people count once.
    """
    groups = {tuple(np.unique(windows.people[fold.test])) for fold in folds}
    if len(groups) < 2:
        return 1.0
    shares = [len(set(windows.people[fold.test])) / len(set(windows.people[fold.train])) for fold in folds]
    return 1 + len(groups) * float(np.mean(shares))


def people_of(windows: WindowSet, rows: Rows) -> Names:
    """The people of some rows, sorted.

    Raises:
        InputError: there are fewer than two.
    """
    people: Names = np.unique(windows.people[rows])
    if len(people) < LEAST_PEOPLE:
        raise InputError(
            f"validation by person needs {LEAST_PEOPLE} people with usable labels, and there are {len(people)}"
        )
    return people


def _fold(windows: WindowSet, rows: Rows, people: Sequence[str]) -> Fold:
    tested = np.isin(windows.people[rows], people)
    return Fold(rows[~tested], rows[tested])


def _can_be_told_apart(rows: Rows, classes: NDArray[np.int64] | None, tested: Rows) -> bool:
    """Whether what is tested holds two classes; a scale needs one window."""
    if classes is None:
        return len(tested) > 0
    found = classes[np.isin(rows, tested)]
    return len(np.unique(found[found >= 0])) > 1


def _refuse(what: str, learned: Names, tested: Names) -> None:
    if shared := sorted(set(learned.tolist()) & set(tested.tolist())):
        raise Leak(f"{len(shared)} {what}: {', '.join(shared[:5])}")


def _mean_of_seen(windows: WindowSet, rows: Rows, otherwise: Float32) -> Float32:
    """Mean of each feature over the seconds in which it was seen, float32 [F]."""
    values, coverage, _ = windows.batch(rows)
    seen = coverage[..., windows.space.feature_modality] > 0
    count = seen.sum((0, 1))
    total = np.where(seen, values, np.float32(0)).sum((0, 1))
    mean: Float32 = np.where(count > 0, total / np.maximum(count, 1), otherwise).astype(np.float32)
    return mean
