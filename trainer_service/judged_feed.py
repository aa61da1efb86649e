"""The judged windows of a task, kept in step with the store by reading only the labels that came.

The newest standing label of a window is what is held of it. Labels that were withdrawn or erased are found by their
number, and then by looking which rows are gone.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, func, select

from sentry_proto.tasks import Task
from trainer_service import schema
from trainer_service.scored import SHOWN, Judged, seen_of

_LABEL, _SCORE = schema.labels.c, schema.scores.c


UNSCORED = -1
"""The place of a window that no head of the task has scored: its labels tell nothing of alerts."""


class JudgedFeed:
    """Safe to share between threads.

    Attributes:
        task: whose labels are read.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._lock = Lock()
        self._sessions: dict[str, int] = {}
        self._places: dict[str, int] = {}  # window -> its place in `_seen`
        self._seen = seen_of(task, [], {})
        self._rows = self._windows = np.zeros(0, np.int64)  # of each label its row, and its window's place
        self._events = np.zeros(0)

    def read(self, connection: Connection) -> Judged:
        """All windows that somebody has judged and a head has scored, in the order of their first labels."""
        with self._lock:
            self._forget(connection)
            self._read_on(connection)
            newest = np.zeros(len(self._seen) + 1, np.int64)  # the last one for those at `UNSCORED`
            newest[self._windows] = np.arange(len(self._windows))  # of several labels, the last one stays
            return Judged(self._seen, self._events[newest[:-1]])

    def _last(self) -> int:
        return int(self._rows[-1]) if len(self._rows) else 0

    def _forget(self, connection: Connection) -> None:
        """Drop the labels that do not stand any more, and the windows that have none left."""
        stands = _stands(self.task) & (_LABEL.row <= self._last())
        if connection.scalar(select(func.count()).select_from(schema.labels).where(stands)) == len(self._rows):
            return
        kept = np.isin(self._rows, np.array(connection.scalars(select(_LABEL.row).where(stands)).all(), np.int64))
        windows = self._windows[kept]
        used = np.unique(windows[windows != UNSCORED])
        moved = np.full(len(self._seen) + 1, UNSCORED)
        moved[used] = np.arange(len(used))
        self._rows, self._windows, self._events = self._rows[kept], moved[windows], self._events[kept]
        self._places = {name: int(moved[old]) for name, old in self._places.items() if moved[old] != UNSCORED}
        self._seen = self._seen.where(used)

    def _read_on(self, connection: Connection) -> None:
        beside = and_(_SCORE.window_id == _LABEL.window_id, _SCORE.task == _LABEL.task)
        chosen = (
            select(_LABEL.row, _LABEL.value, *SHOWN)
            .outerjoin_from(schema.labels, schema.scores, beside)
            .where(_stands(self.task), _LABEL.row > self._last())
            .order_by(_LABEL.row)
        )
        came = connection.execute(chosen).all()
        if not came:
            return
        places, fresh = [], []
        for _, _, *score in came:
            name = score[0]
            if name is not None and name not in self._places:
                self._places[name] = len(self._places)
                fresh.append(score)
            places.append(UNSCORED if name is None else self._places[name])
        is_event = {value: float(bool(self.task.is_event(value))) for value in {row.value for row in came}}
        self._rows = np.append(self._rows, [row.row for row in came])
        self._windows = np.append(self._windows, places)
        self._events = np.append(self._events, [is_event[row.value] for row in came])
        self._seen = self._seen.with_more(seen_of(self.task, fresh, self._sessions))


def _stands(task: Task) -> ColumnElement[bool]:
    return and_(_LABEL.task == task.name, _LABEL.withdrawn.is_(None))
