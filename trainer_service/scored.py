"""Scored windows as the rates need them: side by side in arrays, read from the narrow table of scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, FromClause, Integer, Text, cast, func, select

from sentry_proto.tasks import Task
from sentry_proto.types import Stratum
from trainer_service import schema
from trainer_service.store import MONDAY_S, WEEK_S
from training.evaluation.rates import JudgedWindows

CLUSTER_S = 60
"""Windows overlap: those of one session that start within the same minute count as a cluster, not as independent."""

GROUPINGS = ("model_version", "agent", "participant", "week")
UNSAID = 0.05
"""Audit probability of a window whose agent did not say: the agents' default."""

PROBABILITIES = cast(schema.scores.c.probabilities, Text).label("probabilities")
"""As text: `event_probabilities` reads those of many windows at once."""

SHOWN: list[ColumnElement[Any]] = [
    *(
        schema.scores.c[name]
        for name in (
            "window_id", "model_version", "agent", "participant", "session", "start", "stratum", "draw", "alerting",
            "generic_alerting",
        )
    ),
    PROBABILITIES,
]  # fmt: skip
_SESSION = 2**32

Group = int | str
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """Windows of one task, as the head that decided on alerts saw them.

    Attributes:
        model_version, agent, participant, week: [n], what they can be grouped by.
        cluster: int [n], equal for windows that resemble each other.
        draw: float [n], the probability with which it was or would have been drawn at random.
        blind: bool [n], whether it was drawn at random.
        confidence: float [n], how probable the head called the event.
        on: bool [n], whether the alert was on.
        offset, generic_on: bool [n], whether a personal offset decided, and whether the alert had been on without.
    """

    model_version: NDArray[np.int64]
    agent: NDArray[np.object_]
    participant: NDArray[np.object_]
    week: NDArray[np.int64]
    cluster: NDArray[np.int64]
    draw: Floats
    blind: Bools
    confidence: Floats
    on: Bools
    offset: Bools
    generic_on: Bools

    def __len__(self) -> int:
        return len(self.on)

    def where(self, chosen: NDArray[Any]) -> Seen:
        """Some of them, by a mask or by their places."""
        return Seen(**{name: column[chosen] for name, column in vars(self).items()})

    def mask(self, where: Mapping[str, Any]) -> Bools:
        """Which belong to all of these groups, by `GROUPINGS`: bool [n]."""
        chosen = np.ones(len(self), bool)
        for name, value in where.items():
            chosen &= np.asarray(getattr(self, name) == value, bool)
        return chosen

    def with_more(self, others: Seen) -> Seen:
        """These, then others."""
        return Seen(**{name: np.concatenate([column, getattr(others, name)]) for name, column in vars(self).items()})

    def sample(self, event: Floats, on: bool, *, all_sent: bool = False) -> JudgedWindows:
        """Those in which the alert was on, or the others, for `training.evaluation.rates`.

        Args:
            event: float [n], whether or how probably the event was there.
            on: which ones.
            all_sent: whether these were sent without being drawn.
        """
        some = self.on == on
        draw = np.ones(int(some.sum())) if all_sent else self.draw[some]
        return JudgedWindows(event[some], draw, self.cluster[some])


@dataclass(frozen=True)
class Judged:
    """Judged windows, and whether the event was there: float [n]."""

    seen: Seen
    event: Floats

    def where(self, chosen: NDArray[Any]) -> Judged:
        """Some of them."""
        return Judged(self.seen.where(chosen), self.event[chosen])

    def generic(self) -> Judged:
        """The same windows as the generic head would have called them."""
        return replace(self, seen=replace(self.seen, on=self.seen.generic_on))

    def counted(self) -> Judged:
        """Those that are a sample: all in which the alert was on, and of the quiet ones those drawn at random."""
        return self.where(self.seen.on | self.seen.blind)

    def sample(self, on: bool) -> JudgedWindows:
        """Those in which the alert was on, which are all sent, or the others."""
        return self.seen.sample(self.event, on, all_sent=on)


def seen_of(task: Task, rows: Sequence[Sequence[Any]], sessions: dict[str, int]) -> Seen:
    """Rows of `SHOWN` side by side.

    Args:
        task: whose scores they are.
        rows: of the table of scores.
        sessions: the numbers of sessions seen before; new ones are added.
    """
    columns: Any = list(zip(*rows, strict=True)) or [()] * len(SHOWN)
    _, version, agent, participant, session, start, stratum, draw, alerting, generic, probabilities = columns
    starts = np.array(start, float)
    number = np.array([sessions.setdefault(name, len(sessions)) for name in session], np.int64)
    return Seen(
        model_version=np.array(version, np.int64),
        agent=np.array(agent, object),
        participant=np.array(participant, object),
        week=((starts + MONDAY_S) // WEEK_S).astype(np.int64),
        cluster=number * _SESSION + (starts // CLUSTER_S).astype(np.int64),
        draw=np.array([chance or UNSAID for chance in draw], float),
        blind=np.array([name == Stratum.AUDIT.value for name in stratum], bool),
        confidence=event_probabilities(task, probabilities),
        on=np.array(alerting, bool),
        offset=np.array([said is not None for said in generic], bool),
        generic_on=np.array(generic, bool),
    )


def newest_label(window_id: ColumnElement[str], task: str) -> tuple[FromClause, ColumnElement[bool]]:
    """The newest standing label of a window, to be joined, and the condition for that."""
    said, label = schema.labels.alias("said"), schema.labels.alias("standing").c
    newest = select(func.max(label.row)).where(
        label.window_id == window_id, label.task == task, label.withdrawn.is_(None)
    )
    return said, said.c.row == newest.scalar_subquery()


def event_probabilities(task: Task, probabilities: Sequence[str]) -> Floats:
    """How probable the event is in each window: float [n], from one probability per class, as JSON."""
    events = np.array([task.alert is not None and name in task.alert.classes for name in task.classes], float)
    given = np.array(json.loads(f"[{','.join(probabilities)}]"), float)
    return np.asarray(np.minimum(1.0, given.reshape(-1, len(events)) @ events))


def columns_of(table: Any) -> dict[str, ColumnElement[Any]]:
    """What a table of scores or alerts can be grouped by."""
    week = cast(func.floor((table.c.start + MONDAY_S) / WEEK_S), Integer)  # PostgreSQL rounds by itself
    return {**{name: table.c[name] for name in GROUPINGS if name != "week"}, "week": week}


def chosen_by(columns: Mapping[str, ColumnElement[Any]], where: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """The conditions that choose one group of each of these groupings."""
    return [columns[name] == value for name, value in where.items()]
