"""Error rates of each task's alerts by version, agent, person or week, from what the store holds.

See `training.evaluation.rates` and `.label_free`. Counts and verdicts are added up in the database; of the windows
only the newest audited ones are read, and judged ones once (`trainer_service.judged_feed`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, cast, func, select

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from trainer_service import schema
from trainer_service.audited_feed import AuditedFeed
from trainer_service.judged_feed import JudgedFeed
from trainer_service.scored import GROUPINGS, Group, Judged, Seen, chosen_by, columns_of, newest_label
from trainer_service.store import MONDAY_S, WEEK_S, week_of
from training.evaluation.event_calibration import Calibration, calibration, stratum_weights
from training.evaluation.label_free import SHARES, disagreement, estimate_label_free
from training.evaluation.ranking import rank
from training.evaluation.rates import AlertCounts, TaskCounts, estimate_rates, more_labels

HOP_S = 5.0
"""Seconds from one scored window to the next; a scored window stands for so much time."""

WIDTH = 0.2
"""Of the interval for which it is said how many more labels it takes."""

Scored = Mapping[Group, Counter[bool]]
Verdicts = Mapping[Group, Counter[bool | None]]


@dataclass(frozen=True)
class _Known:
    """What is known of one task.

    Attributes:
        scored: group -> alerting -> number of scored windows, from the heartbeats.
        verdicts: group -> whether the event was there, or None where nobody has said -> number of alerts.
        judged, audited: windows.
    """

    scored: Scored
    verdicts: Verdicts
    judged: Judged
    audited: Seen

    def groups(self, by: str) -> list[Group]:
        """All that occur, newest (or last by name) first."""
        windows = (getattr(seen, by).tolist() for seen in (self.judged.seen, self.audited))
        return sorted({*self.scored, *self.verdicts}.union(*windows), reverse=True)

    def of(self, by: str, group: Group) -> _Known:
        """What is known of one group."""
        return _Known(
            {group: self.scored.get(group, Counter())},
            {group: self.verdicts.get(group, Counter())},
            self.judged.where(self.judged.seen.mask({by: group})),
            self.audited.where(self.audited.mask({by: group})),
        )


def describe(
    connection: Connection,
    feeds: Iterable[tuple[JudgedFeed, AuditedFeed]],
    where: Mapping[str, Any],
    by: str = "model_version",
) -> list[dict[str, Any]]:
    """One row per task and group, newest (or last by name) first, after one for all groups together.

    Args:
        connection: to the store.
        feeds: of each task; those without an alert rule are left out.
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
    for judged, audited in feeds:
        task = judged.task
        if task.alert is None:
            continue
        known = _known(connection, judged, audited, where, by)
        rows.append(_row(task, by, None, known))
        rows += [_row(task, by, group, known.of(by, group)) for group in known.groups(by)]
    return rows


def event_probability(task: Task, predictions: Sequence[Mapping[str, Any]]) -> tuple[float, bool] | None:
    """What a window's stored predictions say of a task: the event's probability, and whether the alert was on."""
    found = next((entry for entry in predictions if entry["task"] == task.name), None)
    if found is None or task.alert is None:
        return None
    pairs = zip(task.classes, found.get("personal") or found["probabilities"], strict=True)
    return min(1.0, sum(p for name, p in pairs if name in task.alert.classes)), bool(found["alerting"])


def ranked(
    connection: Connection, judged: JudgedFeed, audited: AuditedFeed, where: Mapping[str, Any]
) -> dict[str, Any]:
    """How well the heads tell windows with the event from those without, see `training.evaluation.ranking`.

    From judged windows that are a sample: alerting ones, and audit windows by one over the probability of their draw.
    """
    known = _known(connection, judged, audited, where, "model_version")
    counted = known.judged.counted()
    alerting, quiet = _totals(known)
    found = rank(counted.seen.confidence, counted.event, _weights(counted, alerting, quiet), counted.seen.cluster)
    return asdict(found)


def _known(
    connection: Connection, judged: JudgedFeed, audited: AuditedFeed, where: Mapping[str, Any], by: str
) -> _Known:
    task, every = judged.task, judged.read(connection)
    return _Known(
        _scored(connection, task, where, by),
        _verdicts(connection, task, where, by),
        every.where(every.seen.mask(where)) if where else every,
        audited.read(connection, where),
    )


def _scored(connection: Connection, task: Task, where: Mapping[str, Any], by: str) -> Scored:
    table = schema.weekly_counts if "week" in (by, *where) else schema.scored_counts
    counted = (
        select(table.c[by], table.c.alerting, cast(func.sum(table.c.windows), schema.WHOLE))
        .where(table.c.task == task.name, *(table.c[name] == value for name, value in where.items()))
        .group_by(table.c[by], table.c.alerting)
    )
    found: defaultdict[Group, Counter[bool]] = defaultdict(Counter)
    for group, alerting, number in connection.execute(counted):
        found[group][alerting] += number
    return found


