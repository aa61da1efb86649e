"""Error rates of each task's alerts by version, agent, person or week, from what the store holds.

See `training.evaluation.rates` and `.label_free`. Counts and verdicts are added up in the database; of the windows
only judged ones and the newest audited ones are read, without their records.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Integer, Subquery, cast, func, select

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from sentry_proto.types import Stratum
from trainer_service import schema
from trainer_service.store import MONDAY_S, WEEK_S, week_of
from training.evaluation.label_free import SHARES, disagreement, estimate_label_free
from training.evaluation.rates import AlertCounts, JudgedWindows, TaskCounts, estimate_rates, more_labels

HOP_S = 5.0
"""Seconds from one scored window to the next; a scored window stands for so much time."""

CLUSTER_S = 60
"""Windows overlap: those of one session that start within the same minute count as a cluster, not as independent."""

GROUPINGS = ("model_version", "agent", "participant", "week")
WIDTH = 0.2
"""Of the interval for which it is said how many more labels it takes."""

MOST_AUDITED = 5_000
"""Newest audit windows that the label-free estimate looks at."""

UNSAID = 0.05
"""Audit probability of a window whose agent did not say: the agents' default."""

PERSONAL, GENERIC = "personal", "generic"
Group = int | str


class Seen(NamedTuple):
    """One window of a sample.

    Attributes:
        event: whether the event was there, or how probable the head called it.
        probability: of the draw that made the sample.
    """

    event: float
    probability: float
    cluster: str


