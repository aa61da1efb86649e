"""The records that cross process borders, as plain frozen dataclasses.

Arrays are float32 and finite: where a modality was not seen the value is 0 and the coverage says so.
T is the number of seconds in a window, F is `layout.N_SECOND`, M is `layout.N_MODALITIES`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class CameraState(StrEnum):
    """What the camera shows; everything but `OK` and `SEVERAL_FACES` means that there is no face data."""

    OK = "ok"
    NO_FACE = "no face"
    SEVERAL_FACES = "several faces"
    DARK = "dark"
    FROZEN = "frozen"
    UNPLUGGED = "unplugged"


CAMERA_STATES: dict[CameraState, str] = {
    CameraState.OK: "o",
    CameraState.NO_FACE: "n",
    CameraState.SEVERAL_FACES: "s",
    CameraState.DARK: "d",
    CameraState.FROZEN: "f",
    CameraState.UNPLUGGED: "u",
}
"""One letter a second on the wire."""


class Stratum(StrEnum):
    """Why a window was sent."""

    ALERT = "alert"
    AUDIT = "audit"
    UNCERTAIN = "uncertain"
    NEIGHBOUR = "neighbour"


@dataclass(frozen=True)
class Prediction:
    """What one head says about one window.

    Attributes:
        task: the task's name.
        probabilities: one per class, in the task's order, summing to 1.
        entropy: of the mean distribution, in nats.
        mutual_information: between prediction and ensemble member, in nats (BALD, Houlsby et al. 2011).
        alerting: whether the task's alert was on at the end of the window.
        personal: the probabilities with the participant's offset, which then decide on alerts; empty without one.
        generic_alerting: whether the alert would have been on without the offset; False where there is none.
    """

    task: str
    probabilities: tuple[float, ...]
    entropy: float
    mutual_information: float
    alerting: bool = False
    personal: tuple[float, ...] = ()
    generic_alerting: bool = False


@dataclass(frozen=True)
class Offset:
    """What is added to a head's logits for one participant: one number per class, at most `limits.MAX_OFFSET` each."""

    participant: str
    task: str
    logits: tuple[float, ...]


@dataclass(frozen=True)
class Wanted:
    """The window of a session that starts nearest to `start`, in Unix seconds."""

    participant: str
    session: str
    start: float


@dataclass(frozen=True)
class Baseline:
    """A person's own running centre and scale, from what came before the window (causal).

    Attributes:
        centre: float32 [F].
        scale: float32 [F], above 0.
        seconds: how many seconds it was learned from; 0 means none yet (centre 0, scale 1).
    """

    centre: Float32
    scale: Float32
    seconds: int


@dataclass(frozen=True)
class FeatureWindow:
    """T consecutive UTC seconds of one participant in one session.

    Attributes:
        start, end: Unix seconds of the first second's beginning and the last one's end.
        values: float32 [T, F].
        coverage: float32 [T, M] in 0..1, the share of each second in which a modality was seen.
        camera_states: one letter of `CAMERA_STATES` per second.
    """

    participant: str
    session: str
    start: float
    end: float
    values: Float32
    coverage: Float32
    baseline: Baseline
    camera_states: str


@dataclass(frozen=True)
class Still:
    """A small picture of the participant with the face made unrecognisable.

    Attributes:
        time: of its capture, Unix seconds.
        jpeg: at most `limits.MAX_STILL_BYTES`.
    """

    time: float
    jpeg: bytes


@dataclass(frozen=True)
class Window:
    """A scored window that was selected to be sent.

    Attributes:
        inclusion_probability: of being sent by whichever draw, in 0..1.
        audit_probability: of the audit draw alone, as it was in force; 0 where the agent does not say.
        expression: hex SHA-256 of the expression model that saw the face; empty where the agent does not say.
        stills: at most `limits.MAX_STILLS`, oldest first; none without a consent that covers them.
    """

    window_id: str
    features: FeatureWindow
    stratum: Stratum
    inclusion_probability: float
    model_version: int
    predictions: tuple[Prediction, ...]
    consent_id: str
    audit_probability: float = 0.0
    expression: str = ""
    stills: tuple[Still, ...] = ()


@dataclass(frozen=True)
class Alert:
    """One alert; sent when raised and again, with its end, when it is over."""

    alert_id: str
    participant: str
    session: str
    task: str
    start: float
    end: float | None
    probability: float
    threshold: float
    model_version: int
    window_id: str
    consent_id: str


@dataclass(frozen=True)
class ScoredCount:
    """How many windows a stream has ever scored under one version, participant, task and alert state."""

    model_version: int
    participant: str
    task: str
    alerting: bool
    windows: int


@dataclass(frozen=True)
class Heartbeat:
    """An agent's state of health; `sent = acked + spooled + dropped` holds in every one."""

    time: float
    stream: str
    model_version: int
    update_state: str
    camera_state: str
    fps: float
    participant: str
    session: str
    clock_rate: float
    event_time: float
    sent: int
    acked: int
    spooled: int
    dropped: int
    software: str
    frames: int
    error: str = ""
    counts: tuple[ScoredCount, ...] = field(default=())


@dataclass(frozen=True)
class Label:
    """What a rater says about one window.

    Attributes:
        label_id: made by the client, so that a repeated submission is stored once.
        value: a class of the task, or the verdict `true alarm` / `false alarm`.
        source: observer | self-report | import.
        rater: a pseudonym.
        confidence: in 0..1.
        created: Unix seconds, the rater's clock.
    """

    label_id: str
    window_id: str
    task: str
    value: str
    source: str
    rater: str
    confidence: float = 1.0
    created: float = 0.0


# ---- session frames


@dataclass(frozen=True)
class Hello:
    """The agent's first frame on a connection."""

    protocol: int
    stream: str
    layout_id: str
    software: str


@dataclass(frozen=True)
class Item:
    """One spooled record on its way; `record` is decoded by `codec.decode_record`."""

    stream: str
    sequence: int
    record: bytes


@dataclass(frozen=True)
class Welcome:
    """The trainer's answer to a `Hello`."""

    protocol: int
    credit: int
    model_version: int


@dataclass(frozen=True)
class Ack:
    """These sequences are committed."""

    sequences: tuple[int, ...]


@dataclass(frozen=True)
class Refusal:
    """This sequence will never be accepted; sequence 0 means the whole session (the `Hello`).

    Attributes:
        stream: in which another record has this sequence: the same record is taken in a new one. Empty otherwise.
    """

    sequence: int
    reason: str
    stream: str = ""


@dataclass(frozen=True)
class Pulse:
    """The trainer's heartbeat, and its word that a model version is published (0: none yet).

    Attributes:
        audit_probability: what the trainer wishes for after a drift; 0 for nothing.
        offsets: all that are in force for the participant whom the agent's last heartbeat named.
        wanted: windows that the agent had passed over and should send now, if it still has them.
    """

    time: float
    model_version: int
    audit_probability: float = 0.0
    offsets: tuple[Offset, ...] = ()
    wanted: tuple[Wanted, ...] = ()


AgentFrame = Hello | Item | Heartbeat
TrainerFrame = Welcome | Ack | Refusal | Pulse
Record = Window | Alert

LABEL_SOURCES = ("observer", "self-report", "import")
