"""Remarks: what a rater says that is no label.

    unsure         about a window and task: it was looked at, and cannot be told; the words may say why. It takes the
                   place of what the same rater said before: that label is withdrawn until the remark is
    missed event   at a moment of a person for which no alert came

Neither is learned from, nor counted in a rate. Whoever reports a missed event looked for it, so it says nothing of how
often events are missed: that is estimated from windows drawn at random (`trainer_service.rates`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from sentry_proto import limits
from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from trainer_service import labels, schema

UNSURE = "unsure"
MISSED = "missed event"
KINDS = (UNSURE, MISSED)


@dataclass(frozen=True)
class Remark:
    """One remark.

    Attributes:
        remark_id: made by the client, so that a repeated submission is stored once.
        window_id: for `unsure` the window; for a missed event None.
        participant, time: whom it is about, and when that was (Unix seconds).
        words: the rater's own, may be empty.
    """

    remark_id: str
    kind: str
    task: str
    participant: str
    time: float
    rater: str
    created: float
    window_id: str | None = None
    words: str = ""


def check(remark: Remark, tasks: Mapping[str, Task]) -> None:
    """Check all of a remark but its window.

    Raises:
        InputError: with what is wrong and what would be right.
    """
    if remark.kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, not {remark.kind[:40]!r}")
    if remark.task not in tasks:
        raise InputError(f"task {remark.task[:40]!r} is not configured; known are {', '.join(tasks)}")
    if remark.kind == MISSED and tasks[remark.task].alert is None:
        raise InputError(f"task {remark.task[:40]!r} raises no alerts")
    for name in ("remark_id", "participant", "rater"):
        text: str = getattr(remark, name)
        if not text.strip() or len(text) > limits.MAX_TEXT or not text.isprintable():
            raise InputError(f"{name} must be 1 to {limits.MAX_TEXT} printable characters, not {text[:40]!r}")
    if len(remark.words) > limits.MAX_WORDS:
        raise InputError(f"words must be at most {limits.MAX_WORDS} characters")
    if not math.isfinite(remark.time) or not math.isfinite(remark.created):
        raise InputError("time and created must be times in Unix seconds")


def about(connection: Connection, window_id: str) -> tuple[str, float]:
    """Whom a window shows, and when.

    Raises:
        InputError: if there is no such window.
    """
    table = schema.windows.c
    found = connection.execute(select(table.participant, table.start).where(table.window_id == window_id)).first()
    if found is None:
        raise InputError(f"there is no window {window_id[:40]!r}")
    return found.participant, found.start


def put(connection: Connection, remark: Remark, now: float) -> bool:
    """Store a checked remark; False if it is known already, which changes nothing.

    Raises:
        InputError: if its id is that of a remark that says something else.
    """
    statement = insert(schema.remarks).on_conflict_do_nothing(index_elements=["remark_id"])
    if not connection.execute(statement, {**vars(remark), "received": now}).rowcount:
        _check_same(connection, remark)
        return False
    if remark.kind == UNSURE and remark.window_id is not None:
        labels.set_aside(connection, remark.window_id, remark.task, remark.rater, now)
    return True


def _check_same(connection: Connection, remark: Remark) -> None:
    names = ("kind", "task", "participant", "window_id", "rater", "words")
    chosen = select(*(schema.remarks.c[name] for name in names)).where(schema.remarks.c.remark_id == remark.remark_id)
    if connection.execute(chosen).one() != tuple(getattr(remark, name) for name in names):
        raise InputError(f"remark {remark.remark_id[:40]!r} is known and says something else; give it a new id")


def withdraw(connection: Connection, remark_id: str, now: float) -> bool:
    """Take a remark back; False if there is none, or it was taken back before."""
    table = schema.remarks
    standing = (table.c.remark_id == remark_id) & table.c.withdrawn.is_(None)
    found = connection.execute(select(table).where(standing)).first()
    if found is None:
        return False
    connection.execute(update(table).where(standing).values(withdrawn=now))
    if found.kind == UNSURE and found.window_id is not None:
        labels.stand_again(connection, found.window_id, found.task, found.rater, found.received)
    return True


def listed(connection: Connection, where: Sequence[ColumnElement[bool]], limit: int) -> list[dict[str, Any]]:
    """Standing remarks that fulfil all conditions, newest first."""
    table = schema.remarks.c
    columns = [column for column in table if column.name not in ("received", "withdrawn")]
    chosen = select(*columns).where(table.withdrawn.is_(None), *where).order_by(table.row.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(chosen)]
