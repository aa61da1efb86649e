"""A camera or stream read in a process of its own, so that it can be killed. Run by `edge_agent.sources.isolated`.

The first argument is `MODULE:FUNCTION`. `main` takes a line from standard input, which may hold a password and so is no
argument, opens the device that the function returns for it, and writes each picture to standard output as a header
(`HEADER`) and its bytes. A device that cannot be opened is told as a sentence in the same form. The process ends when a
read fails, when nobody reads its output, or when its standard input is closed, as it is by the end of the process that
started it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import struct
import sys
import threading
import time
from typing import Protocol

import numpy as np

from edge_agent.sources.device import Device
from perception.pictures import as_bgr, fitted
from sentry_proto.errors import CameraError

HEADER = struct.Struct("<4sdII")
"""Kind, capture time in Unix seconds, height and width in pixels; of a sentence the height is its length in bytes."""

PICTURE, SENTENCE = b"PICT", b"SAYS"

LEAST_INTERVAL_S = 1 / 240
"""A device that returns sooner, as one that fakes its success does, must not take a whole core."""


class Unbuffered(Protocol):
    """A file that may take less than it is given, and says how much."""

    def write(self, data: memoryview, /) -> int: ...


def serve(device: Device, out: Unbuffered) -> None:
    """Pass on what the device gives until a read fails."""
    while True:
        begin = time.monotonic()
        shot = device.read()
        image = None if shot is None else as_bgr(shot[1])
        if shot is None or image is None:
            return
        image = fitted(image)
        pixels = np.ascontiguousarray(image).data.cast("B")
        write_all(out, HEADER.pack(PICTURE, shot[0], *image.shape[:2]), pixels)
        time.sleep(max(0.0, begin + LEAST_INTERVAL_S - time.monotonic()))


def write_all(out: Unbuffered, *parts: bytes | memoryview) -> None:
    """Write these one after the other, from where they are: a picture is a megabyte, thirty times a second."""
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[out.write(rest) :]


def main() -> None:
    """Serve the device that is asked for."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a driver prints must not come between the pictures
    argument = sys.stdin.readline().rstrip("\n")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, function = sys.argv[1].partition(":")
    try:
        device = getattr(importlib.import_module(module), function)(argument)
    except CameraError as error:
        words = str(error).encode()
        write_all(out, HEADER.pack(SENTENCE, 0.0, len(words), 0), words)
    else:
        with contextlib.suppress(BrokenPipeError):
            serve(device, out)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)  # the other thread may hang in the device for ever
