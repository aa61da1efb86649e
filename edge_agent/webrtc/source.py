"""A participant's stream as a source of frames: whoever receives puts, the loop takes the newest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from edge_agent.sources.base import Frame, Image

IDLE_S = 0.25


class PeerSource:
    """A slot for one picture; a newer one takes its place, so that delay never builds up.

    Args:
        participant, session: whose frames these are.
        stop: set to end the run.

    Attributes:
        received, replaced: pictures that were put, and those that nobody took.
    """

    live = True
    clock_rate = 1.0

    def __init__(self, participant: str, session: str, stop: threading.Event) -> None:
        self.name = f"the browser of {participant}"
        self.received = self.replaced = 0
        self._participant, self._session, self._stop = participant, session, stop
        self._ready = threading.Condition()
        self._slot: tuple[Callable[[], Image], float] | None = None
        self._turn = 0

    def put(self, picture: Callable[[], Image], t: float) -> None:
        """Offer a picture captured at Unix second `t`; it is converted only if it is taken."""
        with self._ready:
            self.received += 1
            self.replaced += self._slot is not None
            self._slot = (picture, t)
            self._ready.notify()

    def frames(self) -> Iterator[Frame | None]:
        """Frames until the run ends or this is called anew; None where none came for `IDLE_S`."""
        self._turn += 1
        turn, index = self._turn, 0
        while turn == self._turn and not self._stop.is_set():
            taken = self._take()
            if taken is None:
                yield None
                continue
            yield Frame(taken[0](), taken[1], self._participant, self._session, index)
            index += 1

    def _take(self) -> tuple[Callable[[], Image], float] | None:
        with self._ready:
            if self._slot is None:
                self._ready.wait(IDLE_S)
            taken, self._slot = self._slot, None
            return taken

    def close(self) -> None:
        """Forget the picture that nobody took."""
        self._slot = None
