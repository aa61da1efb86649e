"""Feeds the stream watch from the store, a portion at a time, in the order of storage.

What the watch knows is a fold over the standing labels and the audit windows by row. Nothing of it is stored: after a
start it is read anew, in portions that keep nobody waiting, and likewise after a label was withdrawn or a window
erased, so that what was taken back is forgotten. A correction is a further label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, func, select

from sentry_proto.tasks import Task
from sentry_proto.types import Float32, Stratum
from trainer_service import schema
from trainer_service.expression import UNSAID, seen_by
from trainer_service.store import Store

PORTION = 200

Extent = tuple[int, int, int, int]
PooledOf = Callable[[Sequence[str]], Mapping[str, Float32]]


class StreamFeed:
    """Keeps a `StreamWatch` in step with the store.

    Args:
        store: what it reads.
        tasks: whose labels count.
        pooled_of: window ids -> pooled windows.
        names: of the expression model whose windows count, see `expression.names_of`.
    """

    def __init__(
        self, store: Store, tasks: Sequence[Task], pooled_of: PooledOf, names: tuple[str, ...] = UNSAID
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._pooled_of = pooled_of
        self._seen = seen_by(names)
        self._start_over()

    def _start_over(self) -> None:
        # River takes 140 MB, and the process that serves the agents imports this module for `extent` alone.
        from trainer_service.stream_watch import StreamWatch  # noqa: PLC0415

        self.watch = StreamWatch(self._tasks)
        self._windows = _Cursor(schema.windows, schema.windows.c.row, _IS_AUDIT & self._seen)
        self._labels = _Cursor(_LABELLED, schema.labels.c.row, _STANDS & self._seen)

    def step(self, most: int = PORTION) -> bool:
        """Take in so many windows and labels at most; whether there is more."""
        with self._store.read() as connection:
            if self._windows.is_stale(connection) or self._labels.is_stale(connection):
                self._start_over()
            windows = self._windows.read(connection, _WINDOW_COLUMNS, most)
            labels = self._labels.read(connection, _LABEL_COLUMNS, most)
        pooled = self._pooled_of(sorted({row.window_id for row in [*windows, *labels]}))
        for row in windows:
            self.watch.window(row.received, pooled[row.window_id], row.predictions)
        for row in labels:
            said = next((p["probabilities"] for p in row.predictions if p["task"] == row.task), None)
            audit = row.stratum == Stratum.AUDIT
            window = pooled[row.window_id]
            self.watch.label(row.received, row.task, row.participant, row.value, window, said, audit)
        return max(len(windows), len(labels)) == most


def extent(connection: Connection) -> Extent:
    """How much there is to read: while it stays the same, a step finds nothing new and nothing taken away."""
    window, label = schema.windows.c.row, schema.labels.c.row
    windows = connection.execute(select(func.count(window), func.max(window))).one()
    labels = connection.execute(
        select(func.count(label), func.max(label)).where(schema.labels.c.withdrawn.is_(None))
    ).one()
    return windows[0], windows[1] or 0, labels[0], labels[1] or 0


class _Cursor:
    """How far a list that only grows at its end has been read, if nothing of it was taken away."""

    def __init__(self, source: FromClause, row: ColumnElement[int], belongs: ColumnElement[bool]) -> None:
        self._source, self._row, self._belongs = source, row, belongs
        self._last = self._count = 0

    def is_stale(self, connection: Connection) -> bool:
        """Whether something that was read is there no more."""
        there = select(func.count()).select_from(self._source).where(self._belongs, self._row <= self._last)
        return connection.scalar(there) != self._count

    def read(self, connection: Connection, columns: Sequence[ColumnElement[Any]], most: int) -> Sequence[Row[Any]]:
        """The next so many."""
        chosen = select(self._row.label("at"), *columns).select_from(self._source)
        rows = connection.execute(
            chosen.where(self._belongs, self._row > self._last).order_by(self._row).limit(most)
        ).all()
        if rows:
            self._last, self._count = rows[-1].at, self._count + len(rows)
        return rows


_HAS_BASELINE = schema.windows.c.baseline_seconds > 0
_IS_AUDIT = (schema.windows.c.stratum == Stratum.AUDIT.value) & _HAS_BASELINE
_LABELLED = schema.labels.join(schema.windows, schema.labels.c.window_id == schema.windows.c.window_id)
_STANDS = schema.labels.c.withdrawn.is_(None) & _HAS_BASELINE
_WINDOW_COLUMNS = (schema.windows.c.window_id, schema.windows.c.received, schema.windows.c.predictions)
_LABEL_COLUMNS = (
    schema.labels.c.window_id, schema.labels.c.received, schema.labels.c.task, schema.labels.c.value,
    schema.windows.c.participant, schema.windows.c.stratum, schema.windows.c.predictions,
)  # fmt: skip
