"""Everything that names a participant, counted, handed over and erased.

    windows, scores, alerts, labels, self-reports, remarks, counts of scored windows, side of the holdout, withdrawal,
    link
                                       deleted
    audit log, last heartbeats, metrics of decisions and models
                                       kept without the name
    published models                   kept; which of them learned from the person is told

What remains of the person is a hash of the pseudonym: what an agent still has in its spool, and the counts that it goes
on reporting, are refused by it. Whoever has the database can try pseudonyms on it, so it is no secret; and a person who
comes back gets a new pseudonym.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, update

from sentry_proto.errors import InputError
from trainer_service import registry, schema

Json = dict[str, Any]

ERASED = "(erased)"
NAMING: tuple[Table, ...] = (
    schema.labels, schema.remarks, schema.scores, schema.windows, schema.alerts, schema.self_reports,
    schema.scored_counts, schema.weekly_counts, schema.people, schema.withdrawals, schema.links,
)  # fmt: skip
"""Tables whose rows belong to one participant, in the order that foreign keys ask for."""


def counts(connection: Connection, participant: str) -> dict[str, int]:
    """How many rows of each kind name the participant."""
    return {
        table.name: connection.scalar(
            select(func.count()).select_from(table).where(table.c.participant == participant)
        ) or 0
        for table in NAMING
    }  # fmt: skip


def affected(connection: Connection, participant: str) -> list[Json]:
    """The model versions that know the participant, newest first, each with its status and why.

    A version has learned from (or, on the holdout's side, was judged with) everybody who had a label by then; it passes
    that on to those that start from it. Labels that retention has removed since are not known here any more.
    """
    label, model = schema.labels.c, schema.models.c
    firsts = select(label.task, func.min(label.row)).where(label.participant == participant).group_by(label.task)
    first: dict[str, int] = {row[0]: row[1] for row in connection.execute(firsts)}
    partition = connection.scalar(select(schema.people.c.partition).where(schema.people.c.participant == participant))
    how = "judged with" if partition == "holdout" else "learned from"
    why: dict[int, str] = {}
    for row in connection.execute(select(model.version, model.parent, model.status).order_by(model.version)):
        tasks = _learned_of(connection, row.version, first)
        if tasks:
            why[row.version] = f"{how} this person: {', '.join(tasks)}"
        elif row.parent in why:
            why[row.version] = f"starts from version {row.parent}"
    statuses = {row.version: row.status for row in connection.execute(select(model.version, model.status))}
    return [{"version": number, "status": statuses[number], "why": why[number]} for number in sorted(why, reverse=True)]


def _learned_of(connection: Connection, version: int, first: Mapping[str, int]) -> list[str]:
    table = schema.decisions.c
    known = select(table.task, table.last_label).where(
        table.version == version, table.task.in_(registry.learned_in(connection, version))
    )
    return [row.task for row in connection.execute(known) if row.task in first and row.last_label >= first[row.task]]


def erase(connection: Connection, participant: str, now: float) -> Json:
    """Erase a participant; returns what was deleted and the versions that know of them.

    Raises:
        InputError: if nothing names such a participant.
    """
    before = counts(connection, participant)
    if not any(before.values()):
        raise InputError(f"nothing here is of a participant {participant[:40]!r}")
    done = {"counts": before, "versions": affected(connection, participant)}
    for table in NAMING:
        connection.execute(delete(table).where(table.c.participant == participant))
    named = schema.audit.c.participant == participant
    connection.execute(update(schema.audit).where(named).values(participant=ERASED, details=""))
    _strip(connection, schema.agents, "name", "heartbeat", participant)
    _strip(connection, schema.decisions, "row", "metrics", participant)
    _strip(connection, schema.models, "version", "metrics", participant)
    row = {"digest": digest(participant), "time": now, **done}
    connection.execute(schema.erasures.insert(), row)
    return done


def _strip(connection: Connection, table: Table, key: str, column: str, participant: str) -> None:
    for found, value in connection.execute(select(table.c[key], table.c[column])).all():
        left = without(value, participant)
        if table is schema.agents and left != value:
            left["session"] = ""
        if left != value:
            connection.execute(update(table).where(table.c[key] == found).values({column: left}))


def without(value: Any, participant: str) -> Any:
    """JSON values without those that are the name, and without what stands under it."""
    if isinstance(value, Mapping):
        return {key: without(part, participant) for key, part in value.items() if key != participant}
    if isinstance(value, list):
        return [without(part, participant) for part in value if part != participant]
    return "" if value == participant else value


def refused(connection: Connection, participants: Iterable[str]) -> dict[str, str]:
    """Of these participants those of whom nothing may be taken in, and why."""
    digests = {digest(name): name for name in participants}
    if not digests:
        return {}
    gone, withdrawn = schema.erasures.c, schema.withdrawals.c
    erased = connection.scalars(select(gone.digest).where(gone.digest.in_(digests)))
    words = {digests[found]: "this participant was erased; a person who comes back gets a new name" for found in erased}
    noted = connection.scalars(select(withdrawn.participant).where(withdrawn.participant.in_(digests.values())))
    return words | dict.fromkeys(noted, "this participant has withdrawn the consent")


def digest(participant: str) -> str:
    """What is kept of an erased pseudonym."""
    return hashlib.sha256(f"sentry erased {participant}".encode()).hexdigest()


def latest(connection: Connection, limit: int) -> list[Json]:
    """The newest erasures: when, how much, and which versions knew the person."""
    table = schema.erasures.c
    chosen = select(table.time, table.counts, table.versions).order_by(table.row.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(chosen)]
