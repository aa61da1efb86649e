"""Records and frames to bytes and back: the one place where protobuf is spoken.

Encoding trusts our own dataclasses. Decoding trusts nothing: random bytes often parse as valid protobuf, so every
field is checked against `limits` and every number for being finite. Whatever is wrong raises `MalformedMessage` (or
`LayoutMismatch`) with the field's name and nothing else happens.
"""

from __future__ import annotations

import math
import re
from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from sentry_proto import limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.errors import LayoutMismatch, MalformedMessage
from sentry_proto.layout import LAYOUT_ID, N_MODALITIES, N_SECOND
from sentry_proto.types import (
    CAMERA_STATES,
    Ack,
    AgentFrame,
    Alert,
    Baseline,
    FeatureWindow,
    Float32,
    Heartbeat,
    Hello,
    Item,
    Offset,
    Prediction,
    Pulse,
    Record,
    Refusal,
    ScoredCount,
    Still,
    Stratum,
    TrainerFrame,
    Wanted,
    Welcome,
    Window,
)

M = TypeVar("M", bound=Message)

_HEX_ID = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LETTERS = frozenset(CAMERA_STATES.values())
_JPEG = b"\xff\xd8\xff"


# ---- records ------------------------------------------------------------------------------------------------


def encode_record(record: Record) -> bytes:
    """A window or an alert as it is spooled and sent."""
    if isinstance(record, Window):
        return pb.Record(window=_window_message(record)).SerializeToString()
    fields = {**vars(record), "end": record.end or 0.0}
    return pb.Record(alert=pb.Alert(**fields)).SerializeToString()


def decode_record(data: bytes) -> Record:
    """Inverse of `encode_record`.

    Raises:
        MalformedMessage: if anything is missing, not finite or outside the limits.
        LayoutMismatch: if the window was made with another feature layout.
    """
    message = parse(pb.Record(), data)
    body = message.WhichOneof("body")
    if body == "window":
        return _window(message.window)
    if body == "alert":
        return _alert(message.alert)
    raise MalformedMessage("a record is neither a window nor an alert")


def _window_message(window: Window) -> pb.Window:
    features = window.features
    return pb.Window(
        window_id=window.window_id,
        participant=features.participant,
        session=features.session,
        start=features.start,
        end=features.end,
        layout_id=LAYOUT_ID,
        seconds=len(features.values),
        values=features.values.astype("<f4").tobytes(),
        coverage=features.coverage.astype("<f4").tobytes(),
        baseline=np.stack([features.baseline.centre, features.baseline.scale]).astype("<f4").tobytes(),
        baseline_seconds=features.baseline.seconds,
        stratum=window.stratum.value,
        inclusion_probability=window.inclusion_probability,
        model_version=window.model_version,
        predictions=[pb.Prediction(**vars(prediction)) for prediction in window.predictions],
        consent_id=window.consent_id,
        camera_states=features.camera_states,
        audit_probability=window.audit_probability,
        expression=window.expression,
        stills=[pb.Still(**vars(still)) for still in window.stills],
    )


def _window(message: pb.Window) -> Window:
    if message.layout_id != LAYOUT_ID:
        raise LayoutMismatch(f"the window has feature layout {message.layout_id[:20]!r}, this side speaks {LAYOUT_ID}")
    seconds = message.seconds
    _require(1 <= seconds <= limits.MAX_SECONDS, "window.seconds", seconds)
    _require(message.end > message.start, "window.end", message.end)
    _require(message.stratum in set(Stratum), "window.stratum", message.stratum)
    _require(0 < message.inclusion_probability <= 1, "window.inclusion_probability", message.inclusion_probability)
    _require(0 <= message.audit_probability <= 1, "window.audit_probability", message.audit_probability)
    _require(len(message.predictions) <= limits.MAX_TASKS, "window.predictions", len(message.predictions))
    digest = message.expression
    _require(not digest or _DIGEST.fullmatch(digest) is not None, "window.expression", repr(digest))
    _require(len(message.stills) <= limits.MAX_STILLS, "window.stills", len(message.stills))
    states = message.camera_states
    _require(len(states) == seconds and set(states) <= _LETTERS, "window.camera_states", states)
    centre, scale = _floats(message.baseline, (2, N_SECOND), "window.baseline")
    _require(bool((scale > 0).all()), "window.baseline", "a scale that is not above 0")
    features = FeatureWindow(
        participant=_text(message.participant, "window.participant"),
        session=_text(message.session, "window.session"),
        start=_finite(message.start, "window.start"),
        end=_finite(message.end, "window.end"),
        values=_floats(message.values, (seconds, N_SECOND), "window.values"),
        coverage=_floats(message.coverage, (seconds, N_MODALITIES), "window.coverage"),
        baseline=Baseline(centre, scale, message.baseline_seconds),
        camera_states=states,
    )
    return Window(
        window_id=_hex_id(message.window_id, "window.window_id"),
        features=features,
        stratum=Stratum(message.stratum),
        inclusion_probability=message.inclusion_probability,
        model_version=message.model_version,
        predictions=tuple(_prediction(p) for p in message.predictions),
        consent_id=_text(message.consent_id, "window.consent_id"),
        audit_probability=message.audit_probability,
        expression=message.expression,
        stills=tuple(_still(still, message.start, message.end) for still in message.stills),
    )


