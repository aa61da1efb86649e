"""A device in a process of its own: OpenCV's read may block for ever, and only the end of its process frees a camera.

The pictures come through a pipe. `release` may be called from any thread: it kills the process, and the read that
waits for it returns None.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, cast

import numpy as np

from edge_agent.sources.device import Shot
from edge_agent.sources.reader import HEADER, PICTURE
from sentry_proto.errors import CameraError

PIPE_BYTES = 1 << 20
"""A picture of 640x480 passes in one go; the kernel's own 64 KB would take 14."""

OPEN_S = 15.0
"""A device gives its first picture within this time, or is taken for lost; network cameras need some seconds."""

DIE_S = 1.0
"""A killed process ends within this time, unless it sleeps in a driver where no signal reaches it."""


class IsolatedDevice:
    """The device that a function of a module opens, read elsewhere.

    Args:
        opener: `module:function`; the function takes the argument, and returns a Device or raises CameraError.
        argument: for the opener.
    """

    def __init__(self, opener: str, argument: str) -> None:
        command = [sys.executable, "-c", "from edge_agent.sources.reader import main; main()", opener]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._pipe = cast(Any, self._process.stdout)
        self._hold = cast(Any, self._process.stdin)  # the reader ends when this is closed, by us or by our end
        self._hold.write(argument.encode() + b"\n")
        self._reading = threading.Lock()
        self._first: Shot | None = None
        _widen(self._pipe)

    def wait_ready(self) -> float:
        """Wait for the first picture, which `read` then returns; returns the seconds that this took.

        Raises:
            CameraError: the device cannot be opened, or gives no picture within `OPEN_S`.
        """
        begin, first = time.monotonic(), SimpleQueue[Shot | Exception | None]()
        threading.Thread(target=self._read_first, args=(first,), daemon=True).start()
        try:
            found = first.get(timeout=OPEN_S)
        except Empty:
            found = None
        if not isinstance(found, tuple):
            self.release()
            raise found or CameraError("The device was opened, but gives no picture.")
        self._first = found
        return time.monotonic() - begin

    def _read_first(self, first: SimpleQueue[Shot | Exception | None]) -> None:
        try:
            first.put(self.read())
        except Exception as error:  # `wait_ready` raises it
            first.put(error)

    def read(self) -> Shot | None:
        """The next picture; None once the device is lost or released.

        Raises:
            CameraError: it cannot be opened.
        """
        first, self._first = self._first, None
        if first is not None:
            return first
        with self._reading:
            return self._receive()

    def _receive(self) -> Shot | None:
        header = self._take(HEADER.size)
        if header is None:
            return None
        kind, t, height, width = HEADER.unpack(header)
        if kind != PICTURE:
            raise CameraError((self._take(height) or b"").decode(errors="replace"))
        pixels = self._take(height * width * 3)
        return None if pixels is None else (t, np.frombuffer(pixels, np.uint8).reshape(height, width, 3))

    def _take(self, size: int) -> bytearray | None:
        buffer = bytearray(size)
        view, filled = memoryview(buffer), 0
        while filled < size and not self._pipe.closed:
            count = self._pipe.readinto(view[filled:])
            if not count:
                return None
            filled += count
        return buffer if filled == size else None

    def release(self) -> None:
        """Kill the reader; a `read` that waits for it ends. One that the kernel does not let go is left behind."""
        self._process.kill()
        try:
            self._process.wait(DIE_S)
        except subprocess.TimeoutExpired:  # its driver hangs; so does the read, which holds the pipe
            return
        with self._reading:
            self._pipe.close()
            self._hold.close()


def _widen(pipe: Any) -> None:
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - Linux only

        with contextlib.suppress(OSError):  # the user's pipes are full, and small ones do as well
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
