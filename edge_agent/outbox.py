"""The outbox: records wait here, on the disk, until the trainer has stored them.

    spool      one row per record: sequence (never reused), rank, consent, size, bytes
    totals     sent, acked, dropped: changed in the transaction that changes the spool, so that
               sent = acked + spooled + dropped holds in every state that the file can be in
    counts     windows ever scored, by model version, participant, task and alert state

The spool is bounded in bytes. When it is full the oldest uncertain windows go first, then audit windows, then alerts,
and each is counted as dropped. A full disk fails writes, deletions too: then a ballast file makes room for acks, and
what cannot be spooled is counted in memory and written down with the next write that succeeds.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sentry_proto.codec import encode_record
from sentry_proto.errors import StorageError
from sentry_proto.limits import MAX_COUNTS
from sentry_proto.types import Record, ScoredCount, Stratum, Window

DEFAULT_QUOTA = 256 << 20
LOG_PAGES = 32
BALLAST_BYTES = 512 << 10
"""The write-ahead log is kept short, so that on a full disk the ballast is room enough to work it off, and for acks."""

OVERHEAD_BYTES = 64
"""Of a row and its page, roughly."""

RANKS = {Stratum.NEIGHBOUR: 0, Stratum.UNCERTAIN: 0, Stratum.AUDIT: 1, Stratum.ALERT: 2}
ALERT_RANK = 2
"""What is dropped last; alert records share it with the windows that raised them."""

VERSION = 1
"""Of the tables below; in the file it is `PRAGMA user_version`."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, rank INTEGER NOT NULL, consent TEXT NOT NULL, size INTEGER NOT NULL,
    record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS spool_by_rank ON spool (rank, sequence);
