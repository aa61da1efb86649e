"""The audit log: who did what to what, and when, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from trainer_service import schema
from trainer_service.roles import Actor, Role

BY_ITSELF = Actor("the trainer", Role.KEY)
"""Who does what no person asked for at that moment."""

ONE_READING_S = 3_600.0
"""Pages of the same answer that are asked for within this time are one reading."""


@dataclass(frozen=True)
class Entry:
    """One change.

    Attributes:
        actor: who made it.
        action: the method of the control API, or the command.
        target: what was changed: an id, a version, a name; never a participant's, which has a field of its own.
        participant: whom it is about, or None.
        details: what a reader needs to know beside that; no free text of others.
    """

    time: float
    actor: Actor
    action: str
    target: str
    participant: str | None = None
    details: str = ""


def put(connection: Connection, entry: Entry) -> None:
    """Write it down."""
    row = {**vars(entry), "actor": entry.actor.name, "role": entry.actor.role.word}
    connection.execute(schema.audit.insert(), row)


def put_reading(connection: Connection, entry: Entry) -> None:
    """Write down that somebody read what is personal: once for all its pages, whichever of them is asked for first."""
    table = schema.audit.c
    same = (
        table.actor == entry.actor.name,
        table.action == entry.action,
        table.participant == entry.participant if entry.participant is not None else table.participant.is_(None),
        table.time > entry.time - ONE_READING_S,
    )
    if connection.execute(select(table.row).where(*same).limit(1)).first() is None:
        put(connection, entry)


def listed(connection: Connection, where: Sequence[ColumnElement[bool]], limit: int) -> list[dict[str, Any]]:
    """The newest entries that fulfil all conditions, newest first."""
    chosen = select(schema.audit).where(*where).order_by(schema.audit.c.row.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(chosen)]
