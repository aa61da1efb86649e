"""A few connections to the trainer instead of one: a question that waits for its answer keeps nobody else waiting.

Each browser session asks from a thread of its own. The trainer answers one question after another; what a pool spares
is waiting for somebody else's lost answer, up to the whole patience of each who is before.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, LifoQueue
from typing import Any

from sentry_proto.control import ControlClient

SIZE = 8


class Pool:
    """At most `size` clients, made as they are needed; safe to share between threads.

    Args:
        make: opens a connection.
        size: how many questions can be on their way at once; one more waits for the first that is done.
    """

    def __init__(self, make: Callable[[], ControlClient], size: int = SIZE) -> None:
        self._make = make
        self._idle: LifoQueue[ControlClient | None] = LifoQueue()  # the one used last is taken first
        for _ in range(size):
            self._idle.put(None)

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the trainer over a connection that nobody uses now.

        Raises:
            SentryError: as `ControlClient.call` does.
        """
        client = self._idle.get()
        try:
            client = client or self._make()
            return client.call(method, **params)
        finally:
            self._idle.put(client)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while True:
            try:
                client = self._idle.get_nowait()
            except Empty:
                return
            if client is not None:
                client.close()
