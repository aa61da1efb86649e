"""How far raters agree: kappa of each pair (see `raters`), over the opinions that the learner weighs."""

from __future__ import annotations

from threading import Lock
from typing import Any

from sqlalchemy import Connection

from sentry_proto.tasks import Task
from trainer_service.labels import Opinion
from trainer_service.opinions import OpinionFeed, weighed
from trainer_service.raters import Pair, Weighing
from trainer_service.roles import Actor, Role


class AgreementFeed:
    """What became of the raters of one task, weighed anew when labels have changed; safe to share between threads.

    Args:
        task: whose labels are read.
        names: of the expression model in force, see `expression.names_of`.
    """

    def __init__(self, task: Task, names: tuple[str, ...]) -> None:
        self._task, self._feed = task, OpinionFeed(task.name, names)
        self._lock = Lock()
        self._held: list[Opinion] = []
        self._weighing = weighed(task, [])

    def read(self, connection: Connection) -> Weighing:
        """What holds now."""
        with self._lock:
            held = self._feed.read(connection)
            if held != self._held:
                self._held, self._weighing = held, weighed(self._task, held)
            return self._weighing


def describe(task: str, weighing: Weighing, actor: Actor) -> dict[str, Any]:
    """What the control API says to this actor: only admins learn what is true of others."""
    known = [pair for pair in weighing.pairs if pair.kappa is not None and actor.name in (pair.first, pair.second)]
    told = actor.role >= Role.ADMIN
    return {
        "task": task,
        "own": {"raters": len(known), "windows": sum(pair.windows for pair in known), "kappa": _mean(known)},
        "pairs": [vars(pair) for pair in weighing.pairs] if told else None,
        "trust": weighing.trust if told else None,
    }


def _mean(pairs: list[Pair]) -> float | None:
    """Mean kappa, by windows shared."""
    windows = sum(pair.windows for pair in pairs)
    return sum(pair.windows * pair.kappa for pair in pairs if pair.kappa is not None) / windows if windows else None
