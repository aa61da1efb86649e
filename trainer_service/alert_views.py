"""What the control API shows of alerts: the list, how many there were when, and one with all that is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Integer, Row, ScalarSelect, Select, cast, func, select

from sentry_proto.codec import decode_record
from sentry_proto.errors import InputError
from sentry_proto.layout import MODALITY_INDEX, SECOND_FEATURES
from sentry_proto.tasks import FALSE_ALARM, TRUE_ALARM, Task
from sentry_proto.types import FeatureWindow, Window
from trainer_service import remarks, schema, self_reports, views
from trainer_service.rates import event_probability

Json = dict[str, Any]
SHOWN = (
    "row", "alert_id", "agent", "participant", "session", "task", "start", "end", "probability", "threshold",
    "model_version", "window_id",
)  # fmt: skip
AROUND_S = 300.0
"""Seconds before and after an alert of which the head's estimates are shown."""

MOST_MOVED, LEAST_MOVED = 6, 0.1
WIDTHS_S = (60, 600, 3_600, 21_600, 86_400, 604_800)
MOST_BINS = 60


def listed(
    connection: Connection,
    tasks: Mapping[str, Task],
    where: Sequence[ColumnElement[bool]],
    limit: int,
    open_only: bool = False,
) -> list[Json]:
    """The newest alerts that fulfil all conditions, each with the newest verdict on its window.

    Args:
        connection: to the store.
        tasks: by name; alerts of others are left out.
        where: conditions on the table of alerts.
        limit: at most so many.
        open_only: whether to leave out those that have a verdict.
    """
    columns = [schema.alerts.c[name] for name in SHOWN]
    value, unsure = _value(), _unsure()
    still_open = (value.is_(None), unsure == 0) if open_only else ()
    chosen = _judged(tasks, *columns).where(*where, *still_open).order_by(schema.alerts.c.row.desc()).limit(limit)
    return [_entry(row, tasks) for row in connection.execute(chosen)]


def unjudged(connection: Connection, tasks: Mapping[str, Task]) -> int:
    """How many alerts nobody has looked at."""
    return sum(
        number
        for (_, verdict, _), number in _counted(connection, tasks, [], cast(0, Integer)).items()
        if verdict is None
    )


def course(connection: Connection, tasks: Mapping[str, Task], where: Sequence[ColumnElement[bool]]) -> Json:
    """How many alerts there were in each stretch of time, by task and verdict.

    Returns:
        `{width_s, bins: [{start, task, verdict, alerts}]}`, the width chosen so that there are at most `MOST_BINS`.
    """
    alert = schema.alerts.c
    first, last = connection.execute(select(func.min(alert.start), func.max(alert.start)).where(*where)).one()
    if first is None:
        return {"width_s": WIDTHS_S[0], "bins": []}
    width = next((width for width in WIDTHS_S if last - first <= width * MOST_BINS), WIDTHS_S[-1])
    number = cast(func.floor((alert.start - first) / width), Integer)  # PostgreSQL rounds by itself
    counted = _counted(connection, tasks, where, number)
    return {
        "width_s": width,
        "bins": [
            {"start": first + width * place, "task": task, "verdict": verdict, "alerts": alerts}
            for (place, verdict, task), alerts in sorted(counted.items(), key=str)
        ],
    }


def one(connection: Connection, tasks: Mapping[str, Task], alert_id: str) -> Json:
    """An alert with its window, the features that moved, the head's estimates around it and what raters said.

    Raises:
        InputError: if there is no such alert.
    """
    found = listed(connection, tasks, [schema.alerts.c.alert_id == alert_id], 1)
    if not found:
        raise InputError(f"there is no alert {alert_id[:40]!r}")
    alert = found[0]
    said = [schema.remarks.c.window_id == alert["window_id"], schema.remarks.c.task == alert["task"]]
    task = tasks.get(alert["task"])
    return {
        **alert,
        "window": _window(connection, alert["window_id"]),
        "around": _around(connection, task, alert) if task else [],
        "remarks": remarks.listed(connection, said, views.MOST_ROWS),
    }


