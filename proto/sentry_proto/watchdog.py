"""Tells systemd that a service works, by sd_notify(3): a line of text to a datagram socket.

The watchdog is fed only by work that is done: the agent's when a frame has passed through all of the chain, the
trainer's when all its stages go on (`Progress`). A process that merely lives, with one stage in a deadlock, or a reader
of which nothing is heard, is restarted after `WatchdogSec`. An agent whose reader says that the camera is gone is left
alone: nothing can pass then, and a restart brings no camera back. Without systemd nobody is told.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Progress:
    """When a stage was last seen to go on; written by the stage, read by whoever feeds the watchdog.

    Args:
        patience_s: the longest that it may rightly take from one sign to the next.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._last = time.monotonic()

    def passed(self) -> None:
        """The stage goes on."""
        self._last = time.monotonic()

    def stalled(self, now: float) -> bool:
        """Whether it has given no sign for too long, at `now` in monotonic seconds."""
        return now - self._last > self._patience_s


class Watchdog:
    """One service's line to its manager.

    Args:
        address: of the manager's socket, `@` for the abstract name space; None for no manager.
        timeout_s: after which the manager restarts the service; None for no watchdog.
    """

    def __init__(self, address: str | None, timeout_s: float | None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._interval = timeout_s / 4 if timeout_s else None
        self._fed = float("-inf")
        self._status = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Watchdog:
        """The manager that the environment of this process names."""
        for_us = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        limit = environment.get("WATCHDOG_USEC", "") if for_us else ""
        return cls(environment.get("NOTIFY_SOCKET"), int(limit) / 1e6 if limit.isdecimal() and int(limit) else None)

    def passed(self, now: float) -> None:
        """Work was done at `now`, monotonic seconds; the first time this says that the service is ready."""
        self._feed(now, "working")

    def waits(self, now: float) -> None:
        """There was no work at `now`, since the camera is known to be gone; a service that waits is ready, too."""
        self._feed(now, "waiting for the camera")

    def _feed(self, now: float, status: str) -> None:
        if status != self._status:
            self._send(f"STATUS={status}" if self._status else f"READY=1\nSTATUS={status}")
            self._status = status
        if self._interval is not None and now - self._fed >= self._interval:
            self._fed = now
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """The service ends by itself."""
        self._send("STOPPING=1")
        if self._socket is not None:
            self._socket.close()

    def _send(self, text: str) -> None:
        if self._socket is not None and self._address:
            with contextlib.suppress(OSError):  # the manager is gone or busy: nothing that the agent could mend
                self._socket.sendto(text.encode(), socket.MSG_DONTWAIT, self._address)


def watchdog() -> Watchdog:
    """This process's own."""
    return Watchdog.of(os.environ, os.getpid())
