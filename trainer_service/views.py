"""What the control API shows of the store, in the shapes of docs/control-api.md."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from sentry_proto.codec import decode_record
from sentry_proto.errors import InputError
from sentry_proto.layout import MODALITY_INDEX, SECOND_FEATURES
from sentry_proto.types import FeatureWindow, Stratum, Window
from trainer_service import remarks, schema
from trainer_service.looks import Looks
from trainer_service.registry import PENDING
from training.active_learning.diversity import diverse_batch

Json = dict[str, Any]
MOST_ROWS = 1_000
JUST_HAD = 20
POOL = 200
"""Uncertain windows from which the first ones of the queue are chosen."""

_WINDOW = (
    "row", "window_id", "agent", "participant", "session", "start", "end", "stratum", "inclusion_probability",
    "model_version", "baseline_seconds", "camera_states", "consent_id", "predictions",
)  # fmt: skip
_WINDOW_COLUMNS = [schema.windows.c[name] for name in _WINDOW]
_STANDING = schema.labels.c.withdrawn.is_(None)


def totals(connection: Connection) -> Json:
    """How many windows, standing labels, alerts and people there are."""
    labels = select(func.count()).select_from(schema.labels).where(_STANDING)
    return {
        "windows": connection.scalar(select(func.count()).select_from(schema.windows)),
        "labels": connection.scalar(labels),
        "alerts": connection.scalar(select(func.count()).select_from(schema.alerts)),
        "people": connection.scalar(select(func.count(schema.windows.c.participant.distinct()))),
    }


def windows(connection: Connection, where: Iterable[ColumnElement[bool]], limit: int) -> list[Json]:
    """The newest windows that fulfil all conditions, with their labels."""
    chosen = select(*_WINDOW_COLUMNS).where(*where).order_by(schema.windows.c.row.desc()).limit(limit)
    return _with_labels(connection, connection.execute(chosen).all())


def window(connection: Connection, window_id: str) -> Json:
    """One window with its features and stills.

    Raises:
        InputError: if there is none.
    """
    found = windows(connection, [schema.windows.c.window_id == window_id], 1)
    if not found:
        raise InputError(f"there is no window {window_id[:40]!r}")
    data = connection.execute(select(schema.windows.c.record).where(schema.windows.c.window_id == window_id))
    return {**found[0], **contents(data.scalar_one())}


def contents(data: bytes) -> Json:
    """What the record of a window holds: features, second by second, null where unseen, and stills, oldest first."""
    record = decode_record(data)
    if not isinstance(record, Window):
        raise InputError("the stored record is no window")
    stills = [{"time": still.time, "jpeg": b64encode(still.jpeg).decode()} for still in record.stills]
    return {"features": _features(record.features), "stills": stills}


def unlabelled(task: str) -> ColumnElement[bool]:
    """Windows without a standing label for a task."""
    return ~_labelled(schema.labels.c.task == task)


def queue(connection: Connection, task: str, rater: str, limit: int, looks: Looks) -> list[Json]:
    """Windows to review: strata take turns, so that audit windows are always among them.

    Whoever labels one window at a time asks anew for each, so the turn goes on with every label that this rater has
    given. Neighbours of confirmed events come as soon as agents have sent them.

    Alerts come with this task's own first, uncertain windows with the least certain first that do not look like one
    before them, all newest first otherwise. What this rater has labelled or passed over does not come again, so whoever
    comes back goes on where they stopped. Windows from before their person's baseline are not asked for, since no
    head learns from them.
    """
    turns, given = [], _given(connection, task, rater)
    for stratum in Stratum:
        rows = _waiting(connection, task, rater, stratum)
        urgent = sorted(rows, key=_urgency, reverse=True)
        varied = stratum is Stratum.UNCERTAIN
        turns.append(_varied(connection, urgent, limit, looks, given) if varied else urgent[:limit])
    turn = len(given) % len(turns)
    turns = turns[turn:] + turns[:turn]
    mixed = [row.window_id for turn in zip_longest(*turns) for row in turn if row is not None][:limit]
    found = {entry["window_id"]: entry for entry in windows(connection, [schema.windows.c.window_id.in_(mixed)], limit)}
    return [{**found[window_id], "reason": found[window_id]["stratum"]} for window_id in mixed]


def progress(connection: Connection, task: str, rater: str, since: float) -> Json:
    """How far a rater has come with a task.

    Returns:
        `{given, left}`: windows labelled since then (Unix seconds), and windows that wait for an answer of this rater.
    """
    label, remark, window = schema.labels.c, schema.remarks.c, schema.windows.c
    mine = (label.task == task, label.rater == rater, label.withdrawn.is_(None))
    own = select(label.window_id).where(*mine)
    unsure = (remark.task == task, remark.rater == rater, remark.kind == remarks.UNSURE, remark.withdrawn.is_(None))
    answered = own.union(select(remark.window_id).where(*unsure)).subquery()
    asked_for = (window.stratum.in_(list(Stratum)), window.baseline_seconds != 0)
    every = select(func.count()).select_from(schema.windows).where(*asked_for)
    done = every.where(window.window_id.in_(select(answered.c.window_id)))
    given = select(func.count(label.window_id.distinct())).where(*mine, label.created >= since)
    left = (connection.scalar(every) or 0) - (connection.scalar(done) or 0)
    return {"given": connection.scalar(given), "left": left}


def _given(connection: Connection, task: str, rater: str) -> list[Row[Any]]:
    """The windows that a rater has labelled for this task, newest first: id and participant."""
    label = schema.labels.c
    mine = select(label.window_id, label.participant).where(label.task == task, label.rater == rater)
    return list(connection.execute(mine.order_by(label.row.desc()).limit(MOST_ROWS)))


def _waiting(connection: Connection, task: str, rater: str, stratum: Stratum) -> list[Any]:
    """The newest windows of a stratum that this rater has not labelled, with what the task's head said."""
    window, score, label = schema.windows.c, schema.scores.c, schema.labels.c
    chosen = (
        select(window.window_id, window.participant, window.stratum, score.alerting, score.entropy)
        .outerjoin_from(schema.windows, schema.scores, and_(score.window_id == window.window_id, score.task == task))
        .where(
            window.stratum == stratum.value,
            window.baseline_seconds != 0,  # SQLite would sort all windows for a search by "more than 0"
            ~_labelled((label.task == task) & (label.rater == rater)),
            ~_passed_over(task, rater),
        )
        .order_by(window.row.desc())
        .limit(MOST_ROWS)
    )
    return list(connection.execute(chosen))