def _still(message: pb.Still, start: float, end: float) -> Still:
    _require(start <= message.time <= end, "still.time", message.time)
    _require(message.jpeg.startswith(_JPEG), "still.jpeg", message.jpeg[:8])
    _require(len(message.jpeg) <= limits.MAX_STILL_BYTES, "still.jpeg", f"{len(message.jpeg)} bytes")
    return Still(message.time, message.jpeg)


def _prediction(message: pb.Prediction) -> Prediction:
    probabilities, personal = tuple(message.probabilities), tuple(message.personal)
    _require(2 <= len(probabilities) <= limits.MAX_CLASSES, "prediction.probabilities", len(probabilities))
    _require(_is_distribution(probabilities), "prediction.probabilities", probabilities)
    fits = len(personal) == len(probabilities) and _is_distribution(personal)
    _require(fits or not personal, "prediction.personal", personal)
    return Prediction(
        task=_text(message.task, "prediction.task"),
        probabilities=probabilities,
        entropy=_finite(message.entropy, "prediction.entropy"),
        mutual_information=_finite(message.mutual_information, "prediction.mutual_information"),
        alerting=message.alerting,
        personal=personal,
        generic_alerting=message.generic_alerting,
    )


def _is_distribution(probabilities: tuple[float, ...]) -> bool:
    return all(0 <= p <= 1 for p in probabilities) and abs(sum(probabilities) - 1) < 1e-3


def _alert(message: pb.Alert) -> Alert:
    end = _finite(message.end, "alert.end")
    _require(end == 0 or end >= message.start, "alert.end", end)
    for name in ("probability", "threshold"):
        _require(0 <= getattr(message, name) <= 1, f"alert.{name}", getattr(message, name))
    return Alert(
        alert_id=_hex_id(message.alert_id, "alert.alert_id"),
        participant=_text(message.participant, "alert.participant"),
        session=_text(message.session, "alert.session"),
        task=_text(message.task, "alert.task"),
        start=_finite(message.start, "alert.start"),
        end=end or None,
        probability=message.probability,
        threshold=message.threshold,
        model_version=message.model_version,
        window_id=_hex_id(message.window_id, "alert.window_id"),
        consent_id=_text(message.consent_id, "alert.consent_id"),
    )


# ---- session frames -----------------------------------------------------------------------------------------


def encode_agent_frame(frame: AgentFrame) -> bytes:
    """What an agent sends on the ingest socket."""
    if isinstance(frame, Hello):
        return pb.AgentFrame(hello=pb.Hello(**vars(frame))).SerializeToString()
    if isinstance(frame, Item):
        return pb.AgentFrame(item=pb.Item(**vars(frame))).SerializeToString()
    fields = {**vars(frame), "counts": [pb.ScoredCount(**vars(count)) for count in frame.counts]}
    return pb.AgentFrame(heartbeat=pb.Heartbeat(**fields)).SerializeToString()


def decode_agent_frame(data: bytes) -> AgentFrame:
    """Inverse of `encode_agent_frame`; an item's record stays encoded.

    Raises:
        MalformedMessage: if anything is missing, not finite or outside the limits.
    """
    message = parse(pb.AgentFrame(), data)
    body = message.WhichOneof("body")
    if body == "hello":
        hello = message.hello
        return Hello(
            protocol=hello.protocol,
            stream=_hex_id(hello.stream, "hello.stream"),
            layout_id=_text(hello.layout_id, "hello.layout_id"),
            software=_text(hello.software, "hello.software"),
        )
    if body == "item":
        item = message.item
        _require(0 < item.sequence < 2**63, "item.sequence", item.sequence)
        return Item(stream=_hex_id(item.stream, "item.stream"), sequence=item.sequence, record=item.record)
    if body == "heartbeat":
        return _heartbeat(message.heartbeat)
    raise MalformedMessage("the frame is neither a hello, an item nor a heartbeat")


def _heartbeat(message: pb.Heartbeat) -> Heartbeat:
    _require(len(message.counts) <= limits.MAX_COUNTS, "heartbeat.counts", len(message.counts))
    for name in ("sent", "acked", "spooled", "dropped", "frames"):
        _require(getattr(message, name) < 2**63, f"heartbeat.{name}", getattr(message, name))
    return Heartbeat(
        time=_finite(message.time, "heartbeat.time"),
        stream=_hex_id(message.stream, "heartbeat.stream"),
        model_version=message.model_version,
        update_state=_text(message.update_state, "heartbeat.update_state", limits.MAX_WORDS),
        camera_state=_text(message.camera_state, "heartbeat.camera_state"),
        fps=_finite(message.fps, "heartbeat.fps"),
        participant=_text(message.participant, "heartbeat.participant"),
        session=_text(message.session, "heartbeat.session"),
        clock_rate=_finite(message.clock_rate, "heartbeat.clock_rate"),
        event_time=_finite(message.event_time, "heartbeat.event_time"),
        sent=message.sent,
        acked=message.acked,
        spooled=message.spooled,
        dropped=message.dropped,
        software=_text(message.software, "heartbeat.software"),
        frames=message.frames,
        error=_text(message.error, "heartbeat.error", limits.MAX_WORDS),
        counts=tuple(_count(count) for count in message.counts),
    )