def _verdicts(connection: Connection, task: Task, where: Mapping[str, Any], by: str) -> Verdicts:
    columns, (said, is_newest) = columns_of(schema.alerts), newest_label(schema.alerts.c.window_id, task.name)
    raised = (
        select(columns[by], said.c.value, func.count())
        .outerjoin_from(schema.alerts, said, is_newest)
        .where(schema.alerts.c.task == task.name, *chosen_by(columns, where))
        .group_by(columns[by], said.c.value)
    )
    found: defaultdict[Group, Counter[bool | None]] = defaultdict(Counter)
    for group, value, number in connection.execute(raised):
        found[group][None if value is None else task.is_event(value)] += number
    return found


def _row(task: Task, by: str, group: Group | None, known: _Known) -> dict[str, Any]:
    judged, free = known.judged.counted(), known.audited
    verdicts = sum(known.verdicts.values(), Counter())
    alerting, quiet = _totals(known)
    raised = verdicts.total()
    counts = TaskCounts(alerting, quiet, (alerting + quiet) * HOP_S / 3600)
    alerts = AlertCounts(raised, verdicts[True], verdicts[False])
    rates = estimate_rates(counts, judged.sample(on=True), judged.sample(on=False), alerts)
    implied = estimate_label_free(counts, free.sample(free.confidence, on=True), free.sample(free.confidence, on=False))
    return {
        "task": task.name,
        by: _date(group) if by == "week" and group is not None else group,
        "windows": alerting + quiet,
        "alerts": raised,
        "labelled_alerts": raised - verdicts[None],
        "labelled_audit": _number(judged.seen, on=False),
        **{
            name: {**asdict(rate), "more": more_labels(rate, WIDTH) if name in SHARES else None}
            for name, rate in vars(rates).items()
        },
        "label_free": {
            name: {**asdict(rate), "warning": disagreement(getattr(rates, name), rate)}
            for name, rate in vars(implied).items()
        },
        "calibration": asdict(_calibration(judged, alerting, quiet)),
        "beside": _beside(known),
    }


def _totals(known: _Known) -> tuple[int, int]:
    """How many scored windows were alerting, and how many quiet.

    Heartbeats lag behind the windows by some seconds, and what was judged was certainly scored.
    """
    scored, judged, free = sum(known.scored.values(), Counter()), known.judged.counted().seen, known.audited
    alerting, quiet = (max(scored[on], _number(judged, on), _number(free, on)) for on in (True, False))
    return alerting, quiet


def _calibration(judged: Judged, alerting: int, quiet: int) -> Calibration:
    """Of the head that decides."""
    return calibration(judged.seen.confidence, judged.event, _weights(judged, alerting, quiet))


def _weights(judged: Judged, alerting: int, quiet: int) -> NDArray[np.float64]:
    """How many scored windows each judged one stands for: float [n]."""
    weights = np.zeros(len(judged.seen))
    for on, total in ((True, alerting), (False, quiet)):
        weights[judged.seen.on == on] = stratum_weights(judged.sample(on), total)
    return weights


def _beside(known: _Known) -> dict[str, Any] | None:
    """The shares of both heads on the windows in which a personal offset decided; None if none did."""
    judged, free = known.judged.where(known.judged.seen.offset), known.audited.where(known.audited.offset)
    if not len(judged.seen) and not len(free):
        return None
    return {"personal": _shares(judged, free), "generic": _shares(judged.generic(), replace(free, on=free.generic_on))}


def _shares(judged: Judged, free: Seen) -> dict[str, Any]:
    """Of one head; how many windows there were is estimated from the audited ones."""
    counted = judged.counted()
    drawn = {on: float((1 / free.draw[free.on == on]).sum()) for on in (True, False)}
    alerting, quiet = (max(round(drawn[on]), _number(counted.seen, on)) for on in (True, False))
    counts = TaskCounts(alerting, quiet, 0.0)
    rates = estimate_rates(counts, counted.sample(on=True), counted.sample(on=False), AlertCounts(0, 0, 0))
    return {"windows": alerting + quiet, **{name: asdict(getattr(rates, name)) for name in SHARES}}


def _number(seen: Seen, on: bool) -> int:
    return int((seen.on == on).sum())


def _week_number(date: str) -> int:
    try:
        return week_of(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise InputError(f"a week is given as the date of one of its days, YYYY-MM-DD, not {date[:40]!r}") from error


def _date(week: Group) -> str:
    return datetime.fromtimestamp(int(week) * WEEK_S - MONDAY_S, UTC).strftime("%Y-%m-%d")
