"""The allow-list as a running trainer keeps it."""

from __future__ import annotations

import logging

from sentry_proto.errors import KeyFileError
from sentry_proto.keys import AllowList

log = logging.getLogger(__name__)


class Enrolment(AllowList):
    """An allow-list that follows its file: at once for a new key, and for a revoked one with the next `refresh`."""

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
        """Reread the file if it has changed; one that cannot be read leaves the list as it was."""
        try:
            return super().refresh()
        except KeyFileError as error:
            log.warning("%s; the list as it was stays in force", error)
            return False
