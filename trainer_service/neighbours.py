"""Which windows that agents passed over are wanted after all: the neighbours of those in which the event was found.

While an event is rare, each label that says that it was there makes its agent be asked for the windows around it
(`training.active_learning.neighbours`), a few times, in the pulse; what the agent still has comes as a window like
any other and waits for a label in its turn. A trainer that starts asks again what the last one may not have got.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from sentry_proto.errors import StorageError
from sentry_proto.limits import MAX_WANTED
from sentry_proto.tasks import Task
from sentry_proto.types import Wanted
from trainer_service import schema
from trainer_service.store import Store
from training.active_learning.neighbours import LATELY, is_rare, starts_around

log = logging.getLogger(__name__)

NEAR_S = 2.5
"""A stored window that starts so near to one that is wanted is that one."""

MOST_WAITING = 256
"""For one agent; the oldest are forgotten."""

MOST_AT_ONCE = 64
"""Events of one look whose neighbours are asked for, the newest ones: a file of labels may bring thousands."""

LOOK_BACK_S = 86_400.0
"""Of labels that are older than this at the start, the neighbours have come by now, or will not."""

TIMES = 3
"""How often an agent is told of each, since a pulse may be lost."""


@dataclass
class _Asked:
    wanted: Wanted
    times: int = 0


class Neighbours:
    """Follows the labels; call from one thread only.

    Args:
        store: where labels and windows are.
        tasks: those with an alert rule say what the event is.
        since: Unix seconds; labels that were received before ask for nothing.
    """

    def __init__(self, store: Store, tasks: Iterable[Task], since: float) -> None:
        self._store = store
        self._tasks = {task.name: task for task in tasks if task.alert}
        self._waiting: defaultdict[str, deque[_Asked]] = defaultdict(lambda: deque(maxlen=MOST_WAITING))
        with store.read() as connection:
            before = select(func.max(schema.labels.c.row)).where(schema.labels.c.received < since)
            self._last = connection.scalar(before) or 0

    def of(self, agent: str) -> tuple[Wanted, ...]:
        """What an agent is to be asked for now; each is told `TIMES` times."""
        waiting = self._waiting.get(agent)
        if not waiting:
            return ()
        asked = [waiting[place] for place in range(min(len(waiting), MAX_WANTED))]
        for one in asked:
            one.times += 1
        self._waiting[agent] = deque((one for one in waiting if one.times < TIMES), MOST_WAITING)
        return tuple(one.wanted for one in asked)

    def refresh(self) -> None:
        """Look at the labels that came since the last time."""
        try:
            with self._store.read() as connection:
                found = self._around_new_labels(connection)
        except StorageError as error:
            log.warning("it was not looked which windows are wanted: %s", error)
            return
        for agent, wanted in found:
            self._waiting[agent].append(_Asked(wanted))

    def _around_new_labels(self, connection: Connection) -> list[tuple[str, Wanted]]:
        label, window = schema.labels.c, schema.windows.c
        chosen = (
            select(label.row, label.task, label.value, window.agent, window.participant, window.session, window.start,
                   window.end)
            .join_from(schema.labels, schema.windows, window.window_id == label.window_id)
            .where(label.row > self._last, label.withdrawn.is_(None))
            .order_by(label.row)
        )  # fmt: skip
        rows = connection.execute(chosen).all()
        self._last = rows[-1].row if rows else self._last
        rare = {name for name in {row.task for row in rows} & set(self._tasks) if self._rare(connection, name)}
        found = [row for row in rows if row.task in rare and self._tasks[row.task].is_event(row.value)]
        return [
            (row.agent, Wanted(row.participant, row.session, start))
            for row in found[-MOST_AT_ONCE:]
            for start in _not_stored(connection, row.session, row.end - row.start, starts_around(row.start, row.end))
        ]

    def _rare(self, connection: Connection, task: str) -> bool:
        label = schema.labels.c
        said = select(label.value).where(label.task == task, label.withdrawn.is_(None)).order_by(label.row.desc())
        values = connection.scalars(said.limit(LATELY)).all()
        return is_rare(sum(bool(self._tasks[task].is_event(value)) for value in values), len(values))


def _not_stored(connection: Connection, session: str, length: float, starts: Sequence[float]) -> list[float]:
    """Those of the starts at which no window of a session is known."""
    window = schema.windows.c
    ends = (min(starts) + length - NEAR_S, max(starts) + length + NEAR_S)
    chosen = select(window.start).where(window.session == session, window.end.between(*ends))
    known = connection.scalars(chosen).all()
    return [start for start in starts if all(abs(start - one) > NEAR_S for one in known)]
