"""How alike windows look, so that a rater is not asked the same question twice.

The look of a window is the cheap half of statistics pooling (`training.pooling`): mean and spread of every feature in
units of the person's own baseline, and the coverage of each modality. The distance between two looks is their root
mean square difference, in baseline units. A person differs from another in what is usual for them, and a label on one
says little about the other; so only looks of the same person are compared where the person is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sentry_proto.types import FeatureWindow, Float32
from training.feature_space import SECOND_SPACE
from training.pooling import pool

KEPT = 64
"""Windows that count as sent recently: about an hour of audit and uncertain ones at the default settings."""


def look(window: FeatureWindow) -> Float32:
    """What a window looks like: float32 [2 F + M], finite."""
    baseline = np.stack([window.baseline.centre, window.baseline.scale])
    pooled = pool(window.values[None], window.coverage[None], baseline[None])[0]
    mean_and_spread = 2 * len(SECOND_SPACE.features)
    return np.concatenate([pooled[:mean_and_spread], pooled[-len(SECOND_SPACE.modalities) :]])


def distances(looks: NDArray[np.floating], to: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root mean square differences: [N, D] and [D] -> float64 [N], in baseline units."""
    difference = np.subtract(looks, to, dtype=np.float64)
    result: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", difference, difference) / max(len(to), 1))
    return result


class SentLately:
    """The looks of the windows that were sent last, whoever was in them."""

    def __init__(self) -> None:
        self._looks = np.zeros((0, 0), np.float32)  # a ring, filled alike with the people
        self._people: list[str | None] = [None] * KEPT
        self._count = 0

    def add(self, person: str, seen: Float32) -> None:
        """A window with this look was sent."""
        if not self._count:
            self._looks = np.zeros((KEPT, len(seen)), np.float32)
        self._looks[self._count % KEPT] = seen
        self._people[self._count % KEPT] = person
        self._count += 1

    def nearest(self, person: str, seen: Float32) -> float | None:
        """The distance to the most similar window of this person that was sent lately; None if there is none."""
        theirs = [row for row, who in enumerate(self._people) if who == person]
        return float(distances(self._looks[theirs], seen).min()) if theirs else None


def diverse_batch(
    uncertainty: NDArray[np.floating],
    looks: NDArray[np.floating],
    count: int,
    people: NDArray[np.str_] | None = None,
    before: tuple[NDArray[np.floating], NDArray[np.str_]] | None = None,
) -> NDArray[np.int64]:
    """Choose windows for a rater from a pool: uncertain ones that do not look alike.

    Greedy, as in k-centre selection (Sener and Savarese, arXiv:1708.00489), but by uncertainty times novelty: each
    step takes the window with the largest product of its rank by uncertainty and its distance to the nearest one that
    was taken before. Distances beyond the typical one in the pool count alike, so that an outlier wins nothing by
    lying far out. Costs N x count distances.

    Args:
        uncertainty: [N], in any unit that grows with doubt; what is not a number counts as the least.
        looks: [N, D].
        count: at most so many are taken.
        people: [N]; windows of different people never count as alike. None if all are of one person.
        before: looks [M, D] and people [M] of windows that the rater has just had, which are as good as taken.

    Returns:
        int64 [min(N, count)], indices in the order in which to ask.
    """
    size = len(uncertainty)
    if size == 0:
        return np.zeros(0, np.int64)
    share = _ranks(uncertainty)
    nearest = np.full(size, np.inf)
    typical = _typical_distance(looks)
    taken: list[int] = []
    open_still = np.ones(size, bool)

    def take(look: NDArray[np.floating], person: str | None) -> None:
        theirs = np.ones(size, bool) if people is None or person is None else people == person
        nearest[theirs] = np.minimum(nearest[theirs], distances(looks[theirs], look))

    for look, person in zip(*before, strict=True) if before else ():
        take(look, person)
    for _ in range(min(count, size)):
        novelty = np.minimum(nearest / typical, 1.0) if typical > 0 else np.ones(size)
        gain = np.where(open_still, share * novelty, -1.0)
        best = int(np.lexsort((-share, -gain))[0])
        taken.append(best)
        open_still[best] = False
        take(looks[best], None if people is None else people[best])
    return np.array(taken, np.int64)


def _ranks(uncertainty: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the pool that is no more uncertain, in (0, 1]; ties share theirs."""
    values = np.where(np.isfinite(uncertainty), uncertainty, -np.inf)
    share: NDArray[np.float64] = (values[:, None] >= values[None, :]).mean(axis=1)
    return share


def _typical_distance(looks: NDArray[np.floating]) -> float:
    """The mean distance to the pool's middle, which needs no N x N distances; 0 only if all look the same."""
    return float(distances(looks, np.median(looks, axis=0)).mean())
