"""Failed sign-ins cost time: after `MOST_PER_NAME` for one name, or `MOST` for all, none is looked at for a while.

Refusing costs nothing, while checking a password takes a core for a fifth of a second. What is counted lives in memory:
a restart of the trainer forgets it.
"""

from __future__ import annotations

from collections import deque

from sentry_proto.errors import RequestRefused

WITHIN_S = 300.0
MOST_PER_NAME, MOST = 5, 40


class Throttle:
    """Counts failures; knows no clock."""

    def __init__(self) -> None:
        self._failed: deque[tuple[float, str]] = deque()

    def check(self, name: str, now: float) -> None:
        """Whether a sign-in may be tried; `now` in monotonic seconds.

        Raises:
            RequestRefused: with how long to wait.
        """
        while self._failed and now - self._failed[0][0] >= WITHIN_S:
            self._failed.popleft()
        own = [when for when, whose in self._failed if whose == name]
        if len(own) < MOST_PER_NAME and len(self._failed) < MOST:
            return
        first = own[-MOST_PER_NAME] if len(own) >= MOST_PER_NAME else self._failed[-MOST][0]
        wait = first + WITHIN_S - now
        raise RequestRefused(f"too many failed sign-ins; try again in {max(wait, 1):.0f} s")

    def failed(self, name: str, now: float) -> None:
        """Count a failure."""
        self._failed.append((now, name))

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        self._failed = deque(entry for entry in self._failed if entry[1] != name)
