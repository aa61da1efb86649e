"""What stored windows look like, so that the review queue does not ask the same question twice in a row."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
from sqlalchemy import Connection, select

from sentry_proto.codec import decode_record
from sentry_proto.types import Float32, Window
from trainer_service import schema
from training.active_learning.diversity import look

KEPT = 4_096
"""Looks held in memory, about 1 kB each."""


class Looks:
    """The looks of windows, worked out once; safe to share between threads."""

    def __init__(self) -> None:
        self._kept: dict[str, Float32] = {}
        self._lock = Lock()

    def forget(self) -> None:
        """Drop them: somebody was erased."""
        with self._lock:
            self._kept = {}

    def of(self, connection: Connection, window_ids: Sequence[str]) -> Float32:
        """Of stored windows: float32 [N, D], see `training.active_learning.diversity.look`."""
        with self._lock:
            missing = [window_id for window_id in window_ids if window_id not in self._kept]
            if len(self._kept) + len(missing) > KEPT:
                self._kept, missing = {}, list(window_ids)
            table = schema.windows.c
            rows = connection.execute(select(table.window_id, table.record).where(table.window_id.in_(missing)))
            for window_id, data in rows:
                record = decode_record(data)
                if isinstance(record, Window):
                    self._kept[window_id] = look(record.features)
            return np.stack([self._kept[window_id] for window_id in window_ids])
