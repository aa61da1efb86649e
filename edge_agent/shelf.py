"""The shelf: windows that selection passed over stay here for a while, in case the trainer wants one after all.

Nothing is promised of it. It holds features as the outbox does, in a file of its own that is never waited for: a crash
or a full disk costs what is on it, and no record. It is bounded in bytes and in days, leaves the last `KEEP_FREE` bytes
of a disk to the outbox, and forgets what was recorded under a consent once that is withdrawn.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sentry_proto.codec import decode_record, encode_record
from sentry_proto.errors import MalformedMessage
from sentry_proto.types import Wanted, Window

log = logging.getLogger(__name__)

SHELF_FILE = "shelf.sqlite"
DEFAULT_QUOTA = 256 << 20
"""Bytes of records: a day of one participant's windows, one every 5 s."""

DAYS = 7.0
KEEP_FREE = 512 << 20
NEAR_S = 2.5
"""A window that starts so far from what is wanted still is the one that was meant; they come every 5 s."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS shelf (
    row INTEGER PRIMARY KEY, participant TEXT NOT NULL, session TEXT NOT NULL, start REAL NOT NULL,
    consent TEXT NOT NULL, size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS shelf_by_start ON shelf (participant, session, start);
CREATE INDEX IF NOT EXISTS shelf_by_age ON shelf (start);
"""


class Shelf:
    """Of one agent; safe to share between threads. What fails is logged, and the window in question is gone.

    Args:
        path: of the SQLite file; a damaged one is replaced.
        quota: most bytes of records.
    """

    def __init__(self, path: Path, quota: int = DEFAULT_QUOTA) -> None:
        self._path, self._quota = path, quota
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            log.warning("the shelf %s starts anew: %s", path, error)
            self._remove()
            with suppress(sqlite3.DatabaseError):
                self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA secure_delete=ON")  # what is withdrawn is not to be found in the file
        self._db.execute("PRAGMA journal_mode=MEMORY")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(SCHEMA)
        self._bytes = int(self._db.execute("SELECT coalesce(sum(size), 0) FROM shelf").fetchone()[0])

    def _remove(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)

    def put(self, window: Window) -> None:
        """Keep a window that was not sent, and drop the oldest ones for it."""
        record, features = encode_record(window), window.features
        with self._lock, _tolerated("not kept"):
            if self._db is None or shutil.disk_usage(self._path.parent).free < KEEP_FREE:
                return
            self._db.execute(
                "INSERT INTO shelf (participant, session, start, consent, size, record) VALUES (?, ?, ?, ?, ?, ?)",
                (features.participant, features.session, features.start, window.consent_id, len(record), record),
            )
            self._bytes += len(record)
            self._drop("start < ?", (features.start - 86_400 * DAYS,))
            while self._bytes > self._quota and self._drop("row = (SELECT min(row) FROM shelf)", ()):
                pass

    def take(self, wanted: Sequence[Wanted]) -> list[Window]:
        """Those of the wanted windows that are here; they are here no longer."""
        found: list[Window] = []
        with self._lock, _tolerated("not found"):
            for one in wanted if self._db else ():
                found += self._take(one)
        return found

    def _take(self, one: Wanted) -> list[Window]:
        assert self._db is not None
        nearest = self._db.execute(
            "SELECT row, record FROM shelf WHERE participant = ? AND session = ? AND start BETWEEN ? AND ? "
            "ORDER BY abs(start - ?) LIMIT 1",
            (one.participant, one.session, one.start - NEAR_S, one.start + NEAR_S, one.start),
        ).fetchone()
        if nearest is None:
            return []
        self._drop("row = ?", (nearest[0],))
        record = decode_record(nearest[1])
        return [record] if isinstance(record, Window) else []

    def withdraw(self, consent_ids: Collection[str]) -> None:
        """Forget what was recorded under these consents; if the file cannot be changed it goes as a whole."""
        marks = ",".join("?" * len(consent_ids))
        with self._lock:
            try:
                self._drop(f"consent IN ({marks})", tuple(consent_ids))
            except sqlite3.DatabaseError:
                self._remove()

    def _drop(self, condition: str, values: tuple[object, ...]) -> int:
        """Delete rows; returns how many those were."""
        if self._db is None:
            return 0
        gone = self._db.execute(f"DELETE FROM shelf WHERE {condition} RETURNING size", values).fetchall()  # noqa: S608
        self._bytes -= sum(size for (size,) in gone)
        return len(gone)

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None


def empty(folder: Path, consent_ids: Collection[str]) -> None:
    """Forget what an agent's data folder holds under these consents, whether or not the agent runs."""
    path = folder / SHELF_FILE
    if path.exists():
        shelf = Shelf(path)
        shelf.withdraw(consent_ids)
        shelf.close()


@contextmanager
def _tolerated(what: str) -> Iterator[None]:
    """What a full or failing disk refuses, and a record that is damaged, are no reason to stop."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError, MalformedMessage) as error:
        log.debug("shelf: %s: %s", what, error)
