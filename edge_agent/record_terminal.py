"""The participant's side of a recording: words go to standard error, lines come from standard input.

A thread reads, so that nobody who thinks about an answer holds up a frame. It reads the descriptor itself: a thread
that sleeps inside `sys.stdin` would hold its lock when the process ends.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time

POLL_S = 0.1

PATIENCE_S = 600.0
"""A person who is asked while nothing is recorded may take this long."""

PIPE_PATIENCE_S = 60.0
"""And a program at the other end of a pipe this long."""

LONGEST_LINE = 1 << 12


class Terminal:
    """Lines in, words out.

    Args:
        descriptor: to read from; None for nobody who could answer.

    Attributes:
        person: whether somebody types; otherwise the lines come from a file or a pipe, and early ones wait their turn.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._ended = threading.Event()
        self.person = descriptor is not None and os.isatty(descriptor)
        if descriptor is None:
            self._ended.set()
        else:
            threading.Thread(target=self._read, args=(descriptor,), name="answers", daemon=True).start()

    def _read(self, descriptor: int) -> None:
        rest = b""
        try:
            while piece := os.read(descriptor, LONGEST_LINE):
                *whole, rest = (rest + piece).split(b"\n")
                rest = rest[-LONGEST_LINE:]
                for line in whole:
                    self._lines.put(line.decode(errors="replace"))
        except OSError:  # a terminal that has gone, or that another job reads from, is one where nobody answers
            pass
        if rest:
            self._lines.put(rest.decode(errors="replace"))
        self._ended.set()

    @property
    def closed(self) -> bool:
        """Whether no line will come any more."""
        return self._ended.is_set() and self._lines.empty()

    def line(self) -> str | None:
        """The next line, if there is one already."""
        try:
            return self._lines.get_nowait()
        except queue.Empty:
            return None

    def wait(self, stop: threading.Event) -> str | None:
        """The next line; None once patience is over, nobody can answer any more, or `stop` is set."""
        end = time.monotonic() + (PATIENCE_S if self.person else PIPE_PATIENCE_S)
        while not (stop.is_set() or self.closed) and time.monotonic() < end:
            try:
                return self._lines.get(timeout=POLL_S)
            except queue.Empty:
                continue
        return None

    def say(self, words: list[str]) -> None:
        """Show some lines."""
        for line in words:
            print(line, file=sys.stderr, flush=True)


def standard_input() -> int | None:
    """The descriptor of standard input; None where it is closed."""
    try:
        return sys.stdin.fileno() if sys.stdin else None
    except (OSError, ValueError):
        return None
