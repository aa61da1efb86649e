"""What the trainer does by itself beside learning: retention once a day, and what commands left for its audit log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sentry_proto.errors import StorageError
from sentry_proto.watchdog import Progress
from trainer_service import audit, journal, retention
from trainer_service.audit import BY_ITSELF, Entry
from trainer_service.roles import Actor
from trainer_service.store import Store

log = logging.getLogger(__name__)

DAY_S = 86_400.0
LOOK_EVERY_S = 2.0
PATIENCE_S = 600.0
"""The longest that one look may take: the first retention of a store of years."""


def remove_expired(store: Store, days: float, now: float, actor: Actor) -> dict[str, int]:
    """Delete what arrived more than so many days before `now`, and write that down if it was anything.

    Raises:
        StorageError: if the store failed; then nothing was deleted.
    """
    with store.write() as connection:
        counts = retention.remove(connection, now - days * DAY_S)
        if any(counts.values()):
            entry = Entry(now, actor, "retention", f"older than {days:g} days", details=retention.words(counts))
            audit.put(connection, entry)
    if any(counts.values()):
        store.scrub()
    return counts


class Housekeeping(threading.Thread):
    """Looks every `LOOK_EVERY_S` until `stop`; what fails is tried again at the next look, or the next day."""

    def __init__(
        self, store: Store, written_down: Path, retention_days: float | None, on_removed: Callable[[], None]
    ) -> None:
        super().__init__(name="housekeeping", daemon=True)
        self._store, self._journal = store, written_down
        self._retention_days = retention_days
        self._on_removed = on_removed
        self._ending, self._progress = threading.Event(), Progress(PATIENCE_S)
        self._taken_in, self._next_retention = 0, 0.0

    def stop(self) -> None:
        """End."""
        self._ending.set()
        if self.ident is not None:
            self.join()

    def stalled(self, now: float) -> bool:
        """Whether it hangs, at `now` in monotonic seconds."""
        return self._progress.stalled(now)

    def run(self) -> None:
        """Look again and again."""
        while not self._ending.is_set():
            self._progress.passed()
            self.look(time.time(), time.monotonic())
            self._ending.wait(LOOK_EVERY_S)

    def look(self, now: float, monotonic: float) -> None:
        """Do what is due; `now` in Unix seconds."""
        try:
            self._follow_journal()
            if self._retention_days is not None and monotonic >= self._next_retention:
                self._next_retention = monotonic + DAY_S
                if any(remove_expired(self._store, self._retention_days, now, BY_ITSELF).values()):
                    self._on_removed()
        except StorageError as error:
            log.warning("housekeeping: %s", error)

    def _follow_journal(self) -> None:
        size = self._journal.stat().st_size if self._journal.exists() else 0
        if size != self._taken_in:
            journal.take_in(self._store, self._journal)
            self._taken_in = size
