"""Sources of frames: a camera, a network stream, a recording, a folder of pictures, or the acted puppet."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from edge_agent.sources import camera
from edge_agent.sources.base import Frame, Source
from edge_agent.sources.camera import PORTS, LiveSource, answers, camera_present, without_credentials
from edge_agent.sources.file import FileSource
from edge_agent.sources.isolated import OPEN_S, IsolatedDevice
from perception.pictures import ImageFolder
from perception.video import VideoFile
from sentry_proto.errors import InputError

__all__ = ["PUPPET", "Frame", "Source", "SourceOptions", "is_live", "open_live", "open_source"]

PUPPET = "puppet"
PUPPET_FPS = 6.0
PICTURES_FPS = 10.0
CAMERA, STREAM = f"{camera.__name__}:open_camera", f"{camera.__name__}:open_stream"


@dataclass(frozen=True)
class SourceOptions:
    """How to open a source.

    Attributes:
        spec: a camera's number or device, a stream's address, `puppet`, or the path of a
            recording or of a folder of pictures.
        participant: who is seen; the puppet's playlist has its own.
        speed: of a recording's or the puppet's clock; None for as fast as possible.
        fps: most frames a second; None for all.
        loop: whether a recording begins anew at its end.
        stop: set to end the run.
        wait: whether a camera or stream may come later.
    """

    spec: str
    participant: str
    speed: float | None = 1.0
    fps: float | None = None
    loop: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    wait: bool = False


def is_live(spec: str) -> bool:
    """Whether a person is before this source now."""
    return camera_number(spec) is not None or stream_address(spec) is not None


def camera_number(spec: str) -> int | None:
    """The camera that is meant by a number, a device such as /dev/video0 or a link to one."""
    device = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(spec), re.ASCII)
    return int(spec) if spec.isdecimal() else int(device[1]) if device else None


def stream_address(spec: str) -> str | None:
    """The address of a stream, its scheme in small letters."""
    scheme, colon, rest = spec.partition("://")
    return f"{scheme.lower()}://{rest}" if colon and scheme.lower() in PORTS else None


def open_source(options: SourceOptions) -> Source:
    """Open a source.

    Raises:
        CameraError: a camera or stream cannot be opened, and shall not be waited for.
        InputError: it is an address of a kind that nothing here can play.
        MediaError: a recording cannot be read.
    """
    spec, stop = options.spec, options.stop
    if (number := camera_number(spec)) is not None:
        there = partial(camera_present, number)
        return open_live(f"camera {number}", CAMERA, replace(options, spec=str(number)), there)
    if (address := stream_address(spec)) is not None:
        there = partial(answers, address)
        return open_live(without_credentials(address), STREAM, replace(options, spec=address), there)
    if unknown := re.match(r"(\w[\w+.-]+)://", spec):
        known = ", ".join(f"{scheme}://" for scheme in PORTS)
        raise InputError(f"A source cannot be {unknown[1]}://; the streams that can be watched are {known}.")
    if spec == PUPPET:
        from edge_agent.sources.puppet import PuppetSource  # noqa: PLC0415 - loads the portrait, which only it needs

        return PuppetSource(options.speed, options.fps or PUPPET_FPS, stop)
    path = Path(spec)
    opener = partial(ImageFolder, path, options.fps or PICTURES_FPS) if path.is_dir() else partial(VideoFile, path)
    return FileSource(str(path), opener, options.participant, options.speed, options.fps, options.loop, stop)


def always() -> bool:
    """Where nothing but opening a device tells whether it is there."""
    return True


def open_live(name: str, opener: str, options: SourceOptions, present: Callable[[], bool] = always) -> LiveSource:
    """Open a live source whose device is read in a process of its own.

    Args:
        name: for people.
        opener: `module:function`, which opens the device that `options.spec` names.
        options: how.
        present: whether it makes sense to try to reopen it.

    Raises:
        CameraError: it cannot be opened, and shall not be waited for.
    """
    open_device = partial(IsolatedDevice, opener, options.spec)
    first = open_device()
    open_s = OPEN_S if options.wait else camera.opening_patience(first.wait_ready())
    if not options.wait and not present():  # it plays all the same: it is reached in another way, as through a proxy
        present = always
    return LiveSource(name, open_device, options.participant, options.stop, options.fps, present, first, open_s)