@dataclass
class _Tally:
    """What is known of one task in one group.

    Attributes:
        scored: alerting -> number of scored windows, from the heartbeats.
        judged, audited: alerting -> windows of the sample; of the quiet ones audit windows only.
        verdicts: whether the event was there, or None where nobody has said -> number of alerts.
        beside: `personal` and `generic` -> the same of each, of the windows in which a personal offset decided.
    """

    scored: Counter[bool] = field(default_factory=Counter)
    judged: defaultdict[bool, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    audited: defaultdict[bool, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    verdicts: Counter[bool | None] = field(default_factory=Counter)
    beside: dict[str, _Tally] = field(default_factory=dict)

    def head(self, name: str) -> _Tally:
        """The tally of one of the two heads."""
        return self.beside.setdefault(name, _Tally())

    def __iadd__(self, other: _Tally) -> _Tally:
        self.scored.update(other.scored)
        self.verdicts.update(other.verdicts)
        for alerting in (False, True):
            self.judged[alerting] += other.judged[alerting]
            self.audited[alerting] += other.audited[alerting]
        for name, tally in other.beside.items():
            own = self.head(name)
            own += tally
        return self


def describe(
    connection: Connection, tasks: Iterable[Task], where: Mapping[str, Any], by: str = "model_version"
) -> list[dict[str, Any]]:
    """One row per task and group, newest (or last by name) first, after one for all groups together.

    Args:
        connection: to the store.
        tasks: those without an alert rule are left out.
        where: values of any of `GROUPINGS` to look at; a week is the Monday it begins with, as YYYY-MM-DD.
        by: one of `GROUPINGS`.

    Raises:
        InputError: if there is no such grouping or a week is no date.
    """
    if by not in GROUPINGS:
        raise InputError(f"rates are by {', '.join(GROUPINGS)}, not by {by[:40]!r}")
    if "week" in where:
        where = {**where, "week": _week_number(where["week"])}
    rows = []
    for task in tasks:
        if task.alert is None:
            continue
        tallies = _tallies(connection, task, where, by)
        overall = _Tally()
        for tally in tallies.values():
            overall += tally
        rows.append(_row(task, by, None, overall))
        rows += [_row(task, by, group, tallies[group]) for group in sorted(tallies, reverse=True)]
    return rows


def newest_labels(task: str) -> Subquery:
    """Per window its newest standing label of a task: `window_id` and `value`."""
    label = schema.labels.c
    newest = select(func.max(label.row)).where(label.task == task, label.withdrawn.is_(None)).group_by(label.window_id)
    return select(label.window_id, label.value).where(label.row.in_(newest)).subquery()


def event_probability(task: Task, predictions: Sequence[Mapping[str, Any]]) -> tuple[float, bool] | None:
    """What a window's stored predictions say of a task: the event's probability, and whether the alert was on."""
    found = next((entry for entry in predictions if entry["task"] == task.name), None)
    if found is None or task.alert is None:
        return None
    pairs = zip(task.classes, found.get("personal") or found["probabilities"], strict=True)
    return min(1.0, sum(p for name, p in pairs if name in task.alert.classes)), bool(found["alerting"])


def _alerts_beside(task: Task, predictions: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Whether the alert was on with and would have been on without the offset that decided; nothing without one."""
    found = next((entry for entry in predictions if entry["task"] == task.name and entry.get("personal")), None)
    return {PERSONAL: found["alerting"], GENERIC: found["generic_alerting"]} if found is not None else {}


def cluster_of(session: str, start: float) -> str:
    """Name of the cluster in which a window stands."""
    return f"{session} {int(start // CLUSTER_S)}"


def _columns(table: Any) -> dict[str, ColumnElement[Any]]:
    """What a table of windows or alerts can be grouped by."""
    week = cast(func.floor((table.c.start + MONDAY_S) / WEEK_S), Integer)  # PostgreSQL rounds by itself
    return {**{name: table.c[name] for name in GROUPINGS if name != "week"}, "week": week}


def _chosen(columns: Mapping[str, ColumnElement[Any]], where: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [columns[name] == value for name, value in where.items()]


def _tallies(connection: Connection, task: Task, where: Mapping[str, Any], by: str) -> dict[Group, _Tally]:
    tallies: defaultdict[Group, _Tally] = defaultdict(_Tally)
    table = schema.weekly_counts if "week" in (by, *where) else schema.scored_counts
    counted = (
        select(table.c[by], table.c.alerting, cast(func.sum(table.c.windows), schema.WHOLE))
        .where(table.c.task == task.name, *(table.c[name] == value for name, value in where.items()))
        .group_by(table.c[by], table.c.alerting)
    )
    for group, alerting, number in connection.execute(counted):
        tallies[group].scored[alerting] += number
    columns, said = _columns(schema.alerts), newest_labels(task.name)
    raised = (
        select(columns[by], said.c.value, func.count())
        .select_from(schema.alerts)
        .outerjoin(said, said.c.window_id == schema.alerts.c.window_id)
        .where(schema.alerts.c.task == task.name, *_chosen(columns, where))
        .group_by(columns[by], said.c.value)
    )
    for group, value, number in connection.execute(raised):
        tallies[group].verdicts[None if value is None else task.is_event(value)] += number
    _add_windows(connection, task, where, by, tallies)
    return tallies


def _add_windows(
    connection: Connection, task: Task, where: Mapping[str, Any], by: str, tallies: Mapping[Group, _Tally]
) -> None:
    window, draw, columns, said = (
        schema.windows.c,
        schema.audit_draws.c,
        _columns(schema.windows),
        newest_labels(task.name),
    )
    shown = (
        columns[by].label("group"), window.session, window.start, window.stratum, window.predictions, draw.probability,
    )  # fmt: skip
    source = schema.windows.outerjoin(schema.audit_draws, draw.window_id == window.window_id)
    judged = (
        select(*shown, said.c.value)
        .select_from(source.join(said, said.c.window_id == window.window_id))
        .where(*_chosen(columns, where))
    )
    for row in connection.execute(judged):
        found, event = event_probability(task, row.predictions), task.is_event(row.value)
        if found is not None and (found[1] or row.stratum == Stratum.AUDIT):
            tallies[row.group].judged[found[1]].append(_seen(row, float(bool(event)), found[1]))
        for head, on in _alerts_beside(task, row.predictions).items():
            if on or row.stratum == Stratum.AUDIT:
                tallies[row.group].head(head).judged[on].append(_seen(row, float(bool(event)), on))
    audited = (
        select(*shown)
        .select_from(source)
        .where(window.stratum == Stratum.AUDIT.value, *_chosen(columns, where))
        .order_by(window.row.desc())
        .limit(MOST_AUDITED)
    )
    for some in connection.execute(audited):
        found = event_probability(task, some.predictions)
        if found is not None:
            tallies[some.group].audited[found[1]].append(_seen(some, found[0], alerting=False))
        for head, on in _alerts_beside(task, some.predictions).items():
            tallies[some.group].head(head).audited[on].append(_seen(some, 0.0, alerting=False))


def _seen(row: Any, event: float, alerting: bool) -> Seen:
    """A window of the sample; one in which the alert was on is sent in any case."""
    return Seen(event, 1.0 if alerting else row.probability or UNSAID, cluster_of(row.session, row.start))


def _sample(seen: Sequence[Seen]) -> JudgedWindows:
    return JudgedWindows(
        np.array([one.event for one in seen], float),
        np.array([one.probability for one in seen], float),
        [one.cluster for one in seen],
    )


def _row(task: Task, by: str, group: Group | None, tally: _Tally) -> dict[str, Any]:
    # Heartbeats lag behind the windows by some seconds, and what was judged was certainly scored.
    alerting, quiet = (max(tally.scored[on], len(tally.judged[on]), len(tally.audited[on])) for on in (True, False))
    raised = tally.verdicts.total()
    counts = TaskCounts(alerting, quiet, (alerting + quiet) * HOP_S / 3600)
    alerts = AlertCounts(raised, tally.verdicts[True], tally.verdicts[False])
    rates = estimate_rates(counts, _sample(tally.judged[True]), _sample(tally.judged[False]), alerts)
    free = estimate_label_free(counts, _sample(tally.audited[True]), _sample(tally.audited[False]))
    return {
        "task": task.name,
        by: _date(group) if by == "week" and group is not None else group,
        "windows": alerting + quiet,
        "alerts": raised,
        "labelled_alerts": raised - tally.verdicts[None],
        "labelled_audit": len(tally.judged[False]),
        **{
            name: {**asdict(rate), "more": more_labels(rate, WIDTH) if name in SHARES else None}
            for name, rate in vars(rates).items()
        },
        "label_free": {
            name: {**asdict(rate), "warning": disagreement(getattr(rates, name), rate)}
            for name, rate in vars(free).items()
        },
        "beside": {name: _beside(tally.beside[name]) for name in (PERSONAL, GENERIC)} if tally.beside else None,
    }


def _beside(tally: _Tally) -> dict[str, Any]:
    """The shares under one of two heads; how many windows there were is estimated from the audited ones."""
    audited = {on: sum(1 / seen.probability for seen in tally.audited[on]) for on in (True, False)}
    alerting, quiet = (max(round(audited[on]), len(tally.judged[on])) for on in (True, False))
    rates = estimate_rates(
        TaskCounts(alerting, quiet, 0.0),
        _sample(tally.judged[True]),
        _sample(tally.judged[False]),
        AlertCounts(0, 0, 0),
    )
    return {"windows": alerting + quiet, **{name: asdict(getattr(rates, name)) for name in SHARES}}


def _week_number(date: str) -> int:
    try:
        return week_of(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise InputError(f"a week is given as the date of one of its days, YYYY-MM-DD, not {date[:40]!r}") from error


def _date(week: Group) -> str:
    return datetime.fromtimestamp(int(week) * WEEK_S - MONDAY_S, UTC).strftime("%Y-%m-%d")
