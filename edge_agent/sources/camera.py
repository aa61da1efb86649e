"""Live sources: a camera of this machine, or a stream of the network. Loss heals by reopening the device.

A device is reopened when a read fails; where one blocks, `edge_agent.capture` interrupts it and starts `frames` anew.
Attempts wait 1, 2, 4, ... 12 s for one another and are at most 5 in any minute. A local camera that is unplugged is
not tried at all until its device is back, nor a network camera until somebody listens there, so that it can be reopened
at once. Why one cannot be opened is logged once.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import cv2

from edge_agent.sources.base import Frame, session_name
from edge_agent.sources.device import Device, Shot, StreamClock, driver_time
from perception.pictures import as_bgr, fitted, is_picture
from perception.video import Thinner
from sentry_proto.errors import CameraError
from sentry_proto.json_log import fields

log = logging.getLogger(__name__)

MOST_REOPENS = 5
REOPEN_SPAN_S = 60.0
LONGEST_WAIT_S = 12.0
POLL_S = 0.25
STALL_S = 4.0
"""A device that says nothing for this long hangs."""

LONGEST_OPENING_S = 10.0
"""A device that opens slowly is given more time than one that plays, and not more than this unless it needs it."""

STREAM_TIMEOUT_MS = 5_000
ANSWER_S = 1.0
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""The kinds of streams, and where their servers listen unless the address says so."""


class ReopenBudget:
    """When a lost device may be tried again; pure."""

    def __init__(self) -> None:
        self._attempts: deque[float] = deque(maxlen=MOST_REOPENS)
        self._wait = 1.0

    def due(self, now: float) -> bool:
        """Whether an attempt is allowed at `now`, monotonic seconds."""
        if not self._attempts:
            return True
        full = len(self._attempts) == MOST_REOPENS and now - self._attempts[0] < REOPEN_SPAN_S
        return not full and now - self._attempts[-1] >= self._wait

    def attempted(self, now: float) -> None:
        """An attempt is made; the next one waits longer."""
        if self._attempts:
            self._wait = min(2 * self._wait, LONGEST_WAIT_S)
        self._attempts.append(now)

    def healed(self) -> None:
        """A frame came."""
        self._wait = 1.0


class LiveSource:
    """A camera or stream of one participant.

    Args:
        name: for people.
        opener: opens the device or raises CameraError.
        participant: who sits before it.
        stop: set to end the run.
        fps: most frames a second to yield; None for all.
        present: whether it makes sense to try.
        first: the device, where it is open already.
        open_s: how long it may take from opening a device to its first picture.

    Attributes:
        patience_s: how long the device may be silent now before it counts as hanging.

    Raises:
        CameraError: the device cannot be opened now.
    """

    live = True
    clock_rate = 1.0

    def __init__(
        self,
        name: str,
        opener: Callable[[], Device],
        participant: str,
        stop: threading.Event,
        fps: float | None = None,
        present: Callable[[], bool] = lambda: True,
        first: Device | None = None,
        open_s: float = STALL_S,
    ) -> None:
        self.name = name
        self._opener, self._present = opener, present
        self._participant, self._fps, self._stop = participant, fps, stop
        self._session = session_name(time.time())
        self._budget = ReopenBudget()
        self._index = 0
        self._turn = 0
        self._trouble = ""
        self._waiting: Device | None = first or opener()
        self._device: Device | None = None
        self._open_s, self.patience_s = open_s, STALL_S

    def frames(self) -> Iterator[Frame | None]:
        """Frames until the run ends or this is called anew; None while a lost device cannot be reopened yet."""
        self._turn += 1
        turn, thinner = self._turn, Thinner(self._fps)
        while self._goes_on(turn):
            device = self._take_device()
            if device is None:
                self._stop.wait(POLL_S)
                yield None
                continue
            self._device, self.patience_s = device, self._open_s
            try:
                yield from self._read(device, thinner, turn)
            except CameraError as error:  # found out late that it cannot be opened
                self._tell(str(error))
                yield None
            finally:
                device.release()

    def _take_device(self) -> Device | None:
        device, self._waiting = self._waiting, None
        if device is not None:
            return device
        now = time.monotonic()
        if not self._budget.due(now) or not self._present():
            return None
        self._budget.attempted(now)
        try:
            return self._opener()
        except CameraError:
            return None

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            told = fields(watched=self.name, participant=self._participant)
            log.warning("no picture from %s yet: %s", self.name, trouble, extra=told)
        self._trouble = trouble

    def _goes_on(self, turn: int) -> bool:
        return turn == self._turn and not self._stop.is_set()

    def _read(self, device: Device, thinner: Thinner, turn: int) -> Iterator[Frame]:
        while self._goes_on(turn):
            shot = device.read()
            image = None if shot is None else as_bgr(shot[1])
            if shot is None or image is None or not is_picture(image):
                return
            if turn == self._turn:
                self.patience_s = STALL_S
            self._budget.healed()
            self._trouble = ""
            if thinner.passes(shot[0]):
                yield Frame(fitted(image), shot[0], self._participant, self._session, self._index)
                self._index += 1

    def interrupt(self) -> None:
        """Take the device away from a reader that hangs in it."""
        self._turn += 1
        if self._device is not None:
            self._device.release()

    def close(self) -> None:
        """Free the device, whether it was read or not."""
        self.interrupt()
        if self._waiting is not None:
            self._waiting.release()


