"""How plain models see pooled columns: standardised without gaps, or as the numbers of their bins.

Columns that hold one value in all rows to learn from are left out: no linear model weighs them, no tree splits them.
Where they have gaps, coverage says so too.

Boosted trees split a column at up to `BINS` - 1 of its quantiles, weighted as the rows are. Given the bins' numbers
instead of the values, scikit-learn has no quantiles left to find, and grows the same trees. It would sort each column
anew for each quantile of weighted rows, which took five times as long as the trees themselves (version 1.9.1, a
thousand rows); here each is sorted once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 255
"""What `HistGradientBoostingClassifier` takes at most."""

_SHARES = np.linspace(0, 100, BINS + 1)[1:-1] / 100

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Standardised:
    """Columns around 0 with spread 1; a gap stands at the mean.

    Attributes:
        kept: int64 [K], columns that vary.
        centre, scale: [K].
    """

    kept: NDArray[np.int64]
    centre: Array
    scale: Array

    @classmethod
    def of(cls, columns: Array) -> Standardised:
        """From rows to learn from, [n, D] with NaN for gaps."""
        kept = varying(columns)
        centre = np.atleast_1d(np.nanmean(columns[:, kept], 0, dtype=np.float64))
        spread = np.where(np.isnan(columns[:, kept]), centre, columns[:, kept]).std(0)
        spread[spread == 0] = 1.0
        return cls(kept, centre, spread)

    def __call__(self, columns: Array) -> Array:
        """[n, D] to [n, K], of the same precision."""
        moved = (columns[:, self.kept] - self.centre) / self.scale
        return np.where(np.isnan(moved), 0.0, moved).astype(columns.dtype)


@dataclass(frozen=True)
class Binned:
    """Columns as bin numbers; a gap stays one.

    Attributes:
        kept: int64 [K], columns that vary.
        edges: of each of them its inner edges, ascending; a bin holds its upper edge.
    """

    kept: NDArray[np.int64]
    edges: tuple[NDArray[np.float64], ...]

    @classmethod
    def of(cls, columns: Array, weights: NDArray[np.float64]) -> Binned:
        """From rows to learn from, [n, D] with NaN for gaps, and how often each counts, above 0."""
        kept = varying(columns)
        return cls(kept, tuple(_edges(columns[:, index].astype(np.float64), weights) for index in kept))

    def __call__(self, columns: Array) -> Array:
        """[n, D] to float64 [n, K]."""
        chosen = columns[:, self.kept].astype(np.float64)
        bins = np.full(chosen.shape, np.nan)
        for index, edges in enumerate(self.edges):
            known = ~np.isnan(chosen[:, index])
            bins[known, index] = np.searchsorted(edges, chosen[known, index])
        return bins


def varying(columns: Array) -> NDArray[np.int64]:
    """The columns of [n, D] that hold two values; where there is none, one column without gaps."""
    gaps = np.isnan(columns)
    least = np.where(gaps, np.inf, columns).min(0)
    most = np.where(gaps, -np.inf, columns).max(0)
    found = np.flatnonzero(most > least)
    return found if len(found) else np.flatnonzero(~gaps.any(0))[:1]


def _edges(column: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Halfway between values that are few; else the averaged inverted distribution function (Hyndman and Fan 1996)."""
    known = np.flatnonzero(~np.isnan(column))
    known = known[np.argsort(column[known])]
    values = column[known]
    distinct = np.unique(values)
    if len(distinct) <= BINS:
        halfway: NDArray[np.float64] = (distinct[1:] + distinct[:-1]) / 2
        return halfway
    total = np.cumsum(weights[known])
    wanted = _SHARES * total[-1]
    first = np.minimum(np.searchsorted(total, wanted), len(values) - 1)
    after = values[np.minimum(first + 1, len(values) - 1)]
    exact = total[first] - wanted <= np.finfo(np.float64).eps
    edges = np.unique(np.where(exact, (values[first] + after) / 2, values[first]))
    occupied = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)[:-1] > 0
    return edges[occupied]  # below an edge between equal quantiles there is nothing to part
