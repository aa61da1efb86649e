"""Retention: what is older than the study's limit goes.

Age is counted from the arrival at the trainer, whose clock is one; agents' clocks may jump. Windows go with their
labels, and so do alerts, self-reports and remarks. Left are: the published models and the decisions on them, the audit
log, the counts of scored windows (numbers per pseudonym), and on which side of the holdout a person stands, because
somebody who comes back must not change sides.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select

from trainer_service import schema


def expired(connection: Connection, before: float) -> dict[str, int]:
    """How many rows of each kind arrived before this moment (Unix seconds)."""
    return {
        table.name: connection.scalar(select(func.count()).select_from(table).where(old)) or 0
        for table, old in _expired(before).items()
    }


def remove(connection: Connection, before: float) -> dict[str, int]:
    """Delete them; returns the same counts."""
    return {
        table.name: connection.execute(delete(table).where(old)).rowcount for table, old in _expired(before).items()
    }


def words(counts: Mapping[str, int]) -> str:
    """Such counts for people."""
    return ", ".join(f"{count} {name.replace('_', '-')}" for name, count in counts.items())


def _expired(before: float) -> Mapping[Table, ColumnElement[bool]]:
    """In the order that foreign keys ask for."""
    windows = schema.windows.c
    old = select(windows.window_id).where(windows.received < before)
    return {
        schema.labels: schema.labels.c.window_id.in_(old),
        schema.windows: windows.received < before,
        schema.alerts: schema.alerts.c.received < before,
        schema.self_reports: schema.self_reports.c.received < before,
        schema.remarks: schema.remarks.c.received < before,
    }
