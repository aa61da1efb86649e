"""What every part of the control API has: the store, and who asks."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from trainer_service import audit
from trainer_service.audit import Entry
from trainer_service.roles import Actor, Role
from trainer_service.store import Store


class Answering:
    """Answers one request; `ControlApi` makes a copy for each, which knows who asks."""

    _store: Store
    _actor = Actor("", Role.GUEST)

    def _entry(self, action: str, target: str, participant: str | None = None, details: str = "") -> Entry:
        return Entry(time.time(), self._actor, action, target, participant, details)

    def _note(
        self, connection: Connection, action: str, target: str, participant: str | None = None, details: str = ""
    ) -> None:
        """Write a change to the audit log, in its own transaction."""
        audit.put(connection, self._entry(action, target, participant, details))
