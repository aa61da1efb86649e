"""Labels: checked, stored once, and with the first of a person's labels the side of the holdout they stand on."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.sqlite import insert

from sentry_proto import limits
from sentry_proto.errors import InputError, LabelFileError
from sentry_proto.tasks import Task
from sentry_proto.types import LABEL_SOURCES, Label
from trainer_service import schema
from trainer_service.partition import partition_of

REQUIRED = ("window_id", "task", "value", "rater")
OPTIONAL = ("source", "confidence", "label_id")


def check(label: Label, tasks: Mapping[str, Task]) -> None:
    """Check all of a label but its window.

    Raises:
        InputError: with what is wrong and what would be right.
    """
    for name in ("label_id", "window_id", "rater"):
        text: str = getattr(label, name)
        if not text or len(text) > limits.MAX_TEXT or not text.isprintable():
            raise InputError(f"{name} must be 1 to {limits.MAX_TEXT} printable characters, not {text[:40]!r}")
    if label.task not in tasks:
        raise InputError(f"task {label.task[:40]!r} is not configured; known are {', '.join(tasks)}")
    tasks[label.task].allowed(label.value)
    if label.source not in LABEL_SOURCES:
        raise InputError(f"source must be one of {', '.join(LABEL_SOURCES)}, not {label.source[:40]!r}")
    if not 0 <= label.confidence <= 1:
        raise InputError(f"confidence must be between 0 and 1, not {label.confidence}")
    if not math.isfinite(label.created):
        raise InputError("created must be a time in Unix seconds")


def put(connection: Connection, label: Label, now: float) -> bool:
    """Store a checked label; False if its `label_id` is known already, which changes nothing.

    Raises:
        InputError: if there is no such window.
    """
    windows = schema.windows.c
    participant = connection.scalar(select(windows.participant).where(windows.window_id == label.window_id))
    if participant is None:
        raise InputError(f"there is no window {label.window_id[:40]!r}")
    row = {**vars(label), "received": now}
    if not connection.execute(insert(schema.labels).on_conflict_do_nothing(index_elements=["label_id"]), row).rowcount:
        return False
    _enter(connection, participant)
    return True


def withdraw(connection: Connection, label_id: str, now: float) -> bool:
    """Take a label back; False if there is none, or it was taken back before."""
    table = schema.labels
    standing = (table.c.label_id == label_id) & table.c.withdrawn.is_(None)
    return connection.execute(update(table).where(standing).values(withdrawn=now)).rowcount > 0


@dataclass(frozen=True)
class News:
    """What has happened to the labels of a task since they were last learned from.

    Attributes:
        count: labels that came (a correction is one) and still stand, and known ones that were withdrawn.
        newest: row of the newest label; that of the last run if none came.
    """

    count: int
    newest: int


def news(connection: Connection, task: str, seen: int, since: float) -> News:
    """What a run would learn that the last one did not know.

    Args:
        connection: to the store.
        task: its name.
        seen: row of the newest label that the last run knew.
        since: Unix seconds of that run.
    """
    table = schema.labels.c
    came = (table.task == task) & (table.row > seen) & table.withdrawn.is_(None)
    count, newest = connection.execute(select(func.count(), func.max(table.row)).where(came)).one()
    went = (table.task == task) & (table.row <= seen) & (table.withdrawn >= since)
    gone = connection.scalar(select(func.count()).select_from(schema.labels).where(went)) or 0
    return News(count + gone, newest or seen)


def put_file(connection: Connection, text: str, tasks: Mapping[str, Task], now: float) -> tuple[int, int]:
    """Store all labels of a CSV file; returns how many were new and how many were known.

    Raises:
        LabelFileError: naming the first bad row; undo the transaction then, so that nothing of the file is stored.
    """
    fresh = known = 0
    for number, label in _parse(text, now):
        try:
            check(label, tasks)
            stored = put(connection, label, now)
        except InputError as error:
            raise LabelFileError(f"row {number}: {error}") from error
        fresh, known = fresh + stored, known + (not stored)
    return fresh, known


def _enter(connection: Connection, participant: str) -> None:
    """Give a person that has no number yet the next one, and with it a partition."""
    people = schema.people
    if connection.scalar(select(people.c.number).where(people.c.participant == participant)) is not None:
        return
    number = 1 + (connection.scalar(select(func.max(people.c.number))) or 0)
    row = {"participant": participant, "number": number, "partition": partition_of(number)}
    connection.execute(people.insert(), row)


def _parse(text: str, now: float) -> Iterator[tuple[int, Label]]:
    """Row numbers (the header is row 1), and labels that are not checked yet."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        _check_header(reader.fieldnames or ())
        for row in reader:
            number = reader.line_num  # counts blank lines too
            if None in row or None in row.values():
                raise LabelFileError(f"row {number}: it must have {len(reader.fieldnames or ())} fields")
            yield number, _label(number, row, now)
    except csv.Error as error:
        raise LabelFileError(f"row {reader.reader.line_num}: {error}") from error


