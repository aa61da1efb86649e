"""When questionnaires are due, and how far people keep to that.

    somebody comes --every--> due --handed in--> due again so many days after that

For how far people keep to it, the time since they came is cut into stretches as long as the study's interval; each of
them counts in which the form was handed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, func, select, union_all

from trainer_service import schema

DAY_S = 86_400.0


@dataclass(frozen=True)
class Standing:
    """How one person stands with one form.

    Attributes:
        every_days: from one time to the next.
        last: when it was last handed in (Unix seconds), None for never.
        due: when it was or will be due next.
        handed_in: how often it was.
        stretches, kept: those that have begun since the person came, and in how many of them it was handed in.
    """

    participant: str
    instrument: str
    every_days: float
    last: float | None
    due: float
    handed_in: int
    stretches: int
    kept: int


def standing(
    participant: str, instrument: str, every_days: float, came: float, times: Sequence[float], now: float
) -> Standing:
    """How a person who came at `came` and handed a form in at these times stands at `now` (all Unix seconds)."""
    every_s = every_days * DAY_S
    last = max(times, default=None)
    kept = {int((time - came) // every_s) for time in times}
    due = came if last is None else last + every_s
    stretches = 1 + int(max(0.0, now - came) // every_s)
    return Standing(participant, instrument, every_days, last, due, len(times), stretches, min(len(kept), stretches))


def standings(
    connection: Connection, forms: Mapping[str, float], now: float, participant: str | None = None
) -> list[dict[str, Any]]:
    """Of everybody (or one) and every form, by name; somebody of whom there is nothing yet comes now."""
    came = _came(connection, participant)
    if participant is not None:
        came.setdefault(participant, now)
    handed_in = _handed_in(connection, participant)
    return [
        asdict(standing(name, form, days, came[name], handed_in[name, form], now))
        for name in sorted(came)
        for form, days in forms.items()
    ]


def _came(connection: Connection, participant: str | None) -> dict[str, float]:
    """When there was first anything of each person."""
    tables = ((schema.windows, "received"), (schema.self_reports, "created"), (schema.links, "created"))
    firsts = [
        select(table.c.participant, func.min(table.c[column]).label("first"))
        .where(*([table.c.participant == participant] if participant is not None else []))
        .group_by(table.c.participant)
        for table, column in tables
    ]
    every = union_all(*firsts).subquery()
    chosen = select(every.c.participant, func.min(every.c.first)).group_by(every.c.participant)
    return {row[0]: row[1] for row in connection.execute(chosen)}


def _handed_in(connection: Connection, participant: str | None) -> Mapping[tuple[str, str], list[float]]:
    table = schema.self_reports.c
    chosen = select(table.participant, table.instrument, table.created).where(
        table.instrument.is_not(None), *([table.participant == participant] if participant is not None else [])
    )
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for name, form, created in connection.execute(chosen):
        found[name, form].append(created)
    return found
