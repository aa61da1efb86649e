"""What an agent was asked to do, and what it knows of itself while it does it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.heads import Heads
from edge_agent.outbox import DEFAULT_QUOTA, Outbox
from edge_agent.stats import FrameRate
from sentry_proto.limits import MAX_WORDS
from sentry_proto.software import SOFTWARE
from sentry_proto.tasks import DEFAULT_TASKS, Task
from sentry_proto.types import CameraState, Heartbeat, Offset


@dataclass(frozen=True)
class RunOptions:
    """What `sentry-agent run` was asked to do.

    Attributes:
        source: a camera's number or device, a stream's address, `puppet`, or a recording.
        data_dir: for consent records, spool and bundles.
        participant: a pseudonym; the puppet's playlist has its own.
        key: the machine's key file; without one nothing is sent.
        speed: of a recording's or the puppet's clock; None for as fast as possible.
        fps: most frames a second; None for all.
        tasks: what may be estimated.
        audit: share of the windows that is sent at random.
        budget: most uncertain windows sent in an hour.
        quota: most bytes of records in the spool.
        duration: seconds of the source's clock after which the run ends; None for no end.
        loop: whether a recording begins anew at its end.
        every_frame: whether every model looks at every frame, as in recordings for training, whatever it costs.
        provider: what runs the expression model, see `perception.providers`.
        metrics: host and port at which figures are offered to Prometheus; None for nowhere.
        preview: port of the live preview on this machine; 0 for any free one, None for no preview.
        preview_picture: whether the preview shows the camera's picture, which the consent must cover.
        wait_for_camera: whether the run begins without its camera or stream, and takes it when it comes.
        stills: whether windows that are sent carry small pictures without the face, which the consent must cover.
        purpose: that this deployment declares; empty if it declares none.
    """

    source: str
    data_dir: Path
    participant: str = "P01"
    key: Path | None = None
    speed: float | None = 1.0
    fps: float | None = None
    tasks: tuple[Task, ...] = DEFAULT_TASKS
    audit: float = 0.05
    budget: float = 30.0
    quota: int = DEFAULT_QUOTA
    duration: float | None = None
    loop: bool = False
    every_frame: bool = False
    provider: str = "auto"
    metrics: tuple[str, int] | None = None
    wait_for_camera: bool = False
    preview: int | None = None
    preview_picture: bool = False
    stills: bool = False
    purpose: str = ""


@dataclass
class State:
    """Written by the loop and the updater, read by the uplink; each field is replaced whole.

    Attributes:
        heads: the running model; replaced between two windows.
        offsets: what the trainer adds for the participant; kept in memory only.
        participant, session: of the newest frame.
        camera: what the camera shows.
        frames: that passed through perception.
        event_time: capture time of the newest frame, Unix seconds.
        clock_rate: seconds of the source's clock in one of ours.
        update_state: how model updates stand, in words.
        error: the last error in words, empty when well.
    """

    heads: Heads | None = None
    offsets: tuple[Offset, ...] = ()
    participant: str = ""
    session: str = ""
    camera: CameraState = CameraState.UNPLUGGED
    frames: int = 0
    event_time: float = 0.0
    clock_rate: float = 1.0
    update_state: str = "no trainer"
    error: str = ""
    rate: FrameRate = field(default_factory=FrameRate)

    @property
    def version(self) -> int:
        """The running model version, 0 for none."""
        heads = self.heads
        return heads.version if heads else 0


def heartbeat(state: State, outbox: Outbox) -> Heartbeat:
    """What the trainer is told every second."""
    totals = outbox.totals()
    return Heartbeat(
        time=time.time(),
        stream=outbox.stream,
        model_version=state.version,
        update_state=sendable(state.update_state),
        camera_state=state.camera.value,
        fps=state.rate.value(time.monotonic()),
        participant=state.participant,
        session=state.session,
        clock_rate=state.clock_rate,
        event_time=state.event_time,
        sent=totals.sent,
        acked=totals.acked,
        spooled=totals.spooled,
        dropped=totals.dropped,
        software=SOFTWARE,
        frames=state.frames,
        error=sendable(outbox.trouble or state.error),
        counts=outbox.counts(),
    )


def sendable(words: str) -> str:
    """Words of a foreign library, such as a reason with line breaks, as a heartbeat may carry them."""
    return "".join(c if c.isprintable() else " " for c in words)[:MAX_WORDS]
