"""How much each rater counts: by agreement with the others, and never so much that one of them decides alone.

Agreement. Over the windows that two raters r and s have both labelled, with d the distance between two opinions:

    kappa_rs = 1 - (mean d on the same window) / (mean d of their labels put together at random)

which is weighted kappa (Cohen 1968, Psychological Bulletin 70(4)): 1 for agreement, 0 for chance, below 0 for the
opposite. Opinions that leave several classes possible are as far apart as the nearest classes that they allow. Where
raters err independently, kappa_rs is about a_r a_s with a the raters' competence, so the leading eigenvector of that
matrix says who belongs to the body of raters that agree (Parisi et al. 2014, PNAS 111(4)); it takes three to say who
errs, and the larger body is taken to be right. Then kappa_r is the mean of kappa_rs over the others in that body.

What is known of a rater grows with the labels shared, so kappa_r is shrunk towards the median of all raters, as if
`PRIOR_LABELS` more had been shared and had agreed that well. The trust is the result over that median, between 0 and 1:
agreement can only take weight away, and a rater of whom nothing is known counts like the rest.

Cap. Each rater's total weight is cut to a level L, the highest at which nobody holds more than a tenth of all that is
left, or with fewer than twenty raters twice an equal share (two raters: no cap; five: 40 %; twenty and more: 10 %).
Where one rater did nearly all the work this would throw the work away, so the level never falls so far that less than
half of all weight would be left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_LABELS = 10.0
MOST_SHARE, EQUAL_SHARES = 0.10, 2.0
LEAST_LEFT = 0.5
HALVINGS = POWER_STEPS = 60

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Pair:
    """Two raters who have labelled some of the same windows.

    Attributes:
        windows: how many both have labelled.
        kappa: see the module; None where it cannot be told, since any two of their labels could be of the same class.
    """

    first: str
    second: str
    windows: int
    kappa: float | None


@dataclass(frozen=True)
class Weighing:
    """What became of the raters.

    Attributes:
        weights: float [N], for each opinion.
        trust: rater -> 0..1, from agreement.
        shared: rater -> labels of others on the windows that this one has labelled too.
        largest_share: of all weight, held by one rater; after the cap.
        pairs: of raters who share windows, each once.
    """

    weights: Floats
    trust: dict[str, float]
    shared: dict[str, int]
    largest_share: float
    pairs: tuple[Pair, ...]


def weigh(windows: Sequence[str], raters: Sequence[str], allowed: Flags, ordinal: bool, weights: Floats) -> Weighing:
    """Weights of N opinions, each of one rater on one window.

    Args:
        windows: what each is about.
        raters: who holds it.
        allowed: bool [N, C], the classes that it leaves possible.
        ordinal: whether neighbouring classes are nearer than others.
        weights: float [N], 0 or more: before any of this.
    """
    names, rater = _numbered(raters)
    sharing = _pairs(_numbered(windows)[1], rater, allowed, ordinal)
    pairs = sharing.telling()
    shared = np.bincount(pairs.first, pairs.labels, len(names)).astype(np.int64)
    trust = _trust(pairs, len(names))
    trusted = weights * trust[rater]
    totals = np.bincount(rater, trusted, len(names)).astype(np.float64)
    capped = np.minimum(totals, _level(totals))
    factor = np.divide(capped, totals, out=np.zeros_like(totals), where=totals > 0)
    return Weighing(
        trusted * factor[rater],
        dict(zip(names, trust.tolist(), strict=True)),
        dict(zip(names, shared.tolist(), strict=True)),
        float(capped.max(initial=0.0) / max(capped.sum(), 1e-12)),
        sharing.named(names),
    )


def _numbered(names: Sequence[str]) -> tuple[list[str], Rows]:
    """The different names in the order in which they come, and the number of each; long lists need no sorting."""
    numbers: dict[str, int] = {}
    numbered = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
    return list(numbers), numbered


@dataclass(frozen=True)
class _Pairs:
    """Ordered pairs of raters that share windows; arrays are [P], kappa NaN where no labels could have disagreed."""

    first: Rows
    second: Rows
    labels: Floats
    kappa: Floats

    def telling(self) -> _Pairs:
        """Those whose kappa is known."""
        known = np.isfinite(self.kappa)
        return _Pairs(self.first[known], self.second[known], self.labels[known], self.kappa[known])

    def named(self, names: Sequence[str]) -> tuple[Pair, ...]:
        """Each pair once."""
        columns = (column.tolist() for column in (self.first, self.second, self.labels, self.kappa))
        return tuple(
            Pair(names[first], names[second], int(labels), kappa if math.isfinite(kappa) else None)
            for first, second, labels, kappa in zip(*columns, strict=True)
            if first < second
        )


def _pairs(window: Rows, rater: Rows, allowed: Flags, ordinal: bool) -> _Pairs:
    order = np.argsort(window, kind="stable")
    window, rater = window[order], rater[order]
    kinds, kind = np.unique(allowed[order], axis=0, return_inverse=True)
    kind = kind.ravel()
    left, right = _together(window)
    left, right = np.concatenate([left, right]), np.concatenate([right, left])
    raters = int(rater.max(initial=-1)) + 1
    ids, pair = np.unique(rater[left] * raters + rater[right], return_inverse=True)
    distance = _distances(kinds, ordinal)
    labels = np.bincount(pair, minlength=len(ids)).astype(np.float64)
    observed = np.bincount(pair, distance[kind[left], kind[right]], len(ids)) / np.maximum(labels, 1)
    said = [np.zeros((len(ids), len(kinds))) for _ in range(2)]
    for table, side in zip(said, (left, right), strict=True):
        np.add.at(table, (pair, kind[side]), 1 / labels[pair])
    expected = (said[0] @ distance * said[1]).sum(1)
    kappa = 1 - np.divide(observed, expected, out=np.full(len(ids), np.nan), where=expected > 0)
    return _Pairs(ids // max(raters, 1), ids % max(raters, 1), labels, kappa)


def _together(window: Rows) -> tuple[Rows, Rows]:
    """Positions of any two labels of the same window, given the sorted windows of all labels."""
    most = int(np.bincount(window).max(initial=0))
    first = [np.flatnonzero(window[lag:] == window[: len(window) - lag]) for lag in range(1, most)]
    both = [(here, here + lag) for lag, here in enumerate(first, 1)] or [(np.zeros(0, np.int64),) * 2]
    left, right = zip(*both, strict=True)
    return np.concatenate(left), np.concatenate(right)


def _distances(kinds: Flags, ordinal: bool) -> Floats:
    """Between kinds of opinion, bool [K, C] -> float [K, K] in 0..1: of the nearest classes that both allow."""
    ranks = np.arange(kinds.shape[1])
    apart = np.abs(ranks[:, None] - ranks)
    classes = apart / max(len(ranks) - 1, 1) if ordinal else (apart > 0).astype(np.float64)
    possible = kinds[:, None, :, None] & kinds[None, :, None, :]
    nearest: Floats = np.where(possible, classes, np.inf).min((2, 3))
    return nearest


def _trust(pairs: _Pairs, raters: int) -> Floats:
    """Trust 0..1 of each rater; see the module."""
    body = np.maximum(_leading(pairs, raters), 0)
    mass = pairs.labels * body[pairs.second]
    known = np.bincount(pairs.first, mass, raters)
    agreed = np.bincount(pairs.first, mass * pairs.kappa, raters)
    usual = float(np.median(agreed[known > 0] / known[known > 0])) if (known > 0).any() else 0.0
    if usual <= 0:
        return np.ones(raters)  # nobody agrees with anybody: nobody can be singled out
    shrunk = (agreed + PRIOR_LABELS * usual) / (known + PRIOR_LABELS)
    trust: Floats = np.clip(shrunk / usual, 0, 1)
    return trust


def _leading(pairs: _Pairs, raters: int) -> Floats:
    """The leading eigenvector of the matrix of kappas, its largest entry 1, by power iteration from "all alike"."""
    weight = pairs.kappa * pairs.labels / (pairs.labels + PRIOR_LABELS)
    shift = float(np.bincount(pairs.first, np.abs(weight), raters).max(initial=0.0))
    vector = np.ones(raters)
    for _ in range(POWER_STEPS if shift else 0):
        vector = np.bincount(pairs.first, weight * vector[pairs.second], raters) + 2 * shift * vector
        vector /= np.abs(vector).max()
    return vector


def _level(totals: Floats) -> float:
    """The level L to which each rater's total is cut; see the module."""
    positive = totals[totals > 0]
    highest = float(positive.max(initial=0.0))
    most = max(MOST_SHARE, EQUAL_SHARES / max(len(positive), 1))

    def fair(level: float) -> bool:
        return bool(level <= most * np.minimum(positive, level).sum())

    def lossy(level: float) -> bool:
        return bool(np.minimum(positive, level).sum() < LEAST_LEFT * positive.sum())

    return highest if fair(highest) else max(_last(fair, highest), _last(lossy, highest))


def _last(holds: Callable[[float], bool], highest: float) -> float:
    """The largest number below `highest` for which it holds, where it holds for all below; 0 if for none."""
    low, high = 0.0, float(highest)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if middle > 0 and holds(middle) else (low, middle)
    return low
