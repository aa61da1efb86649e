"""Sources of frames: a camera, a network stream, a recording, a folder of pictures, or the acted puppet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edge_agent.sources import camera
from edge_agent.sources.base import Frame, Source
from edge_agent.sources.camera import STALL_S, LiveSource, camera_present, without_credentials
from edge_agent.sources.file import FileSource
from edge_agent.sources.isolated import OPEN_S, IsolatedDevice
from perception.pictures import ImageFolder
from perception.video import VideoFile

__all__ = ["PUPPET", "Frame", "Source", "SourceOptions", "is_live", "open_source"]

PUPPET = "puppet"
STREAMS = ("rtsp://", "rtsps://", "http://", "https://")
PUPPET_FPS = 6.0
PICTURES_FPS = 10.0


@dataclass(frozen=True)
class SourceOptions:
    """How to open a source.

    Attributes:
        spec: a camera's number, a stream's address, `puppet`, or the path of a recording
            or of a folder of pictures.
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
    return spec.isdecimal() or spec.startswith(STREAMS)


def open_source(options: SourceOptions) -> Source:
    """Open a source.

    Raises:
        CameraError: a camera or stream cannot be opened, and shall not be waited for.
        MediaError: a recording cannot be read.
    """
    spec, stop = options.spec, options.stop
    if spec.isdecimal():
        return _live(f"camera {spec}", "open_camera", options, partial(camera_present, int(spec)))
    if spec.startswith(STREAMS):
        return _live(without_credentials(spec), "open_stream", options)
    if spec == PUPPET:
        from edge_agent.sources.puppet import PuppetSource  # noqa: PLC0415 - loads the portrait, which only it needs

        return PuppetSource(options.speed, options.fps or PUPPET_FPS, stop)
    path = Path(spec)
    opener = partial(ImageFolder, path, options.fps or PICTURES_FPS) if path.is_dir() else partial(VideoFile, path)
    return FileSource(str(path), opener, options.participant, options.speed, options.fps, options.loop, stop)


def _live(name: str, opener: str, options: SourceOptions, present: Callable[[], bool] = lambda: True) -> LiveSource:
    open_device = partial(IsolatedDevice, f"{camera.__name__}:{opener}", options.spec)
    first = open_device()
    open_s = OPEN_S if options.wait else min(max(STALL_S, 3 * first.wait_ready()), OPEN_S)
    return LiveSource(name, open_device, options.participant, options.stop, options.fps, present, first, open_s)