def _count(message: pb.ScoredCount) -> ScoredCount:
    _require(message.windows < limits.MAX_SCORED, "count.windows", message.windows)
    return ScoredCount(
        model_version=message.model_version,
        participant=_text(message.participant, "count.participant"),
        task=_text(message.task, "count.task"),
        alerting=message.alerting,
        windows=message.windows,
    )


def encode_trainer_frame(frame: TrainerFrame) -> bytes:
    """What the trainer sends on the ingest socket."""
    if isinstance(frame, Welcome):
        return pb.TrainerFrame(welcome=pb.Welcome(**vars(frame))).SerializeToString()
    if isinstance(frame, Ack):
        return pb.TrainerFrame(ack=pb.Ack(sequences=frame.sequences)).SerializeToString()
    if isinstance(frame, Refusal):
        return pb.TrainerFrame(refusal=pb.Refusal(**vars(frame))).SerializeToString()
    offsets = [pb.PersonalOffset(**vars(offset)) for offset in frame.offsets]
    wanted = [pb.WantedWindow(**vars(one)) for one in frame.wanted]
    pulse = pb.Pulse(**{**vars(frame), "offsets": offsets, "wanted": wanted})
    return pb.TrainerFrame(pulse=pulse).SerializeToString()


def decode_trainer_frame(data: bytes) -> TrainerFrame:
    """Inverse of `encode_trainer_frame`.

    Raises:
        MalformedMessage: if anything is missing, not finite or outside the limits.
    """
    message = parse(pb.TrainerFrame(), data)
    body = message.WhichOneof("body")
    if body == "welcome":
        return Welcome(message.welcome.protocol, message.welcome.credit, message.welcome.model_version)
    if body == "ack":
        return Ack(tuple(message.ack.sequences))
    if body == "refusal":
        refusal = message.refusal
        stream = _hex_id(refusal.stream, "refusal.stream") if refusal.stream else ""
        return Refusal(refusal.sequence, _text(refusal.reason, "refusal.reason", limits.MAX_WORDS), stream)
    if body == "pulse":
        pulse = message.pulse
        _require(0 <= pulse.audit_probability <= 1, "pulse.audit_probability", pulse.audit_probability)
        _require(len(pulse.offsets) <= limits.MAX_TASKS, "pulse.offsets", len(pulse.offsets))
        _require(len(pulse.wanted) <= limits.MAX_WANTED, "pulse.wanted", len(pulse.wanted))
        offsets = tuple(_offset(offset) for offset in pulse.offsets)
        wanted = tuple(_wanted(one) for one in pulse.wanted)
        return Pulse(_finite(pulse.time, "pulse.time"), pulse.model_version, pulse.audit_probability, offsets, wanted)
    raise MalformedMessage("the frame is neither a welcome, an ack, a refusal nor a pulse")


def _offset(message: pb.PersonalOffset) -> Offset:
    logits = tuple(message.logits)
    _require(2 <= len(logits) <= limits.MAX_CLASSES, "offset.logits", len(logits))
    _require(all(abs(logit) <= limits.MAX_OFFSET for logit in logits), "offset.logits", logits)
    participant, task = _text(message.participant, "offset.participant"), _text(message.task, "offset.task")
    return Offset(participant, task, logits)


def _wanted(message: pb.WantedWindow) -> Wanted:
    participant, session = _text(message.participant, "wanted.participant"), _text(message.session, "wanted.session")
    return Wanted(participant, session, _finite(message.start, "wanted.start"))


# ---- field checks -------------------------------------------------------------------------------------------


def parse(message: M, data: bytes, largest: int = limits.MAX_FRAME_BYTES) -> M:
    """Fill `message` from outside bytes.

    Raises:
        MalformedMessage: if the bytes are too many or are no such message.
    """
    _require(len(data) <= largest, "frame", f"{len(data)} bytes")
    try:
        message.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        raise MalformedMessage(f"these bytes are no {type(message).__name__}") from error
    return message


def _require(fine: bool, field: str, value: object) -> None:
    if not fine:
        raise MalformedMessage(f"{field} is out of bounds: {str(value)[:80]}")


def _finite(value: float, field: str) -> float:
    _require(math.isfinite(value), field, value)
    return value


def _text(value: str, field: str, longest: int = limits.MAX_TEXT) -> str:
    _require(len(value) <= longest and value.isprintable(), field, repr(value))
    return value


def _hex_id(value: str, field: str) -> str:
    _require(_HEX_ID.fullmatch(value) is not None, field, repr(value))
    return value


def _floats(data: bytes, shape: tuple[int, int], field: str) -> Float32:
    _require(len(data) == 4 * shape[0] * shape[1], field, f"{len(data)} bytes for shape {shape}")
    array = np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)
    _require(bool(np.isfinite(array).all()), field, "a value that is not finite")
    return array
