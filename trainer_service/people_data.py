"""What the trainer holds of people: an overview of all, all of one, and one's rows for a file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, func, select

from sentry_proto.errors import InputError
from trainer_service import erasure, schema, views

Json = dict[str, Any]

KINDS = {
    table.name: table
    for table in (
        schema.windows, schema.alerts, schema.labels, schema.self_reports, schema.remarks, schema.scored_counts,
        schema.audit,
    )
}  # fmt: skip
MOST_WITH_FEATURES = 100
"""Rows of windows in one answer; each is about 30 kB, and at most 70 kB with stills."""


def overview(connection: Connection) -> list[Json]:
    """Everybody of whom there is anything, by name, with how much and whether the consent was withdrawn."""
    counted = {table.name: _by_participant(connection, table) for table in erasure.NAMING}
    partitions = {row.participant: row.partition for row in connection.execute(select(schema.people))}
    withdrawn = {row.participant: row.time for row in connection.execute(select(schema.withdrawals))}
    linked = {row.participant: row.created for row in connection.execute(select(schema.links))}
    shown = ("windows", "labels", "self_reports", "remarks", "alerts")
    return [
        {
            "participant": name,
            "partition": partitions.get(name),
            "withdrawn": withdrawn.get(name),
            "linked": linked.get(name),
            **{kind: counted[kind].get(name, 0) for kind in shown},
        }
        for name in sorted(set().union(*counted.values()))
    ]


def _by_participant(connection: Connection, table: Table) -> dict[str, int]:
    column = table.c.participant
    chosen = select(column, func.count().label("rows")).group_by(column)
    return {row.participant: row.rows for row in connection.execute(chosen)}


def person(connection: Connection, participant: str) -> Json:
    """All that is known about what is held of one person.

    Raises:
        InputError: if there is nothing.
    """
    counts = erasure.counts(connection, participant)
    if not any(counts.values()):
        raise InputError(f"nothing here is of a participant {participant[:40]!r}")
    window = schema.windows.c
    consents = (
        select(window.consent_id, func.count().label("windows"), func.min(window.start).label("first"),
               func.max(window.end).label("last"))
        .where(window.participant == participant).group_by(window.consent_id).order_by(func.min(window.start))
    )  # fmt: skip
    noted = select(schema.withdrawals.c.time).where(schema.withdrawals.c.participant == participant)
    linked = select(schema.links.c.created).where(schema.links.c.participant == participant)
    return {
        "participant": participant,
        "withdrawn": connection.scalar(noted),
        "linked": connection.scalar(linked),
        "counts": counts,
        "consents": [dict(row._mapping) for row in connection.execute(consents)],
        "versions": erasure.affected(connection, participant),
    }


def rows(connection: Connection, participant: str, kind: str, after: int, limit: int) -> Json:
    """Rows of one kind (of `KINDS`) that are of a participant, oldest first: `{rows, after}`, null at the end."""
    table = KINDS[kind]
    chosen = select(table).where(table.c.participant == participant)
    if "row" not in table.c:
        return {"rows": [dict(row._mapping) for row in connection.execute(chosen)], "after": None}
    some = min(limit, MOST_WITH_FEATURES) if table is schema.windows else limit
    page = [
        dict(row._mapping)
        for row in connection.execute(chosen.where(table.c.row > after).order_by(table.c.row).limit(some))
    ]
    last = page[-1]["row"] if len(page) == some else None
    return {"rows": [_opened(row) if "record" in row else row for row in page], "after": last}


def _opened(row: Json) -> Json:
    return {**{k: v for k, v in row.items() if k != "record"}, **views.contents(row["record"])}
