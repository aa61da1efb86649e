"""Error rates of each task's alerts, per model version, from what the store holds (see `training.evaluation.rates`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from sentry_proto.tasks import TRUE_ALARM, Task
from sentry_proto.types import Stratum
from trainer_service import schema, views
from training.evaluation.rates import AlertCounts, JudgedWindows, TaskCounts, estimate_rates

HOP_S = 5.0
"""Seconds from one scored window to the next; a scored window stands for so much time."""

CLUSTER_S = 60
"""Windows overlap: those of one session that start within the same minute count as a cluster, not as independent."""


@dataclass
class _Tally:
    """What is known of one task under one model version.

    Attributes:
        scored: alerting -> number of scored windows, from the heartbeats.
        alerting, quiet: whether the event was there, per judged alerting and per judged quiet audit window, with the
            name of the cluster that the window stands in.
        verdicts: verdict or None -> number of alerts.
    """

    scored: Counter[bool] = field(default_factory=Counter)
    alerting: list[tuple[bool, str]] = field(default_factory=list)
    quiet: list[tuple[bool, str]] = field(default_factory=list)
    verdicts: Counter[str | None] = field(default_factory=Counter)

    def __iadd__(self, other: _Tally) -> _Tally:
        self.scored.update(other.scored)
        self.alerting += other.alerting
        self.quiet += other.quiet
        self.verdicts.update(other.verdicts)
        return self


def describe(connection: Connection, tasks: Iterable[Task], where: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row per task and model version, newest first, after one for all versions together.

    Args:
        connection: to the store.
        tasks: those without an alert rule are left out.
        where: `participant` and `agent` to look at; missing for all.
    """
    rows = []
    for task in tasks:
        if task.alert is None:
            continue
        tallies = _tallies(connection, task, where)
        overall = _Tally()
        for tally in tallies.values():
            overall += tally
        rows.append(_row(task, None, overall))
        rows += [_row(task, version, tallies[version]) for version in sorted(tallies, reverse=True)]
    return rows


def _tallies(connection: Connection, task: Task, where: Mapping[str, str]) -> dict[int, _Tally]:
    tallies: defaultdict[int, _Tally] = defaultdict(_Tally)
    counts = schema.scored_counts.c
    chosen = (
        select(counts.model_version, counts.alerting, func.sum(counts.windows))
        .where(counts.task == task.name, *(counts[name] == value for name, value in where.items()))
        .group_by(counts.model_version, counts.alerting)
    )
    for version, alerting, number in connection.execute(chosen):
        tallies[version].scored[alerting] += number
    for row, alerting, event in _judged(connection, task, where):
        cluster = f"{row.session} {int(row.start // CLUSTER_S)}"
        if alerting:
            tallies[row.model_version].alerting.append((event, cluster))
        elif row.stratum == Stratum.AUDIT:
            tallies[row.model_version].quiet.append((event, cluster))
    alerts = schema.alerts.c
    conditions = [alerts.task == task.name, *(alerts[name] == value for name, value in where.items())]
    for alert in views.alerts(connection, {task.name: task}, conditions, None):
        tallies[alert["model_version"]].verdicts[alert["verdict"]] += 1
    return tallies


def _judged(connection: Connection, task: Task, where: Mapping[str, str]) -> Iterable[tuple[Any, bool, bool]]:
    """Row, alert state and event of every window that was scored and judged; its newest label counts."""
    window, label = schema.windows.c, schema.labels.c
    chosen = (
        select(
            window.window_id,
            window.session,
            window.start,
            window.model_version,
            window.stratum,
            window.predictions,
            label.value,
        )
        .join_from(schema.labels, schema.windows, label.window_id == window.window_id)
        .where(label.task == task.name, label.withdrawn.is_(None))
        .where(*(window[name] == value for name, value in where.items()))
        .order_by(label.row)
    )
    newest = {row.window_id: row for row in connection.execute(chosen)}
    for row in newest.values():
        event = task.is_event(row.value)
        prediction = next((entry for entry in row.predictions if entry["task"] == task.name), None)
        if prediction is not None and event is not None:
            yield row, bool(prediction["alerting"]), event


def _sample(judged: list[tuple[bool, str]]) -> JudgedWindows:
    return JudgedWindows(np.array([event for event, _ in judged], bool), clusters=[cluster for _, cluster in judged])


def _row(task: Task, version: int | None, tally: _Tally) -> dict[str, Any]:
    # Heartbeats lag behind the windows by some seconds, and what was judged was certainly scored.
    alerting = max(tally.scored[True], len(tally.alerting))
    quiet = max(tally.scored[False], len(tally.quiet))
    raised = tally.verdicts.total()
    judged = raised - tally.verdicts[None]
    confirmed = tally.verdicts[TRUE_ALARM]
    rates = estimate_rates(
        TaskCounts(alerting, quiet, (alerting + quiet) * HOP_S / 3600),
        _sample(tally.alerting),
        _sample(tally.quiet),
        AlertCounts(raised, confirmed, judged - confirmed),
    )
    return {
        "task": task.name,
        "model_version": version,
        "windows": alerting + quiet,
        "alerts": raised,
        "labelled_alerts": judged,
        "labelled_audit": len(tally.quiet),
        **asdict(rates),
    }