CREATE TABLE IF NOT EXISTS totals (stream TEXT NOT NULL, sent INTEGER NOT NULL, acked INTEGER NOT NULL,
    dropped INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counts (model_version INTEGER NOT NULL, participant TEXT NOT NULL, task TEXT NOT NULL,
    alerting INTEGER NOT NULL, windows INTEGER NOT NULL, PRIMARY KEY (model_version, participant, task, alerting));
"""


@dataclass(frozen=True)
class Totals:
    """Records of this file ever; `sent = acked + spooled + dropped`."""

    sent: int
    acked: int
    spooled: int
    dropped: int


@dataclass(frozen=True)
class Scored:
    """Under what a window was scored; the key of the counts."""

    model_version: int
    participant: str
    task: str
    alerting: bool


class Outbox:
    """The spool of one agent; safe to share between threads, not between processes.

    Args:
        path: of the SQLite file.
        quota: most bytes of records.

    Attributes:
        stream: 32 hex digits, made with the file, or by `renew`.
        trouble: why records cannot be spooled now; empty when they can.
        last_refusal: the trainer's reason for the last record that it refused.

    Raises:
        StorageError: the file is damaged, cannot be written or is of a newer version.
    """

    def __init__(self, path: Path, quota: int = DEFAULT_QUOTA) -> None:
        self.path = path
        self.trouble = ""
        self.last_refusal = ""
        self._quota = quota
        self._lock = threading.Lock()
        self._ballast = path.with_name("ballast")
        self._lost = 0  # records that were never spooled and are not in the file's totals yet
        self._unwritten: Counter[Scored] = Counter()
        try:
            self._open()
        except sqlite3.OperationalError as error:
            raise StorageError(f"cannot open the outbox {path}: {error}") from error
        except (sqlite3.DatabaseError, TypeError) as error:
            raise StorageError(f"the outbox {path} is damaged ({error}); move it away to start a new one") from error

    def _open(self) -> None:
        self._ballast.unlink(missing_ok=True)  # so that a start on a full disk succeeds
        self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise StorageError(
                f"the outbox {self.path} was written by a newer version of Sentry (its format is {found}, this one "
                f"knows up to {VERSION}): install that version again and let it send what is spooled"
            )
        with self._transaction():
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            if found < VERSION:
                self._db.execute(f"PRAGMA user_version = {VERSION}")
            if self._db.execute("SELECT count(*) FROM totals").fetchone()[0] == 0:
                self._db.execute("INSERT INTO totals VALUES (?, 0, 0, 0)", (uuid.uuid4().hex,))
        self.stream: str = self._db.execute("SELECT stream FROM totals").fetchone()[0]
        self._spooled, self._bytes = self._db.execute(
            f"SELECT count(*), coalesce(sum(size + {OVERHEAD_BYTES}), 0) FROM spool"  # noqa: S608 - our own constant
        ).fetchone()
        self._hold_ballast()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # ---- reading ------------------------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """Where all records of this file are."""
        with self._lock:
            sent, acked, dropped = self._db.execute("SELECT sent, acked, dropped FROM totals").fetchone()
            return Totals(sent + self._lost, acked, self._spooled, dropped + self._lost)

    def counts(self) -> tuple[ScoredCount, ...]:
        """How many windows were ever scored under what; of the newest model versions if these are too many to tell."""
        with self._lock:
            rows = self._db.execute("SELECT model_version, participant, task, alerting, windows FROM counts")
            sums = Counter({Scored(version, who, task, bool(on)): n for version, who, task, on, n in rows})
            sums.update(self._unwritten)
        newest = sorted(sums.items(), key=lambda entry: -entry[0].model_version)[:MAX_COUNTS]
        return tuple(ScoredCount(s.model_version, s.participant, s.task, s.alerting, n) for s, n in newest)

    def pending(self, exclude: Collection[int], limit: int) -> list[tuple[int, bytes]]:
        """The oldest spooled records that are not in `exclude`: sequence and bytes, at most `limit`."""
        with self._lock:
            if self._spooled <= len(exclude) or limit <= 0:
                return []
            return self._db.execute(
                f"SELECT sequence, record FROM spool WHERE sequence NOT IN ({_marks(exclude)}) "  # noqa: S608
                "ORDER BY sequence LIMIT ?",
                (*exclude, limit),
            ).fetchall()

    # ---- writing ------------------------------------------------------------------------------------------------

    def put(self, records: Iterable[Record], scored: Iterable[Scored] = ()) -> None:
        """Spool records and count scored windows, in one transaction.

        Never fails: what a full disk refuses is counted as dropped, and `trouble` says so.
        """
        entries = [_entry(record) for record in records]
        with self._lock:
            self._unwritten.update(scored)
            try:
                self._write(lambda: self._spool(entries))
                self._lost, self.trouble = 0, ""
                self._unwritten.clear()
                self._hold_ballast()
            except StorageError as error:
                self._lost += len(entries)
                self.trouble = str(error)

    def _spool(self, entries: list[tuple[int, str, int, bytes]]) -> tuple[int, int]:
        kept = spilt = 0
        for entry in entries:
            self._db.execute("INSERT INTO spool (rank, consent, size, record) VALUES (?, ?, ?, ?)", entry)
            kept += entry[2] + OVERHEAD_BYTES
        for sequence, size in self._surplus(self._bytes + kept - self._quota):
            self._db.execute("DELETE FROM spool WHERE sequence = ?", (sequence,))
            kept -= size + OVERHEAD_BYTES
            spilt += 1
        self._db.execute(
            "UPDATE totals SET sent = sent + ?, dropped = dropped + ?",
            (len(entries) + self._lost, spilt + self._lost),
        )
        self._db.executemany(
            "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET windows = windows + excluded.windows",
            [(s.model_version, s.participant, s.task, s.alerting, n) for s, n in self._unwritten.items()],
        )
        return len(entries) - spilt, kept

    def _surplus(self, over: int) -> list[tuple[int, int]]:
        """The records, least worthy first, that must go to save `over` bytes."""
        found: list[tuple[int, int]] = []
        if over > 0:
            for sequence, size in self._db.execute("SELECT sequence, size FROM spool ORDER BY rank, sequence"):
                if over <= 0:
                    break
                found.append((sequence, size))
                over -= size + OVERHEAD_BYTES
        return found

    def ack(self, sequences: Collection[int]) -> None:
        """The trainer has stored these; what is no longer spooled is not counted.

        Raises:
            StorageError: the disk is full or fails; the records stay spooled and are sent again, which does no harm.
        """
        self._settle(sequences, "acked")

    def refuse(self, sequence: int, reason: str) -> None:
        """The trainer will never take this one: it counts as dropped.

        Raises:
            StorageError: as `ack`.
        """
        self.last_refusal = reason
        self._settle([sequence], "dropped")

    def renew(self) -> None:
        """Begin a new stream: this file is an older copy of itself, and its numbers were given to other records.

        The counts of scored windows begin anew with it; what the lost copy had counted stands at the trainer.

        Raises:
            StorageError: as `ack`.
        """
        stream = uuid.uuid4().hex

        def change() -> tuple[int, int]:
            self._db.execute("UPDATE totals SET stream = ?", (stream,))
            self._db.execute("DELETE FROM counts")
            return 0, 0

        with self._lock:
            self._write(change)
            self.stream = stream

    def withdraw(self, consent_ids: Collection[str]) -> int:
        """Drop what was recorded under consents that are withdrawn; returns how many records that were.

        Raises:
            StorageError: as `ack`.
        """
        with self._lock:
            marks = _marks(consent_ids)
            rows = self._db.execute(
                f"SELECT sequence FROM spool WHERE consent IN ({marks})",  # noqa: S608 - question marks only
                tuple(consent_ids),
            ).fetchall()
        if rows:
            self._settle([row[0] for row in rows], "dropped")
        return len(rows)

    def _settle(self, sequences: Collection[int], total: str) -> None:
        with self._lock:
            try:
                self._write(lambda: self._remove(sequences, total))
            except StorageError:
                self._ballast.unlink(missing_ok=True)
                with suppress(sqlite3.OperationalError):
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._write(lambda: self._remove(sequences, total))

    def _remove(self, sequences: Collection[int], total: str) -> tuple[int, int]:
        freed = gone = 0
        for sequence in sequences:
            row = self._db.execute("DELETE FROM spool WHERE sequence = ? RETURNING size", (sequence,)).fetchone()
            if row is not None:
                gone += 1
                freed += row[0] + OVERHEAD_BYTES
        self._db.execute(f"UPDATE totals SET {total} = {total} + ?", (gone,))  # noqa: S608 - acked or dropped
        return -gone, -freed

    def _write(self, change: Callable[[], tuple[int, int]]) -> None:
        """Run a change of the spool in a transaction; it returns by how many records and bytes the spool grew."""
        try:
            with self._transaction():
                grown, kept = change()
        except sqlite3.DatabaseError as error:
            raise StorageError(f"records cannot be spooled: {error}") from error
        self._spooled += grown
        self._bytes += kept

    def _hold_ballast(self) -> None:
        """Keep room for acks on a disk that will be full one day."""
        try:
            if not self._ballast.exists():
                self._ballast.write_bytes(bytes(BALLAST_BYTES))
        except OSError:
            self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; everything is on the disk already."""
        with self._lock:
            self._db.close()


def _entry(record: Record) -> tuple[int, str, int, bytes]:
    data = encode_record(record)
    rank = RANKS[record.stratum] if isinstance(record, Window) else ALERT_RANK
    return rank, record.consent_id, len(data), data


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))
