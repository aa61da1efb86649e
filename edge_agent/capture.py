"""From a source to the loop that works on its frames.

A live source is read by a thread into a slot for one frame: a newer frame replaces one that was not taken, so delay
never builds up. A read that blocks is interrupted where the source can do that, which kills the process that hangs in
the device; it is left behind with its thread otherwise. Either way the source is started anew. Other sources are read
by the caller itself: they wait, and lose nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from edge_agent.sources import Frame, Source
from edge_agent.sources.camera import STALL_S

IDLE_S = 0.25
"""The loop hears at least this often, frame or not."""


@runtime_checkable
class Interruptible(Protocol):
    """A source whose device can be taken away from a reader that hangs in it.

    Attributes:
        patience_s: how long the device may be silent now before it counts as hanging.
    """

    patience_s: float

    def interrupt(self) -> None: ...


class LiveCapture:
    """The newest frame of a live source.

    Args:
        source: where frames come from.
        stop: ends the iteration.
        stall_s: how long the source may be silent; as long as it says itself if None.

    Attributes:
        read, dropped: frames that came, and those that were replaced before anyone took them.
        arrived: when the frame that was taken last had come, monotonic seconds.
    """

    def __init__(self, source: Source, stop: threading.Event, stall_s: float | None = None) -> None:
        self._source, self._stop, self._stall_s = source, stop, stall_s
        self._ready = threading.Condition()
        self._slot: Frame | None = None
        self._came = self.arrived = 0.0
        self._generation = 0
        self._error: Exception | None = None
        self._lost = False
        self._last = time.monotonic()
        self.read = self.dropped = 0
        self._start_reader()

    def _start_reader(self) -> None:
        self._generation += 1
        self._last = time.monotonic()
        reader = threading.Thread(target=self._run, args=(self._generation,), name="capture", daemon=True)
        reader.start()

    def _run(self, generation: int) -> None:
        try:
            for frame in self._source.frames():
                if generation != self._generation:
                    return
                if frame is None:
                    self._last, self._lost = time.monotonic(), True
                else:
                    self._put(frame)
        except Exception as error:  # the loop's thread raises it
            with self._ready:
                self._error = error
                self._ready.notify()

    def _put(self, frame: Frame) -> None:
        with self._ready:
            self.read += 1
            self.dropped += self._slot is not None
            self._slot = frame
            self._last = self._came = time.monotonic()
            self._ready.notify()

    def __iter__(self) -> Iterator[Frame | None]:
        """Frames, and None where `IDLE_S` passed without one."""
        while not self._stop.is_set():
            yield self._take()
            if time.monotonic() - self._last > self._patience():
                self.restart()

    def _patience(self) -> float:
        if self._stall_s is None and isinstance(self._source, Interruptible):
            return self._source.patience_s
        return self._stall_s or STALL_S

    def _take(self) -> Frame | None:
        with self._ready:
            if self._slot is None and self._error is None:
                self._ready.wait(IDLE_S)
            if self._error is not None:
                raise self._error
            frame, self._slot, self.arrived = self._slot, None, self._came
            return frame

    def heard_of_loss(self) -> bool:
        """Whether the reader has said since the last question that its device is gone; one that hangs says nothing."""
        lost, self._lost = self._lost, False
        return lost

    def restart(self) -> None:
        """Interrupt the running reader and start another; the source limits how often its device is reopened."""
        if isinstance(self._source, Interruptible):
            self._source.interrupt()
        self._start_reader()


class DirectCapture:
    """All frames of a source that waits for its reader.

    Attributes:
        read, dropped: frames that came, and those of them that cannot be used; no other is ever lost.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.read = self.dropped = 0
        self.arrived = 0.0

    def __iter__(self) -> Iterator[Frame | None]:
        for frame in self._source.frames():
            self.read += 1
            self.dropped += frame is None
            self.arrived = time.monotonic()
            yield frame

    def heard_of_loss(self) -> bool:
        """A recording has no device that could be gone."""
        return False

    def restart(self) -> None:
        """A recording that stands still is as it is."""


Capture = LiveCapture | DirectCapture


def capture(source: Source, stop: threading.Event) -> Capture:
    """The right way to read this source."""
    return LiveCapture(source, stop) if source.live else DirectCapture(source)
