"""Which old labels are replayed: all of them, or a reservoir that is balanced over people and classes.

Beyond `MOST` opinions a fit would grow without bound. Then each cell (a person with one kind of label) keeps as many
opinions as it has, up to a quota that is the same for all cells and fills the reservoir. So nobody and no class is
crowded out by those of whom there is plenty.

Within a cell those with the smallest hash of their window stay (bottom-k sampling, Cohen and Kaplan 2007): a uniform
sample that changes little from run to run, so that a candidate differs from its incumbent by what is new.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST = 6_000

Rows = NDArray[np.int64]


def reservoir(windows: Sequence[str], people: Sequence[str], values: Sequence[str], most: int = MOST) -> Rows:
    """Rows to replay of N opinions, int64 in ascending order, `most` at most (or one of each cell, if that is more).

    Args:
        windows: window id of each.
        people: whose window it is.
        values: what the label says.
        most: size of the reservoir.
    """
    count = len(windows)
    if count <= most:
        return np.arange(count)
    cells: dict[tuple[str, str], int] = {}
    cell = np.array([cells.setdefault(one, len(cells)) for one in zip(people, values, strict=True)], np.int64)
    order = np.lexsort((np.array([zlib.crc32(window.encode()) for window in windows]), cell))
    sizes = np.bincount(cell)
    rank = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < _quota(sizes, most)])


def _quota(sizes: Rows, most: int) -> int:
    """The largest q for which the sum of min(size, q) is at most `most`, but at least 1."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(sizes, middle).sum() <= most else (low, middle - 1)
    return low