def checked_limit(limit: int) -> int:
    """A number of rows that somebody asked for.

    Raises:
        InputError: if it is none, or too many.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise InputError(f"limit must be between 1 and {MOST_ROWS}, not {limit}")
    return limit


def _passed_over(task: str, rater: str) -> ColumnElement[bool]:
    """Windows that this rater has looked at and could not tell."""
    remark = schema.remarks.c
    said = (remark.task == task) & (remark.rater == rater) & (remark.kind == remarks.UNSURE)
    found = select(remark.row).where(remark.window_id == schema.windows.c.window_id, remark.withdrawn.is_(None), said)
    return found.correlate(schema.windows).exists()


def models(connection: Connection) -> list[Json]:
    """All models that were ever live, newest first."""
    table = schema.models.c
    columns = (table.version, table.parent, table.created, table.status, table.tasks, table.metrics, table.live_since)
    chosen = select(*columns).where(table.status != PENDING).order_by(table.version.desc())
    return [dict(row._mapping) for row in connection.execute(chosen)]


def decisions(connection: Connection, limit: int) -> list[Json]:
    """The learner's decisions, newest first."""
    columns = [column for column in schema.decisions.c if column.name != "last_label"]
    chosen = select(*columns).order_by(schema.decisions.c.row.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(chosen)]


def people(connection: Connection) -> list[Json]:
    """Everybody of whom there are windows, with their partition once they are labelled."""
    window, person, label = schema.windows.c, schema.people.c, schema.labels.c
    labelled = select(label.participant, func.count().label("labels")).where(_STANDING).group_by(label.participant)
    said = labelled.subquery()
    counted = (
        select(window.participant, func.count().label("windows"), func.max(window.row).label("newest"))
        .group_by(window.participant)
        .subquery()
    )
    chosen = (
        select(counted.c.participant, person.partition, counted.c.windows, func.coalesce(said.c.labels, 0))
        .outerjoin_from(counted, schema.people, person.participant == counted.c.participant)
        .outerjoin(said, said.c.participant == counted.c.participant)
        .order_by(counted.c.newest.desc())
    )
    names = ("participant", "partition", "windows", "labels")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(chosen)]


def _labelled(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    label = schema.labels.c
    found = select(label.row).where(label.window_id == schema.windows.c.window_id, _STANDING, condition)
    return found.correlate(schema.windows).exists()


def _with_labels(connection: Connection, rows: Sequence[Row[Any]]) -> list[Json]:
    said = _labels_of(connection, [row.window_id for row in rows])
    return [{**row._mapping, "labels": said[row.window_id]} for row in rows]


def _labels_of(connection: Connection, window_ids: Sequence[str]) -> dict[str, list[Json]]:
    """Standing labels of these windows, oldest first."""
    label = schema.labels.c
    columns = (label.label_id, label.task, label.value, label.rater, label.source)
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for first in range(0, len(window_ids), MOST_ROWS):
        some = window_ids[first : first + MOST_ROWS]
        chosen = select(label.window_id, *columns).where(label.window_id.in_(some), _STANDING).order_by(label.row)
        for row in connection.execute(chosen):
            entry = dict(row._mapping)
            found[entry.pop("window_id")].append(entry)
    return found


def _urgency(row: Row[Any]) -> float:
    """How much a window is worth a rater's time within its stratum; equal ones keep their order."""
    if row.entropy is None or row.stratum in (Stratum.AUDIT, Stratum.NEIGHBOUR):
        return 0.0
    return float(row.alerting if row.stratum == Stratum.ALERT else row.entropy)


def _varied(
    connection: Connection, rows: list[Row[Any]], limit: int, looks: Looks, given: list[Row[Any]]
) -> list[Row[Any]]:
    """At most `limit`: first those of `POOL` that differ from one another and from what the rater has just had."""
    pool, had = rows[:POOL], given[:JUST_HAD]
    if not pool:
        return []
    seen = looks.of(connection, [row.window_id for row in (*pool, *had)])
    urgency, people = np.array([_urgency(row) for row in pool]), np.array([row.participant for row in (*pool, *had)])
    before = (seen[len(pool) :], people[len(pool) :])
    order = diverse_batch(urgency, seen[: len(pool)], limit, people[: len(pool)], before)
    return [*(pool[i] for i in order), *rows[POOL:]][:limit]


def _features(features: FeatureWindow) -> Json:
    columns = np.array([MODALITY_INDEX[feature.modality] for feature in SECOND_FEATURES])
    seen = features.coverage[:, columns] > 0
    values = [
        [round(float(value), 5) if there else None for value, there in zip(second, mask, strict=True)]
        for second, mask in zip(features.values, seen, strict=True)
    ]
    return {"names": [feature.name for feature in SECOND_FEATURES], "seconds": len(values), "values": values}