class OpenCamera:
    """A camera of this machine, with the capture times of its driver where it tells them."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def read(self) -> Shot | None:
        """The next picture."""
        ok, image = self._capture.read()
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return (driver_time(time.time(), time.monotonic(), stamp), image) if ok else None

    def release(self) -> None:
        """Close the device."""
        self._capture.release()


class OpenStream:
    """A network camera, with capture times worked out from the stream's."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        self._clock = StreamClock()

    def read(self) -> Shot | None:
        """The next picture."""
        ok, image = self._capture.read()
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return (self._clock.time(time.time(), stamp), image) if ok else None

    def release(self) -> None:
        """Close the connection."""
        self._capture.release()


def open_camera(number: str) -> Device:
    """Open a camera of this machine by its number.

    Raises:
        CameraError: it is missing, or busy.
    """
    if not camera_present(int(number)):
        there = ", ".join(str(n) for n in camera_numbers()) or "none"
        raise CameraError(f"There is no camera {number} (/dev/video{number}); cameras on this machine: {there}.")
    capture = cv2.VideoCapture(int(number))
    ok = capture.isOpened() and capture.read()[0]
    if not ok:
        capture.release()
        raise CameraError(f"Camera {number} gives no picture: another program may be using it, or you may not read it.")
    return OpenCamera(capture)


def camera_numbers() -> list[int]:
    """The video devices of this machine, where the system lists them (Linux)."""
    found = (re.fullmatch(r"video(\d+)", path.name) for path in Path("/dev").glob("video*"))
    return sorted(int(match.group(1)) for match in found if match)


def camera_present(number: int) -> bool:
    """Whether the device is there; elsewhere than on Linux only opening it tells."""
    return number in camera_numbers() if sys.platform == "linux" else True


def open_stream(address: str) -> Device:
    """Open a network camera.

    Raises:
        CameraError: it does not answer with video in time.
    """
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS]
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        raise CameraError(f"The stream {without_credentials(address)} cannot be opened: it sends no video.")
    return OpenStream(capture)


def answers(address: str) -> bool:
    """Whether anybody listens where a stream comes from."""
    with contextlib.suppress(OSError, ValueError):
        parts = urlsplit(address)
        socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), ANSWER_S).close()
        return True
    return False


def opening_patience(first_s: float) -> float:
    """How long a device may take to open again, in seconds, if it took `first_s` at first."""
    return max(STALL_S, min(3 * first_s, LONGEST_OPENING_S), 1.5 * first_s)


def without_credentials(address: str) -> str:
    """The address as it may be shown and logged."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
