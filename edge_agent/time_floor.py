"""How late it is at least, whatever this machine's clock says.

A clock in the past would lift the protection against frozen updates. But the newest timestamp that was verified says
when the trainer signed it, and it is later than that by as long as this process has known it, which no clock on a wall
measures. The file is The Update Framework's own and outlives a restart.

The trainer's clock may be the wrong one. So a timestamp with a higher number that names an earlier time is believed: it
is the trainer's later word on the time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Timestamp

from sentry_proto.bundle import TIMESTAMP_LIFE_S


class TimeFloor:
    """The least time that it can be.

    Args:
        path: of the newest timestamp that was verified; it need not be there yet.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._version, self._signed, self._known_since = 0, 0.0, 0.0

    def least(self) -> float:
        """Unix seconds; 0 while nothing was ever verified."""
        try:
            signed = json.loads(self._path.read_bytes())["signed"]
            version, expires = int(signed["version"]), datetime.fromisoformat(signed["expires"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0  # the next check fetches it again
        if version != self._version:
            self._version, self._known_since = version, self._clock()
            self._signed = expires.timestamp() - TIMESTAMP_LIFE_S
        return self._signed + self._clock() - self._known_since

    def revised_by(self, timestamp: Timestamp) -> bool:
        """Whether this is a later word of the trainer, and names an earlier time, than what the floor rests on."""
        return timestamp.version > self._version and timestamp.expires.timestamp() - TIMESTAMP_LIFE_S < self._signed
