"""The personal offsets that are in force, read from the labels in the store.

Nothing of it is stored. A person's offsets are computed anew when one of that person's labels came or went, from the
labels that stand and from what the live heads had said of those windows; so a withdrawn label and an erased person
take effect with the next look, and a trainer that starts knows what the last one knew. Raters whose labels the last run
doubted are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from sentry_proto.tasks import Task
from sentry_proto.types import Offset
from trainer_service import schema
from trainer_service.store import Store
from training.evaluation.personal import PersonalFinding, PersonWindows, judge_offset

LEAST_LABELS = 20
"""A person with fewer is not looked at."""

Json = dict[str, Any]
Findings = Mapping[str, PersonalFinding]


class PersonalOffsets:
    """Keeps everybody's offsets in step with the store; `refresh` in one thread, all else in any."""

    def __init__(self, store: Store, tasks: Sequence[Task]) -> None:
        self._store = store
        self._tasks = {task.name: task for task in tasks}
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._extent: tuple[Any, ...] = ()
        self._found: Mapping[str, Findings] = {}

    def of(self, participant: str) -> tuple[Offset, ...]:
        """The offsets that are in force for a person."""
        found = self._found.get(participant, {})
        return tuple(Offset(participant, task, tuple(one.logits.tolist())) for task, one in found.items() if one.used)

    def describe(self) -> Json:
        """Person -> task -> what was found, in plain JSON values."""
        return {
            person: {task: {**asdict(one), "logits": one.logits.tolist()} for task, one in found.items()}
            for person, found in sorted(self._found.items())
        }

    def refresh(self) -> None:
        """Look again at everybody of whom a label came or went."""
        with self._store.read() as connection:
            doubted = _doubted(connection)
            extent = (*_extent(connection), doubted)
            if extent == self._extent:
                return
            people = {name: (*counts, doubted) for name, counts in _people(connection).items()}
        fresh = dict(self._found)
        for person in [name for name in fresh if name not in people]:
            del fresh[person]
        for person in [name for name, state in people.items() if self._seen.get(name) != state]:
            fresh[person] = self._judge(person, doubted)
        self._found, self._seen, self._extent = fresh, people, extent

    def _judge(self, person: str, doubted: frozenset[tuple[str, str]]) -> Findings:
        with self._store.read() as connection:
            rows = [row for row in _opinions(connection, person) if (row.task, row.rater) not in doubted]
        by_task: defaultdict[str, list[Any]] = defaultdict(list)
        for row in rows:
            by_task[row.task].append(row)
        found = {}
        for name, some in by_task.items():
            task = self._tasks.get(name)
            seen = _windows(task, some) if task is not None else None
            if task is not None and seen is not None:
                found[name] = judge_offset(task, seen)
        return found


_STANDS = schema.labels.c.withdrawn.is_(None)
_LABELLED = schema.labels.join(schema.windows, schema.labels.c.window_id == schema.windows.c.window_id)


def _extent(connection: Connection) -> tuple[int, int]:
    """How many labels stand, and the row of the newest: while both stay, nothing came or went."""
    row = schema.labels.c.row
    count, newest = connection.execute(select(func.count(row), func.max(row)).where(_STANDS)).one()
    return count, newest or 0


def _people(connection: Connection) -> dict[str, tuple[int, int]]:
    """The same per person with enough of them."""
    person, row = schema.windows.c.participant, schema.labels.c.row
    counted = select(person, func.count(row), func.max(row)).select_from(_LABELLED).where(_STANDS).group_by(person)
    counted = counted.having(func.count(row) >= LEAST_LABELS)
    return {name: (count, newest) for name, count, newest in connection.execute(counted)}


def _doubted(connection: Connection) -> frozenset[tuple[str, str]]:
    """Task and rater wherever the last run did not trust the rater's labels."""
    decision = schema.decisions.c
    newest = select(func.max(decision.row)).where(decision.labels > 0).group_by(decision.task)
    rows = connection.execute(select(decision.task, decision.metrics).where(decision.row.in_(newest)))
    return frozenset((task, rater) for task, metrics in rows for rater in metrics.get("raters", {}).get("doubted", ()))


def _opinions(connection: Connection, person: str) -> list[Any]:
    """The newest label of each rater on each of a person's windows that a head had scored."""
    label, window = schema.labels.c, schema.windows.c
    columns = (
        label.task, label.window_id, label.rater, label.value, label.confidence,
        window.session, window.start, window.end, window.predictions,
    )  # fmt: skip
    of_person = (window.participant == person) & (window.model_version > 0)
    rows = connection.execute(select(*columns).select_from(_LABELLED).where(_STANDS, of_person).order_by(label.row))
    newest: dict[tuple[str, str, str], Any] = {(row.task, row.window_id, row.rater): row for row in rows}
    return list(newest.values())


def _windows(task: Task, rows: Sequence[Any]) -> PersonWindows | None:
    """The windows of which a head with these classes had said something; None for none."""
    raters = Counter(row.window_id for row in rows)
    said = [(row, _generic(task, row.predictions)) for row in rows]
    known = [(row, generic) for row, generic in said if generic is not None]
    if not known:
        return None
    allowed = [[name in task.allowed(row.value) for name in task.classes] for row, _ in known]
    return PersonWindows(
        np.array(allowed),
        np.array([generic for _, generic in known], float),
        np.array([row.confidence / raters[row.window_id] for row, _ in known], float),
        np.array([row.start for row, _ in known], float),
        np.array([row.end for row, _ in known], float),
        [row.session for row, _ in known],
    )


def _generic(task: Task, predictions: Sequence[Mapping[str, Any]]) -> Sequence[float] | None:
    said: Sequence[float] | None = next((p["probabilities"] for p in predictions if p["task"] == task.name), None)
    return said if said is not None and len(said) == len(task.classes) else None
