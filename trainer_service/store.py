"""The store: everything the trainer remembers, in one SQLite file or in PostgreSQL (`trainer_service.database`).

Whatever is written here is on the disk when the call returns, and writers wait for each other instead of failing
half-way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from sentry_proto.errors import StorageError
from sentry_proto.limits import MAX_GROWTH
from sentry_proto.types import Alert, Heartbeat, Prediction, Record, Stratum, Window
from trainer_service import erasure, migrations, schema, self_reports
from trainer_service.copies import copy_database
from trainer_service.database import Database, engine_of, name_of, reading, writing

WEEK_S, MONDAY_S = 604_800, 259_200
"""A week, and from the Monday before the epoch to the epoch."""


def week_of(seconds: float) -> int:
    """The number of a UTC week, Monday to Sunday; week 0 holds the Unix epoch."""
    return int((seconds + MONDAY_S) // WEEK_S)


class Unstorable(StorageError):
    """The database works and refuses what it was given: one row among many, and no reason to try it again."""


@dataclass(frozen=True)
class Arrival:
    """A decoded record and where it came from.

    Attributes:
        agent: the name under which the sender's key is enrolled.
        record: the window or alert; `data` is the same, encoded.
    """

    agent: str
    stream: str
    sequence: int
    record: Record
    data: bytes


class Store:
    """A connection pool to the database; safe to share between threads.

    Attributes:
        on_labels: called after windows have come in for which there was a self-report already, which labelled them.
    """

    def __init__(self, database: Database, copies: Path | None = None) -> None:
        """Open the store, make it if it is not there, and migrate it if it is of an older version.

        Args:
            database: where it is.
            copies: the folder that gets a copy before a migration; without one, the folder of the file.

        Raises:
            StorageError: if it cannot be opened, or was written by a newer version.
        """
        self.database = database
        self.on_labels: Callable[[], None] = lambda: None
        self._engine = engine_of(database)
        try:
            with self._reworded():
                migrations.prepare(self._engine, database, lambda revision: self._copy(copies, revision))
        except BaseException:
            self.close()
            raise

    @property
    def shared(self) -> bool:
        """Whether other processes may write to the same database."""
        return isinstance(self.database, str)

    def _copy(self, folder: Path | None, revision: str) -> Path:
        if isinstance(self.database, Path):
            folder = folder or self.database.parent
        if folder is None:
            raise StorageError(f"{name_of(self.database)} is of an older version: `sentry-trainer serve` migrates it")
        return copy_database(self.database, folder / f"before-migration-from-{revision}.{int(time.time())}.copy")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database."""
        with self._reworded(), reading(self._engine) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, durable when the block ends and undone if it raises."""
        with self._reworded(), writing(self._engine) as connection:
            yield connection

    @contextmanager
    def _reworded(self) -> Iterator[None]:
        try:
            yield
        except (DataError, IntegrityError, OverflowError) as error:
            raise Unstorable(f"the database {name_of(self.database)} does not take this: {error}") from error
        except DBAPIError as error:
            raise StorageError(f"the database {name_of(self.database)} failed: {error.orig}") from error

    def ingest(self, arrivals: Sequence[Arrival], now: float) -> list[str | None]:
        """Store a batch in one transaction; returns for each why it was refused, or None.

        A record that is stored already is not refused and changes nothing.
        """
        with self.write() as connection:
            barred = erasure.refused(connection, {_whom(arrival.record) for arrival in arrivals})
            refused = [barred.get(_whom(arrival.record)) or _put(connection, arrival, now) for arrival in arrivals]
            windows = [arrival.record.window_id for arrival in arrivals if isinstance(arrival.record, Window)]
            labelled = self_reports.label_windows(connection, windows, now)
        if labelled:
            self.on_labels()
        return refused

    def keep_heartbeats(self, beats: Iterable[tuple[str, Heartbeat, float]]) -> None:
        """Remember agents' last heartbeats (name, heartbeat, time of arrival) and their counts of scored windows."""
        told = list(beats)
        if not told:
            return
        named = {beat.participant for _, beat, _ in told} | {c.participant for _, beat, _ in told for c in beat.counts}
        with self.write() as connection:
            barred = erasure.refused(connection, named - {""})
            beats = [(name, _without(beat, barred), seen) for name, beat, seen in told]
            rows = [
                {"name": name, "last_seen": seen, "heartbeat": {k: v for k, v in vars(beat).items() if k != "counts"}}
                for name, beat, seen in beats
            ]
            connection.execute(_KEEP_HEARTBEAT, rows)
            _keep_counts(connection, beats)

    def last_heartbeats(self) -> dict[str, tuple[Mapping[str, Any], float]]:
        """Per agent the last heartbeat's fields, without counts, and when it came."""
        with self.read() as connection:
            rows = connection.execute(select(schema.agents)).all()
        return {row.name: (row.heartbeat, row.last_seen) for row in rows}

    def scored_with(self, version: int) -> dict[str, int]:
        """Per agent the windows that it has scored with a model version, by the task with the most."""
        table = schema.scored_counts.c
        columns = (table.agent, table.task, func.sum(table.windows).label("windows"))
        query = select(*columns).where(table.model_version == version).group_by(table.agent, table.task)
        most: dict[str, int] = {}
        with self.read() as connection:
            for row in connection.execute(query):
                most[row.agent] = max(most.get(row.agent, 0), int(row.windows))
        return most

    def scrub(self) -> None:
        """Leave nothing of what was deleted in SQLite's journal, as far as readers let that happen now."""
        if isinstance(self.database, Path):
            with closing(self._engine.raw_connection()) as raw, closing(raw.cursor()) as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _whom(record: Record) -> str:
    return record.features.participant if isinstance(record, Window) else record.participant


