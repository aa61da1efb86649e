"""Labels: checked, stored once, and with the first of a person's labels the side of the holdout they stand on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from sentry_proto import limits
from sentry_proto.errors import InputError
from sentry_proto.tasks import FALSE_ALARM, TRUE_ALARM, Task
from sentry_proto.types import LABEL_SOURCES, Label
from trainer_service import schema
from trainer_service.partition import partition_of
from training.active_learning.answer_files import read_answers


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
    """Store a checked label; False if it is known already, which changes nothing.

    It is if its `label_id` is, or if the rater's newest standing label says the same: two tabs, or two files, are no
    second opinion.

    Raises:
        InputError: if there is no such window, or the id is that of a label that says something else.
    """
    windows = schema.windows.c
    participant = connection.scalar(select(windows.participant).where(windows.window_id == label.window_id))
    if participant is None:
        raise InputError(f"there is no window {label.window_id[:40]!r}")
    if _newest(connection, label) == (label.value, label.source, label.confidence):
        return False
    row = {**vars(label), "participant": participant, "received": now}
    if not connection.execute(insert(schema.labels).on_conflict_do_nothing(index_elements=["label_id"]), row).rowcount:
        _check_same(connection, label)
        return False
    _enter(connection, participant)
    return True


def _newest(connection: Connection, label: Label) -> tuple[str, str, float] | None:
    """What this rater has said last of this window and task, and how."""
    table = schema.labels.c
    same = (table.window_id == label.window_id, table.task == label.task, table.rater == label.rater)
    chosen = select(table.value, table.source, table.confidence).where(*same, table.withdrawn.is_(None))
    found = connection.execute(chosen.order_by(table.row.desc()).limit(1)).first()
    return (found.value, found.source, found.confidence) if found else None


def _check_same(connection: Connection, label: Label) -> None:
    """That what is known under a label's id says what it says: else whoever sent it would take it as stored."""
    names = ("window_id", "task", "value", "rater")
    chosen = select(*(schema.labels.c[name] for name in names)).where(schema.labels.c.label_id == label.label_id)
    known = connection.execute(chosen).one()
    if known != tuple(getattr(label, name) for name in names):
        said = f"{known.task}: {known.value}, by {known.rater}"
        raise InputError(f"label {label.label_id[:40]!r} is known and says something else ({said}); give it a new id")


def set_aside(connection: Connection, window_id: str, task: str, rater: str, now: float) -> None:
    """Withdraw what a rater has said of a window, who says now that it cannot be told."""
    said = _of_rater(window_id, task, rater) & schema.labels.c.withdrawn.is_(None)
    connection.execute(update(schema.labels).where(said).values(withdrawn=now))


def stand_again(connection: Connection, window_id: str, task: str, rater: str, since: float) -> None:
    """Let the labels that were set aside at this time stand again, unless the rater has given another since.

    They get new rows, so that whoever reads labels by their rows finds them.
    """
    table, own = schema.labels, _of_rater(window_id, task, rater)
    if connection.scalar(select(table.c.row).where(own, table.c.withdrawn.is_(None)).limit(1)) is not None:
        return
    for found in connection.execute(select(table).where(own, table.c.withdrawn == since).order_by(table.c.row)).all():
        connection.execute(table.delete().where(table.c.row == found.row))
        again = {name: value for name, value in found._mapping.items() if name != "row"}
        connection.execute(table.insert(), {**again, "withdrawn": None})


def _of_rater(window_id: str, task: str, rater: str) -> ColumnElement[bool]:
    table = schema.labels.c
    return and_(table.window_id == window_id, table.task == task, table.rater == rater)


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


class Imported(NamedTuple):
    """What a file of labels held: new ones, ones that were known already, and rows without an answer."""

    stored: int
    known: int
    unanswered: int


def put_file(connection: Connection, text: str, tasks: Mapping[str, Task], now: float, rater: str = "") -> Imported:
    """Store all labels of a file in any format of `training.active_learning.answer_files`.

    Raises:
        LabelFileError: naming the bad rows; undo the transaction then, so that nothing of the file is stored.
    """
    found = read_answers(text, now, rater)
    stored = known = 0
    for number, answer in found.answers:
        label = replace(answer, value=_as_configured(answer.value, tasks.get(answer.task)))
        try:
            check(label, tasks)
            fresh = put(connection, label, now)
        except InputError as error:
            found.wrong.setdefault(number, str(error))
        else:
            stored, known = stored + fresh, known + (not fresh)
    found.raise_if_wrong()
    return Imported(stored, known, found.unanswered)


def _as_configured(value: str, task: Task | None) -> str:
    """The task's own spelling of what a person may have capitalised."""
    words = (*task.classes, TRUE_ALARM, FALSE_ALARM) if task else ()
    return value if value in words else next((word for word in words if word.lower() == value.lower()), value)


def _enter(connection: Connection, participant: str) -> None:
    """Give a person that has no number yet the next one, and with it a partition."""
    people = schema.people
    if connection.scalar(select(people.c.number).where(people.c.participant == participant)) is not None:
        return
    number = 1 + (connection.scalar(select(func.max(people.c.number))) or 0)
    row = {"participant": participant, "number": number, "partition": partition_of(number)}
    connection.execute(people.insert(), row)


@dataclass(frozen=True, slots=True)
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
