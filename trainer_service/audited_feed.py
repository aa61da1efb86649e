"""The newest audit windows of a task, judged or not, kept in step with the store by reading only those that came."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, select

from sentry_proto.tasks import Task
from sentry_proto.types import Stratum
from trainer_service import schema
from trainer_service.scored import SHOWN, Seen, chosen_by, columns_of, seen_of

MOST_AUDITED = 5_000
"""Newest audit windows that the label-free estimate looks at."""

_SCORE = schema.scores.c


class AuditedFeed:
    """Safe to share between threads.

    Attributes:
        task: whose windows are read.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._lock = Lock()
        self._sessions: dict[str, int] = {}
        self._rows: dict[str, int] = {}  # window -> its row, falling; a number may come again after an erasure
        self._seen = seen_of(task, [], {})

    def read(self, connection: Connection, where: Mapping[str, Any]) -> Seen:
        """The newest first, of all or of some groups; only all of them are kept."""
        if where:
            return seen_of(self.task, connection.execute(self._newest(where, *SHOWN)).all(), {})
        with self._lock:
            newest = connection.execute(self._newest({}, _SCORE.window_id, _SCORE.row))
            rows = {row.window_id: row.row for row in newest}
            if rows != self._rows:
                self._read_on(connection, rows)
            return self._seen

    def _read_on(self, connection: Connection, rows: dict[str, int]) -> None:
        stand = np.array([rows.get(name) == row for name, row in self._rows.items()], bool)
        last = max((row for row, stands in zip(self._rows.values(), stand, strict=True) if stands), default=0)
        if stand.sum() + sum(row > last for row in rows.values()) < len(rows):
            stand[:], last = False, 0  # older ones moved up, because newer ones were erased
        came = connection.execute(self._newest({}, *SHOWN).where(_SCORE.row > last)).all()
        self._seen = seen_of(self.task, came, self._sessions).with_more(self._seen.where(stand))
        self._rows = rows

    def _newest(self, where: Mapping[str, Any], *columns: Any) -> Select[Any]:
        audited = (_SCORE.task == self.task.name, _SCORE.stratum == Stratum.AUDIT.value)
        chosen = select(*columns).where(*audited, *chosen_by(columns_of(schema.scores), where))
        return chosen.order_by(_SCORE.row.desc()).limit(MOST_AUDITED)