def _check_header(header: Iterable[str]) -> None:
    names = list(header)
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise LabelFileError(f"row 1: the header must name {', '.join(REQUIRED)}; missing: {', '.join(missing)}")
    unknown = [name for name in names if name not in REQUIRED + OPTIONAL]
    if unknown or len(set(names)) < len(names):
        raise LabelFileError(f"row 1: unknown or repeated columns: {', '.join(unknown or names)}")


def _label(number: int, row: Mapping[str, str], now: float) -> Label:
    fields = {name: value.strip() for name, value in row.items()}
    try:
        confidence = float(fields.get("confidence") or 1)
    except ValueError as error:
        raise LabelFileError(f"row {number}: confidence {fields['confidence']!r} is no number") from error
    said = [fields[name] for name in REQUIRED]
    return Label(
        label_id=fields.get("label_id") or _id_of(said),
        window_id=fields["window_id"],
        task=fields["task"],
        value=fields["value"],
        source=fields.get("source") or "import",
        rater=fields["rater"],
        confidence=confidence,
        created=now,
    )


def _id_of(said: list[str]) -> str:
    """An id made of what the label says, so that importing a file twice stores it once."""
    return hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Opinion:
    """The newest label of one rater on one window and task, as the learner uses it.

    Attributes:
        weight: the rater's confidence, divided by the number of raters of this window.
        partition: of the participant.
        start: Unix seconds at which the window starts.
    """

    window_id: str
    participant: str
    session: str
    partition: str
    start: float
    value: str
    weight: float
    rater: str


def opinions(connection: Connection, task: str) -> list[Opinion]:
    """All that raters hold of one task now; in the order of the windows' first labels.

    A window from before its person's baseline is left out: no head scores such a window, so none learns from one.
    """
    label, window, person = schema.labels.c, schema.windows.c, schema.people.c
    columns = (
        label.window_id,
        label.rater,
        label.value,
        label.confidence,
        window.participant,
        window.session,
        window.start,
        person.partition,
    )
    joined = schema.labels.join(schema.windows, label.window_id == window.window_id).join(
        schema.people, window.participant == person.participant
    )
    standing = (label.task == task) & label.withdrawn.is_(None) & (window.baseline_seconds > 0)
    rows = connection.execute(select(*columns).select_from(joined).where(standing).order_by(label.row)).all()
    newest = {(row.window_id, row.rater): row for row in rows}
    raters: dict[str, int] = {}
    for window_id, _ in newest:
        raters[window_id] = raters.get(window_id, 0) + 1
    return [
        Opinion(
            row.window_id,
            row.participant,
            row.session,
            row.partition,
            row.start,
            row.value,
            row.confidence / raters[window_id],
            row.rater,
        )
        for (window_id, _), row in newest.items()
    ]