def moved(features: FeatureWindow) -> list[Json]:
    """The features whose mean in the window is farthest from what is usual for the person, farthest first.

    Returns:
        At most `MOST_MOVED` of `{name, unit, mean, usual, away}`; `away` is in units of the person's usual spread. None
        where there is no baseline yet.
    """
    if not features.baseline.seconds:
        return []
    columns = np.array([MODALITY_INDEX[feature.modality] for feature in SECOND_FEATURES])
    seen = features.coverage[:, columns] > 0
    number = seen.sum(0)
    mean = (features.values * seen).sum(0) / np.maximum(number, 1)
    away = np.where(number > 0, (mean - features.baseline.centre) / features.baseline.scale, 0)
    order = np.argsort(-np.abs(away))[:MOST_MOVED]
    return [
        {
            "name": SECOND_FEATURES[i].name,
            "unit": SECOND_FEATURES[i].unit,
            "mean": float(mean[i]),
            "usual": float(features.baseline.centre[i]),
            "away": round(float(away[i]), 3),
        }
        for i in order
        if abs(away[i]) >= LEAST_MOVED
    ]


def _window(connection: Connection, window_id: str) -> Json | None:
    """The window that raised an alert; None while it is still on its way."""
    data = connection.scalar(select(schema.windows.c.record).where(schema.windows.c.window_id == window_id))
    if data is None:
        return None
    record = decode_record(data)
    away = moved(record.features) if isinstance(record, Window) else []
    return {**views.window(connection, window_id), "moved": away}


def _around(connection: Connection, task: Task, alert: Json) -> list[Json]:
    window = schema.windows.c
    chosen = (
        select(window.window_id, window.end, window.predictions)
        .where(
            window.participant == alert["participant"],
            window.session == alert["session"],
            window.end.between(alert["start"] - AROUND_S, alert["start"] + AROUND_S),
        )
        .order_by(window.end)
    )
    seen = [(row, event_probability(task, row.predictions)) for row in connection.execute(chosen)]
    return [
        {"window_id": row.window_id, "end": row.end, "probability": found[0], "alerting": found[1]}
        for row, found in seen
        if found is not None
    ]


def _judged(tasks: Mapping[str, Task], *columns: ColumnElement[Any]) -> Select[Any]:
    """Alerts with the newest label by somebody who looked, and the number of remarks, of their window and task."""
    chosen = select(*columns, _value().label("value"), _unsure().label("unsure"))
    return chosen.where(schema.alerts.c.task.in_(list(tasks)))


def _value() -> ScalarSelect[Any]:
    alert, label = schema.alerts.c, schema.labels.c
    said = (label.window_id == alert.window_id, label.task == alert.task, label.source != self_reports.SOURCE)
    newest = select(label.value).where(*said, label.withdrawn.is_(None)).order_by(label.row.desc()).limit(1)
    return newest.correlate(schema.alerts).scalar_subquery()


def _unsure() -> ScalarSelect[Any]:
    alert, remark = schema.alerts.c, schema.remarks.c
    said = (remark.window_id == alert.window_id, remark.task == alert.task, remark.withdrawn.is_(None))
    return select(func.count()).select_from(schema.remarks).where(*said).correlate(schema.alerts).scalar_subquery()


def _counted(
    connection: Connection,
    tasks: Mapping[str, Task],
    where: Sequence[ColumnElement[bool]],
    place: ColumnElement[Any],
) -> Counter[tuple[int, str | None, str]]:
    """(place, verdict, task) -> number of alerts; added up in the database."""
    inner = _judged(tasks, schema.alerts.c.task, place.label("place")).where(*where).subquery()
    some = (inner.c.place, inner.c.task, inner.c.value, inner.c.unsure > 0)
    chosen = select(*some[:3], some[3].label("unsure"), func.count().label("alerts")).group_by(*some)
    counted: Counter[tuple[int, str | None, str]] = Counter()
    for row in connection.execute(chosen):
        counted[row.place, _verdict(row, tasks.get(row.task)), row.task] += row.alerts
    return counted


def _entry(row: Row[Any], tasks: Mapping[str, Task]) -> Json:
    return {**{name: row._mapping[name] for name in SHOWN}, "verdict": _verdict(row, tasks.get(row.task))}


def _verdict(row: Row[Any], task: Task | None) -> str | None:
    """The newest label says whether the event was there; without one, somebody may have been unsure."""
    if row.value is None or task is None:
        return remarks.UNSURE if row.unsure else None
    return TRUE_ALARM if task.is_event(row.value) else FALSE_ALARM
