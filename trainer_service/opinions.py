"""What raters hold of a task now, kept in step with the store by reading only the labels that came.

A correction replaces what its rater said of the window before. What was withdrawn or erased cannot be told from what
comes, so then all is read anew.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from sentry_proto.tasks import Task
from trainer_service import schema
from trainer_service.expression import UNSAID
from trainer_service.labels import Opinion
from trainer_service.raters import Weighing, weigh


class OpinionFeed:
    """The opinions on one task, on windows that one expression model saw.

    A window from before its person's baseline is left out, since no head scores it.

    Args:
        task: its name.
        names: of the expression model, see `expression.names_of`.
    """

    def __init__(self, task: str, names: tuple[str, ...] = UNSAID) -> None:
        self._task, self._names = task, names
        self._start_over()

    def _start_over(self) -> None:
        self._last = self._count = 0
        self._held: list[Opinion] = []
        self._confidence: list[float] = []
        self._places: defaultdict[str, dict[str, int]] = defaultdict(dict)  # window -> rater -> place in the list

    def read(self, connection: Connection) -> list[Opinion]:
        """All opinions that stand, in the order of the windows' first labels."""
        label = schema.labels.c
        stands = (label.task == self._task) & label.withdrawn.is_(None)
        known = select(func.count()).select_from(schema.labels).where(stands, label.row <= self._last)
        if connection.scalar(known) != self._count:
            self._start_over()
        for row in connection.execute(_CHOSEN.where(stands, label.row > self._last).order_by(label.row)):
            self._last, self._count = row.row, self._count + 1
            if row.baseline_seconds > 0 and row.expression in self._names:
                self._take(row)
        return list(self._held)

    def _take(self, row: Any) -> None:
        opinion = Opinion(
            window_id=row.window_id,
            participant=sys.intern(row.participant),
            session=sys.intern(row.session),
            partition=sys.intern(row.partition),
            start=row.start,
            value=sys.intern(row.value),
            weight=row.confidence,
            rater=sys.intern(row.rater),
        )
        places = self._places[row.window_id]
        place = places.setdefault(opinion.rater, len(self._held))
        if place == len(self._held):
            self._held.append(opinion)
            self._confidence.append(opinion.weight)
        else:
            self._held[place], self._confidence[place] = opinion, opinion.weight
        for other in places.values() if len(places) > 1 else ():
            self._held[other] = replace(self._held[other], weight=self._confidence[other] / len(places))


def weighed(task: Task, held: Sequence[Opinion]) -> Weighing:
    """How much each opinion counts, and how far their raters agree."""
    return weigh(
        [opinion.window_id for opinion in held],
        [opinion.rater for opinion in held],
        allowed_by(task, held),
        task.kind == "ordinal",
        np.array([opinion.weight for opinion in held]),
    )


def allowed_by(task: Task, held: Sequence[Opinion]) -> NDArray[np.bool_]:
    """Which classes each opinion leaves possible, bool [N, C]."""
    rows = {value: [name in task.allowed(value) for name in task.classes] for value in {one.value for one in held}}
    return np.array([rows[opinion.value] for opinion in held], bool).reshape(len(held), len(task.classes))


_label, _window, _person = schema.labels.c, schema.windows.c, schema.people.c
_CHOSEN = select(
    _label.row, _label.window_id, _label.rater, _label.value, _label.confidence,
    _window.participant, _window.session, _window.start, _window.baseline_seconds, _window.expression,
    _person.partition,
).select_from(
    schema.labels.join(schema.windows, _label.window_id == _window.window_id).join(
        schema.people, _window.participant == _person.participant
    )
)  # fmt: skip
