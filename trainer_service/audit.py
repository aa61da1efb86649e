"""The audit log: who did what to what, and when, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from trainer_service import schema
from trainer_service.roles import Actor


@dataclass(frozen=True)
class Entry:
    """One change.

    Attributes:
        actor: who made it.
        action: the method of the control API.
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


def listed(connection: Connection, where: Sequence[ColumnElement[bool]], limit: int) -> list[dict[str, Any]]:
    """The newest entries that fulfil all conditions, newest first."""
    chosen = select(schema.audit).where(*where).order_by(schema.audit.c.row.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(chosen)]