def _put(connection: Connection, arrival: Arrival, now: float) -> str | None:
    if isinstance(arrival.record, Window):
        return _put_window(connection, arrival, arrival.record, now)
    return _put_alert(connection, arrival.agent, arrival.record, now)


REUSED = "another record of this stream has this number: the agent's outbox is an older copy of itself"
"""Why a record is refused that will be taken in a new stream."""

_PUT_WINDOW = insert(schema.windows).on_conflict_do_nothing()
SHARED = ("window_id", "agent", "participant", "session", "start", "model_version", "stratum")
"""Columns of a window that its scores repeat."""


def _put_window(connection: Connection, arrival: Arrival, window: Window, now: float) -> str | None:
    features = window.features
    row = {
        "window_id": window.window_id,
        "agent": arrival.agent,
        "stream": arrival.stream,
        "sequence": arrival.sequence,
        "participant": features.participant,
        "session": features.session,
        "start": features.start,
        "end": features.end,
        "stratum": window.stratum.value,
        "inclusion_probability": window.inclusion_probability,
        "model_version": window.model_version,
        "baseline_seconds": features.baseline.seconds,
        "camera_states": features.camera_states,
        "consent_id": window.consent_id,
        "expression": window.expression,
        "predictions": [vars(prediction) for prediction in window.predictions],
        "received": now,
        "record": arrival.data,
    }
    if connection.execute(_PUT_WINDOW, row).rowcount:
        if window.predictions:
            connection.execute(schema.scores.insert(), [_score(row, window, one) for one in window.predictions])
        return None
    table = schema.windows.c
    columns = (table.agent, table.stream, table.sequence, table.record)
    held = connection.execute(select(*columns).where(table.window_id == window.window_id)).first()
    if held is None:
        return REUSED
    same_number = (held.stream, held.sequence) == (arrival.stream, arrival.sequence)
    if held.agent == arrival.agent and (same_number or held.record == arrival.data):
        return None
    return "another record already has this window id"


def _score(row: Mapping[str, Any], window: Window, said: Prediction) -> dict[str, Any]:
    """What one head said, beside those columns of the window by which it is counted."""
    drawn = window.stratum is Stratum.AUDIT and window.audit_probability > 0
    return {
        **{name: row[name] for name in SHARED},
        "task": said.task,
        "draw": window.audit_probability if drawn else None,
        "probabilities": said.personal or said.probabilities,
        "entropy": said.entropy,
        "alerting": said.alerting,
        "generic_alerting": said.generic_alerting if said.personal else None,
    }


def _put_alert(connection: Connection, agent: str, alert: Alert, now: float) -> str | None:
    statement = insert(schema.alerts)
    same_agent = schema.alerts.c.agent == agent
    statement = statement.on_conflict_do_update(
        index_elements=["alert_id"],
        set_={"end": func.coalesce(statement.excluded.end, schema.alerts.c.end)},
        where=same_agent,
    )
    if connection.execute(statement, {**vars(alert), "agent": agent, "received": now}).rowcount:
        return None
    return "another agent's alert already has this id"


def _upsert(table: Table, update: Callable[[Insert], Mapping[str, ColumnElement[Any]]]) -> Insert:
    """Insert rows, or change those whose primary key is there."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_=dict(update(statement)))


_KEEP_HEARTBEAT = _upsert(
    schema.agents, lambda new: {"last_seen": new.excluded.last_seen, "heartbeat": new.excluded.heartbeat}
)
_KEEP_COUNTS = _upsert(schema.scored_counts, lambda new: {"windows": new.excluded.windows})
_ADD_TO_WEEK = _upsert(
    schema.weekly_counts, lambda new: {"windows": schema.weekly_counts.c.windows + new.excluded.windows}
)
COUNTED = ("agent", "stream", "model_version", "participant", "task", "alerting")


def _without(beat: Heartbeat, barred: Mapping[str, str]) -> Heartbeat:
    """A heartbeat that says nothing of these participants."""
    if not barred:
        return beat
    counts = tuple(count for count in beat.counts if count.participant not in barred)
    beat = replace(beat, counts=counts)
    return replace(beat, participant="", session="") if beat.participant in barred else beat


def _keep_counts(connection: Connection, beats: Iterable[tuple[str, Heartbeat, float]]) -> None:
    """Write the totals that have grown, and what they grew by to the week in which that was heard."""
    told = [
        ({**vars(count), "agent": name, "stream": beat.stream}, week_of(seen))
        for name, beat, seen in beats
        for count in beat.counts
    ]
    if not told:
        return
    table = schema.scored_counts.c
    known: dict[tuple[Any, ...], int] = {
        tuple(row[:-1]): row.windows
        for row in connection.execute(
            select(*(table[name] for name in COUNTED), table.windows).where(
                table.agent.in_({row["agent"] for row, _ in told})
            )
        )
    }
    grown, weekly = [], []
    for row, week in told:
        before = known.get(tuple(row[name] for name in COUNTED), 0)
        if row["windows"] > before:
            grown.append(row)
            weekly.append({**row, "windows": min(row["windows"] - before, MAX_GROWTH), "week": week})
    if grown:
        connection.execute(_KEEP_COUNTS, grown)
        connection.execute(_ADD_TO_WEEK, [{k: v for k, v in row.items() if k != "stream"} for row in weekly])
