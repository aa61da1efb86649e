"""A small offset per person, and whether it has earned to be used.

A head that was learned from other people may find this one too tense or too calm throughout. The offset b is added to
the generic head's logits, p' = softmax(log p + b), with one degree of freedom for an ordinal task (b rises evenly from
the first class to the last) and one per class for others. It maximises

    sum over windows of w log(sum of p' over the classes that the label allows)  -  |theta|**2 / (2 SPREAD**2)

a ridge, or normal prior on theta: `SPREAD` is how far people's offsets are taken to lie apart, so few labels move it
little. Windows of one minute count as one together, and classes count the same, as at the gate: an offset must not win
by having noticed that somebody is mostly calm.

It is judged prequentially on that person. Each block of `BLOCK_S` is forecast by the offset that is learned from the
windows that had ended when the block's first one began, on what the generic head that was live had said of them at the
time; so neither the offset nor the head knows the label that judges. It is used when it has beaten the generic head on
enough windows and the lower end of the interval of its improvement over blocks (`training.evaluation.gate.improvement`)
lies above 0. As this is asked anew with every label, the interval is a wide one. Minutes as clusters would be too many:
a state and a mood last longer, and more people whom the head suits were then given an offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.limits import MAX_OFFSET
from sentry_proto.tasks import Task
from training.active_learning.personal import shift
from training.evaluation.gate import LEAST_CLUSTERS, LEAST_WINDOWS, class_balance, figures, improvement

SPREAD = 1.0
"""Standard deviation of the offset over people, in logits, from the middle of the scale to its end."""

LEVEL = 0.99
MOST = 200
"""Newest labelled windows of a person that are looked at."""

LEAST_TO_FIT = 10
LEAST_PER_CLASS = 2
"""Windows before there is an offset to judge, and of how many classes of each of two at least."""

BLOCK_S, MINUTE_S = 300, 60
LARGEST_BALANCE = 5.0
STEPS, LARGEST_STEP = 25, 1.0
CONVERGED = 1e-6

Array = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class PersonWindows:
    """What raters have said of one person's windows, in the order of time.

    Attributes:
        allowed: bool [N, C], the classes that each label leaves possible.
        generic: float [N, C], what the head that was live had said.
        weights: float [N], the raters' confidence.
        starts, ends: float [N], Unix seconds.
        sessions: N names.
    """

    allowed: Flags
    generic: Array
    weights: Array
    starts: Array
    ends: Array
    sessions: Sequence[str]

    def cluster(self, length: int) -> list[str]:
        """The stretch of so many seconds of its session in which each window starts."""
        return [f"{name} {int(start // length)}" for name, start in zip(self.sessions, self.starts, strict=True)]


@dataclass(frozen=True)
class PersonalFinding:
    """Whether a person's offset is used.

    Attributes:
        logits: float [C], the offset that is learned from all the labels.
        used: whether it has won.
        windows: labelled windows that judged it.
        generic, personal: class-balanced Brier score and accuracy on those (`gate.figures`); None before there are any.
        improvement, interval: of the Brier score, at `LEVEL`; None before there are enough.
        words: for a person.
    """

    logits: Floats
    used: bool
    windows: int
    generic: dict[str, float] | None
    personal: dict[str, float] | None
    improvement: float | None
    interval: tuple[float, float] | None
    words: str


def judge_offset(task: Task, seen: PersonWindows) -> PersonalFinding:
    """Learn a person's offset and decide whether it is used."""
    seen = _telling(seen)
    logits = fit_offset(task, seen)
    personal, judged = _forecasts(task, seen)
    count, clusters = int(judged.sum()), np.array(seen.cluster(BLOCK_S), object)[judged].tolist()
    if missing := _missing(seen.allowed[judged], clusters):
        return PersonalFinding(logits, False, count, None, None, None, None, f"no offset yet: {missing}")
    allowed, generic = seen.allowed[judged], seen.generic[judged]
    gain, low, high = improvement(allowed, personal[judged], generic, clusters, 0, LEVEL)
    beside, own = figures(allowed, generic), figures(allowed, personal[judged])
    outcome = "offset in use" if low > 0 else "no offset: it is not shown to be better"
    words = (
        f"{outcome}; Brier score {own['brier']:.3f} with it, {beside['brier']:.3f} without, improvement {gain:+.3f} "
        f"({LEVEL:.0%} interval {low:+.3f} to {high:+.3f}) on {count} windows as they came"
    )
    return PersonalFinding(logits, low > 0, count, beside, own, gain, (low, high), words)


