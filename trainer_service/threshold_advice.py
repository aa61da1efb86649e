"""Threshold advice from what the store holds of the live version (see `training.evaluation.thresholds`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, func, select

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from sentry_proto.types import Stratum
from trainer_service import registry, schema
from trainer_service.rates import HOP_S
from trainer_service.scored import CLUSTER_S, PROBABILITIES, UNSAID, event_probabilities, newest_label
from training.evaluation.rates import TaskCounts
from training.evaluation.thresholds import Evidence, Scored, Verdicts, Wish, advise, alert_levels

LONGEST_GAP_S = 15.0
"""Alerting windows of a session that lie further apart belong to two alerts."""


class _Window(NamedTuple):
    window_id: str
    session: str
    start: float
    weight: float
    probability: float
    alerting: bool
    event: bool | None


def wish(most_false_alarms_per_hour: float | None, most_misses: float | None) -> Wish:
    """A checked wish.

    Raises:
        InputError: if it is not exactly one, or is out of range.
    """
    if (most_false_alarms_per_hour is None) == (most_misses is None):
        raise InputError("wish for at most so many false alarms per hour or at most so many misses, one of the two")
    if most_misses is not None and not 0 <= most_misses < 1:
        raise InputError(f"the share of misses must lie between 0 and 100 %, not be {100 * most_misses:g} %")
    if most_false_alarms_per_hour is not None and not 0 <= most_false_alarms_per_hour < math.inf:
        raise InputError(f"the number of false alarms per hour must be 0 or more, not {most_false_alarms_per_hour}")
    return Wish(most_false_alarms_per_hour, most_misses)


def describe(connection: Connection, task: Task, version: int, wished: Wish) -> dict[str, Any]:
    """What the control API says of a wish.

    Raises:
        InputError: if the task raises no alerts.
    """
    given = advise(gather(connection, task, version), wished)
    return {"task": task.name, "model_version": version, **asdict(given)}


def gather(connection: Connection, task: Task, version: int) -> Evidence:
    """Counts, windows and verdicts of one task under one model version."""
    if task.alert is None:
        raise InputError(f"task {task.name} raises no alerts")
    applied = registry.applied_threshold(connection, version, task.name)
    windows = _windows(connection, task, version)
    alerting, quiet = [w for w in windows if w.alerting], [w for w in windows if not w.alerting]
    in_a_row = 1 + math.ceil(task.alert.duration_s / HOP_S)
    threshold = task.alert.threshold if applied is None else applied
    runs = _runs(alerting)
    within, highest = alert_levels([[w.probability for w in run] for run in runs], in_a_row, threshold)
    levels = {
        w.window_id: float(x) for run, own in zip(runs, within, strict=True) for w, x in zip(run, own, strict=True)
    }
    tops = {run[0].window_id: float(level) for run, level in zip(runs, highest, strict=True)}
    names: dict[tuple[str, int], int] = {}  # of clusters, numbered alike in both samples
    return Evidence(
        threshold,
        _counts(connection, task, version, len(alerting), len(quiet)),
        _scored([levels[w.window_id] for w in alerting], alerting, names),
        _scored([w.probability for w in quiet], quiet, names),
        _verdicts(connection, task, version, tops),
    )


def _windows(connection: Connection, task: Task, version: int) -> list[_Window]:
    """Alerting windows, all of which are stored, and quiet audit windows, in the order of their sessions."""
    score = schema.scores.c
    said, is_newest = newest_label(score.window_id, task.name)
    chosen = (
        select(score.window_id, score.session, score.start, score.alerting, score.draw, PROBABILITIES, said.c.value)
        .outerjoin_from(schema.scores, said, is_newest)
        .where(score.task == task.name, score.model_version == version, score.stratum != Stratum.UNCERTAIN.value)
        .where(score.alerting | (score.stratum == Stratum.AUDIT.value))
        .order_by(score.agent, score.participant, score.session, score.start)
    )
    rows = connection.execute(chosen).all()
    probabilities = event_probabilities(task, [row.probabilities for row in rows]).tolist()
    return [_window(task, row, probability) for row, probability in zip(rows, probabilities, strict=True)]


def _window(task: Task, row: Any, probability: float) -> _Window:
    weight = 1.0 if row.alerting else 1 / (row.draw or UNSAID)
    event = None if row.value is None else task.is_event(row.value)
    return _Window(row.window_id, row.session, row.start, weight, probability, row.alerting, event)


def _runs(alerting: Sequence[_Window]) -> list[list[_Window]]:
    """Windows of one alert together."""
    runs: list[list[_Window]] = []
    for window in alerting:
        last = runs[-1][-1] if runs else None
        near = last is not None and window.session == last.session and 0 <= window.start - last.start <= LONGEST_GAP_S
        if near:
            runs[-1].append(window)
        else:
            runs.append([window])
    return runs


def _scored(levels: Sequence[float], windows: Sequence[_Window], names: dict[tuple[str, int], int]) -> Scored:
    judged = [(level, w) for level, w in zip(levels, windows, strict=True) if w.event is not None]
    return Scored(
        np.array(levels, float),
        np.array([level for level, _ in judged], float),
        np.array([bool(w.event) for _, w in judged], bool),
        np.array([w.weight for _, w in judged], float),
        [names.setdefault((w.session, int(w.start // CLUSTER_S)), len(names)) for _, w in judged],
    )


def _counts(connection: Connection, task: Task, version: int, alerting: int, quiet: int) -> TaskCounts:
    table = schema.scored_counts.c
    chosen = (
        select(table.alerting, func.sum(table.windows))
        .where(table.task == task.name, table.model_version == version)
        .group_by(table.alerting)
    )
    found = {on: int(windows) for on, windows in connection.execute(chosen)}
    alerting, quiet = max(alerting, found.get(True, 0)), max(quiet, found.get(False, 0))
    return TaskCounts(alerting, quiet, (alerting + quiet) * HOP_S / 3600)


def _verdicts(connection: Connection, task: Task, version: int, tops: dict[str, float]) -> Verdicts:
    alert = schema.alerts.c
    said, is_newest = newest_label(alert.window_id, task.name)
    chosen = (
        select(alert.window_id, alert.probability, said.c.value)
        .outerjoin_from(schema.alerts, said, is_newest)
        .where(alert.task == task.name, alert.model_version == version)
    )
    pairs = [
        (tops.get(row.window_id, row.probability), None if row.value is None else task.is_event(row.value))
        for row in connection.execute(chosen)
    ]
    every = [level for level, _ in pairs]
    return Verdicts(
        np.array(every, float),
        *(np.array([level for level, event in pairs if event is verdict], float) for verdict in (True, False)),
    )
