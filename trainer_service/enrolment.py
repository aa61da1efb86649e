"""The allow-list as a running trainer keeps it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from sentry_proto.errors import KeyFileError
from sentry_proto.keys import AllowList

log = logging.getLogger(__name__)

UNREADABLE_S = 3.0
"""A list that cannot be read for so long lets nobody in: with a look every second, a revoked key is out within 5 s."""


class Enrolment(AllowList):
    """An allow-list that follows its file: at once for a new key, and for a revoked one with the next `refresh`.

    Args:
        path: of the file.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unread_since = math.inf
        self._closed = False
        super().__init__(path)

    def name_of(self, public: str, role: str) -> str | None:
        """The name enrolled with this key for this role, or None; a stranger is looked up in the newest list."""
        name = super().name_of(public, role)
        if name is None and self.refresh():
            return super().name_of(public, role)
        return name

    def names(self, role: str) -> list[str]:
        """Who is enrolled for a role and not revoked."""
        return [name for name, entry in self.entries.items() if entry["role"] == role and entry["revoked"] is None]

    def refresh(self) -> bool:
        """Reread the file if it has changed; one that stays unreadable may hide a revocation, so it lets nobody in."""
        try:
            changed = super().refresh()
        except KeyFileError as error:
            self._unread(str(error))
            return False
        self._unread_since, self._closed = math.inf, False
        return changed

    def _unread(self, words: str) -> None:
        now = self._clock()
        if math.isinf(self._unread_since):
            self._unread_since = now
            log.warning("%s; the list as it was stays in force for %g s", words, UNREADABLE_S)
        elif not self._closed and now - self._unread_since >= UNREADABLE_S:
            self._closed = True
            self.close()
            log.error("%s: nobody is let in until it can be read", words)
