"""Until when each signature of the update repository is valid, and who may give it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tuf.api.metadata import Metadata, Role, Root, Targets

from trainer_service.keyring import Home
from trainer_service.publisher import TIMESTAMP
from trainer_service.repository import HEADS, newest

SOON = timedelta(days=365)
"""An offline signature that ends within this time needs its custodians: write it into the calendar."""

OFFLINE = (Root.type, Targets.type)


@dataclass(frozen=True)
class Expiry:
    """One role: its newest metadata's version and end, and how many of how many keys sign it."""

    role: str
    version: int
    expires: datetime
    threshold: int
    keys: int

    def words(self, now: datetime) -> str:
        """One line for a technician."""
        who = f"{self.threshold} of {self.keys} {'offline' if self.role in OFFLINE else 'online'}"
        until = f"until {self.expires:%Y-%m-%d %H:%M} UTC, {self._advice(self.expires - now)}"
        return f"{self.role:10} version {self.version:<6} {who:16} {until}"

    def _advice(self, left: timedelta) -> str:
        offline = self.role in OFFLINE
        if left < timedelta(0):
            mend = "sentry-keys rotate root" if offline else "start the trainer, which signs anew"
            return f"RUN OUT: agents say frozen; {mend}"
        if offline and left < SOON:
            return f"{left.days} days left: sentry-keys rotate root"
        return f"{left.days} days left" if offline else "signed anew every day while the trainer runs"

    def as_json(self, now: datetime) -> dict[str, Any]:
        """The same for programs; `seconds_left` is negative once it has run out."""
        left = round((self.expires - now).total_seconds())
        return {**vars(self), "expires": self.expires.isoformat(), "seconds_left": left}


def of(home: Home) -> list[Expiry]:
    """All roles, those of the offline keys first."""
    metadata = home.repository / "metadata"
    root, targets = newest(metadata, Root.type), newest(metadata, Targets.type)
    signed = {
        Root.type: root,
        Targets.type: targets,
        HEADS: newest(metadata, HEADS),
        "snapshot": newest(metadata, "snapshot"),
        "timestamp": Metadata[Any].from_file(str(metadata / TIMESTAMP)).signed,
    }
    roles: dict[str, Role] = {**root.roles, HEADS: targets.delegations.roles[HEADS]}
    return [
        Expiry(name, entry.version, entry.expires, roles[name].threshold, len(roles[name].keyids))
        for name, entry in signed.items()
    ]
