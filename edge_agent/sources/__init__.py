"""Sources of frames: a camera, a network stream, a recording, or the acted puppet."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edge_agent.sources.base import Frame, Source
from edge_agent.sources.camera import LiveSource, camera_present, open_camera, open_stream, without_credentials
from edge_agent.sources.file import FileSource

__all__ = ["PUPPET", "Frame", "Source", "SourceOptions", "is_live", "open_source"]

PUPPET = "puppet"
STREAMS = ("rtsp://", "rtsps://", "http://", "https://")
PUPPET_FPS = 6.0


@dataclass(frozen=True)
class SourceOptions:
    """How to open a source.

    Attributes:
        spec: a camera's number, a stream's address, `puppet`, or the path of a recording.
        participant: who is seen; the puppet's playlist has its own.
        speed: of a recording's or the puppet's clock; None for as fast as possible.
        fps: most frames a second; None for all.
        loop: whether a recording begins anew at its end.
        stop: set to end the run.
    """

    spec: str
    participant: str
    speed: float | None = 1.0
    fps: float | None = None
    loop: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


def is_live(spec: str) -> bool:
    """Whether a person is before this source now."""
    return spec.isdecimal() or spec.startswith(STREAMS)


def open_source(options: SourceOptions) -> Source:
    """Open a source.

    Raises:
        CameraError: a camera or stream cannot be opened.
        MediaError: a recording cannot be read.
    """
    spec, stop = options.spec, options.stop
    if spec.isdecimal():
        number = int(spec)
        return LiveSource(
            f"camera {number}",
            partial(open_camera, number),
            options.participant,
            stop,
            options.fps,
            partial(camera_present, number),
        )
    if spec.startswith(STREAMS):
        opener = partial(open_stream, spec)
        return LiveSource(without_credentials(spec), opener, options.participant, stop, options.fps)
    if spec == PUPPET:
        from edge_agent.sources.puppet import PuppetSource  # noqa: PLC0415 - loads the portrait, which only it needs

        return PuppetSource(options.speed, options.fps or PUPPET_FPS, stop)
    return FileSource(Path(spec), options.participant, options.speed, options.fps, options.loop, stop)
