"""What every part of the control API has: the store, the tasks, the learner, and who asks."""

from __future__ import annotations

import time
from typing import Any, Protocol

from sqlalchemy import Connection

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from trainer_service import audit
from trainer_service.audit import Entry
from trainer_service.roles import Actor, Role
from trainer_service.store import Store
from trainer_service.study import Study

Json = dict[str, Any]


class Rolling(Protocol):
    """What the API needs of the rollout."""

    def offered(self, agent: str) -> int:
        """The version that this agent is offered; 0 for none."""

    def is_canary(self, agent: str) -> bool:
        """Whether it tries that version before the others."""

    def describe(self) -> Json | None:
        """The trial of a version; None while there is none."""


class Learning(Protocol):
    """What the API needs of the learner."""

    @property
    def model_version(self) -> int:
        """The version that agents are offered; 0 for none."""

    @property
    def rollout(self) -> Rolling:
        """Who is offered what."""

    def describe(self) -> Json:
        """State, last run, last verdict and what it waits for."""

    def nudge(self) -> None:
        """Labels have changed."""

    def retrain(self) -> None:
        """Run now."""

    def rollback(self, to: int | None, entry: Entry) -> int:
        """Publish an old version's heads again, with that entry of the audit log; returns the new version."""

    def apply_threshold(self, task: str, threshold: float, entry: Entry, version: int | None) -> int:
        """Publish the live heads, if they are of this version, with another alert threshold; returns the new one."""


class Answering:
    """Answers one request; `ControlApi` makes a copy for each, which knows who asks."""

    _store: Store
    _tasks: dict[str, Task]
    _learner: Learning
    _study: Study
    _actor = Actor("", Role.GUEST)

    def _entry(self, action: str, target: str, participant: str | None = None, details: str = "") -> Entry:
        return Entry(time.time(), self._actor, action, target, participant, details)

    def _note(
        self, connection: Connection, action: str, target: str, participant: str | None = None, details: str = ""
    ) -> None:
        """Write a change to the audit log, in its own transaction."""
        audit.put(connection, self._entry(action, target, participant, details))

    def _note_reading(self, action: str, participant: str | None) -> None:
        """Write down that this caller reads what is personal."""
        with self._store.write() as connection:
            audit.put_reading(connection, self._entry(action, "", participant))

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            raise InputError(f"task {name[:40]!r} is not configured; known are {', '.join(self._tasks)}")
        return self._tasks[name]