def fit_offset(task: Task, seen: PersonWindows, start: Floats | None = None) -> Floats:
    """The offset, float64 [C]; see the module. By Newton's method, in which partial labels are shared out anew.

    Args:
        task: what is estimated.
        seen: to learn from.
        start: an offset to begin with.
    """
    basis = _basis(task)
    theta = np.zeros(basis.shape[1]) if start is None else np.linalg.lstsq(basis, start, rcond=None)[0]
    weights = class_balance(seen.allowed, _by_minute(seen), LARGEST_BALANCE)
    for _ in range(STEPS):
        said = shift(seen.generic, basis @ theta)
        truth = said * seen.allowed
        truth /= np.maximum(truth.sum(1, keepdims=True), np.finfo(float).tiny)
        slope = basis.T @ (weights @ (truth - said)) - theta / SPREAD**2
        spread = np.diag(weights @ said) - (said * weights[:, None]).T @ said
        step = np.linalg.solve(basis.T @ spread @ basis + np.eye(len(theta)) / SPREAD**2, slope)
        theta += np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if np.abs(step).max() < CONVERGED:
            break
    offset: Floats = np.clip(basis @ theta, -MAX_OFFSET, MAX_OFFSET)
    return offset


def _basis(task: Task) -> Floats:
    """What the offset may look like, float64 [C, degrees of freedom]."""
    count = len(task.classes)
    if task.kind == "ordinal":
        return np.linspace(-1, 1, count)[:, None]
    return np.eye(count) - 1 / count


def _telling(seen: PersonWindows) -> PersonWindows:
    """The newest windows whose label rules something out, in the order of time."""
    told = np.flatnonzero(seen.allowed.any(1) & ~seen.allowed.all(1))
    order = told[np.argsort(seen.starts[told], kind="stable")][-MOST:]
    return _rows(seen, order)


def _rows(seen: PersonWindows, rows: NDArray[np.integer[Any]] | Flags) -> PersonWindows:
    return PersonWindows(
        seen.allowed[rows], seen.generic[rows], seen.weights[rows], seen.starts[rows], seen.ends[rows],
        np.array(seen.sessions, object)[rows].tolist(),
    )  # fmt: skip


def _by_minute(seen: PersonWindows) -> Floats:
    """The weights, so that the windows of a minute add up to one at most."""
    _, index = np.unique(np.array(seen.cluster(MINUTE_S), str), return_inverse=True)
    together = np.bincount(index, seen.weights)[index] if len(index) else np.zeros(0)
    return np.asarray(seen.weights / np.maximum(together, 1.0), np.float64)


def _forecasts(task: Task, seen: PersonWindows) -> tuple[Floats, Flags]:
    """Each window's personal probabilities as the past would have had them, and where there was enough of a past."""
    personal = seen.generic.astype(np.float64)
    judged = np.zeros(len(seen.starts), bool)
    blocks, offset = np.array(seen.cluster(BLOCK_S), object), np.zeros(len(task.classes))
    for block in dict.fromkeys(blocks):
        here = blocks == block
        past = seen.ends <= seen.starts[here].min()
        if not _can_fit(seen.allowed[past]):
            continue
        offset = fit_offset(task, _rows(seen, past), offset)
        personal[here], judged[here] = shift(seen.generic[here], offset), True
    return personal, judged


def _can_fit(allowed: Flags) -> bool:
    """Whether two classes have shown, each often enough that no other one explains it."""
    if len(allowed) < LEAST_TO_FIT:
        return False
    return bool((~allowed).sum(0).min() >= LEAST_PER_CLASS)


def _missing(allowed: Flags, clusters: Sequence[str]) -> str:
    """What is lacking for a judgement, in words; empty if nothing is."""
    if len(allowed) < LEAST_WINDOWS:
        return f"{len(allowed)} of {LEAST_WINDOWS} labelled windows that judge it"
    if allowed.all(0).any():
        return "one class would explain all the labels that judge it"
    blocks = len(set(clusters))
    return f"{blocks} of {LEAST_CLUSTERS} stretches of 5 minutes that judge it" if blocks < LEAST_CLUSTERS else ""
