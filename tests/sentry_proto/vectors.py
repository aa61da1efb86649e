"""The golden vectors of `proto/vectors`: the values that each one's version put into it, and how this one reads it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.consent import Consent, ConsentBook
from edge_agent.heads import Heads
from edge_agent.outbox import Outbox, Totals
from edge_agent.updater import read_reply
from sentry_proto import codec, control
from sentry_proto import sentry_pb2 as pb
from sentry_proto.errors import InputError, SentryError
from sentry_proto.keys import AGENT, AllowList, Endpoints, KeyFile
from sentry_proto.layout import N_MODALITIES, N_SECOND
from sentry_proto.tasks import DEFAULT_TASKS, STRESS
from sentry_proto.types import (
    Ack,
    Baseline,
    FeatureWindow,
    Hello,
    Item,
    Offset,
    Prediction,
    Pulse,
    Refusal,
    ScoredCount,
    Still,
    Stratum,
    Wanted,
    Welcome,
    Window,
)
from tests.sentry_proto.records import alert, heartbeat, prediction, window

VECTORS = Path(__file__).resolve().parents[2] / "proto" / "vectors"


def plain(value: Any) -> Any:
    """Records as nested lists that can be compared, arrays and all."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        return type(value).__name__, {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [plain(one) for one in value] if isinstance(value, (tuple, list)) else value


# ---- how they are read ----------------------------------------------------------------------------------------------


def _fields(message: pb.FetchRequest | pb.FetchReply) -> dict[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


def _reply(data: bytes) -> Any:
    reply = control.decode_reply(data)
    try:
        return reply.request_id, control.result_of(reply)
    except SentryError as error:
        return reply.request_id, type(error), str(error)


def _as_file(read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    def parse(data: bytes) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vector"
            path.touch(0o600)
            path.write_bytes(data)
            return read(path)

    return parse


def _bundle(data: bytes) -> Any:
    """Its metadata; `Heads` has then computed the golden output once more."""
    found = vars(Heads(data, DEFAULT_TASKS).metadata)
    return {name: value for name, value in found.items() if name not in ("golden", "layout_id")}


def _outbox(path: Path) -> Any:
    outbox = Outbox(path)
    pending = [(number, codec.decode_record(data)) for number, data in outbox.pending((), 10)]
    found = (outbox.stream, outbox.totals(), sorted(outbox.counts(), key=lambda one: one.alerting), pending)
    outbox.close()
    return found


def _enrolled(path: Path) -> Any:
    found = AllowList(path)
    return [found.name_of(digit * 40, AGENT) for digit in "14"], dict(found.entries)


DECODERS: dict[str, Callable[[bytes], Any]] = {
    "agent-frame": codec.decode_agent_frame,
    "trainer-frame": codec.decode_trainer_frame,
    "record": codec.decode_record,
    "fetch-request": lambda data: _fields(codec.parse(pb.FetchRequest(), data)),
    "fetch-reply": lambda data: _fields(read_reply(data)),
    "control-request": control.decode_request,
    "control-reply": _reply,
    "bundle": _bundle,
    "key-file": _as_file(lambda path: KeyFile.load(path, AGENT)),
    "allow-list": _as_file(_enrolled),
    "outbox": _as_file(_outbox),
    "consent-file": _as_file(lambda path: ConsentBook(path).records),
}


# ---- what they say --------------------------------------------------------------------------------------------------

PICTURED = Window(
    window_id="2" * 32,
    features=FeatureWindow(
        participant="Łucja-07",
        session="s0002",
        start=1_750_000_000.0,
        end=1_750_000_002.0,
        values=np.linspace(0, 8, 2 * N_SECOND).reshape(2, N_SECOND).astype(np.float32),
        coverage=np.full((2, N_MODALITIES), 0.5, np.float32),
        baseline=Baseline(np.full(N_SECOND, -1.5, np.float32), np.full(N_SECOND, 0.25, np.float32), 61),
        camera_states="os",
    ),
    stratum=Stratum.NEIGHBOUR,
    inclusion_probability=0.25,
    model_version=7,
    predictions=(Prediction("stress", (0.5, 0.25, 0.25), 1.0, 0.125, True, (0.125, 0.375, 0.5), True),),
    consent_id="e" * 32,
    audit_probability=0.0625,
    expression="0123456789abcdef" * 4,
    stills=(Still(1_750_000_000.5, b"\xff\xd8\xff one"), Still(1_750_000_001.5, b"\xff\xd8\xff two")),
)
WISHES = Pulse(
    12.5,
    7,
    0.25,
    (Offset("Łucja-07", "stress", (-0.5, 0.0, 0.5)), Offset("Łucja-07", "focus", (0.25, -0.25, 0.0, 0.5, -0.5))),
    (Wanted("Łucja-07", "s0002", 1_750_000_005.0), Wanted("P01", "s0001", 1_750_000_010.0)),
)
ENTRY = {"public": "1" * 40, "role": "agent", "enrolled": "2026-06-01T12:00:00+00:00", "revoked": None}
COUNTS = [ScoredCount(1, "P01", "stress", alerting, 1 + alerting) for alerting in (False, True)]
SEEN = window(seconds=2, predictions=(prediction(),))

OTHER_STREAM = Refusal(8, "sequence 8 holds another record already; it is taken in a new stream", "a" * 32)

SAID: dict[str, Any] = {
    "ack-0.1.trainer-frame.bin": Ack((1, 2, 7)),
    "alert-0.1.record.bin": alert(),
    "alert-ended-0.1.record.bin": alert(end=1_750_000_090.0),
    "bundle-0.1.bundle.bin": {
        "version": 3, "parent": 2, "created": 1_750_000_000.0, "tasks": (STRESS,), "temperatures": {"stress": 1.0},
        "abstaining": {"focus": "too few labels"}, "metrics": {"stress": {"balanced_accuracy": 0.75}}, "backbone": "",
    },
    "consent-0.1.consent-file.bin": (
        Consent("e" * 32, "P01", 1_750_000_000.0, None, 1_750_000_100.0, "2026-11", False),
        Consent("f" * 32, "P02", 1_750_000_000.5, 1_760_000_000.0, None, "2026-11", True),
    ),
    "control-0.1.control-reply.bin": (
        "c" * 32, {"model_version": 2, "words": "heads abstain", "share": 0.25, "none": None},
    ),
    "control-0.1.control-request.bin": ("c" * 32, "windows", {"participant": "P01", "limit": 5}),
    "control-refused-0.1.control-reply.bin": ("c" * 32, InputError, "there is no task 'joy'"),
    "enrolled-0.1.allow-list.bin": (
        ["lab-1", None],
        {"lab-1": ENTRY, "lab-2": {**ENTRY, "public": "4" * 40, "revoked": "2026-06-02T12:00:00+00:00"}},
    ),
    "fetch-0.1.fetch-reply.bin": {
        "path": "targets/heads/current.onnx", "offset": 65536, "total": 65540, "data": b"\x00\x01\xff\x7f",
    },
    "fetch-0.1.fetch-request.bin": {"path": "metadata/timestamp.json", "offset": 65536},
    "fetch-missing-0.1.fetch-reply.bin": {"path": "metadata/9.root.json", "missing": True},
    "heartbeat-0.1.agent-frame.bin": heartbeat(),
    "heartbeat-trouble-0.1.agent-frame.bin": heartbeat(error="the disk is full: Ł", counts=tuple(COUNTS)),
    "hello-0.1.agent-frame.bin": Hello(1, "c" * 32, "b49745dda9dd", "0.1.0"),
    "item-0.1.agent-frame.bin": Item("c" * 32, 7, (VECTORS / "alert-0.1.record.bin").read_bytes()),
    "key-0.1.key-file.bin": KeyFile(
        "lab-1", AGENT, "1" * 40, "2" * 40, "3" * 40, Endpoints.of("trainer.lab.example", 7710),
        {"signed": {"_type": "root", "version": 1}, "signatures": []},
    ),
    "outbox-0.1.outbox.bin": (
        "d" * 32, Totals(4, 1, 2, 1), COUNTS, [(1, SEEN), (3, alert("b" * 32, end=1_750_000_090.0))],
    ),
    "pulse-0.1.trainer-frame.bin": Pulse(12.5, 2, 0.0),
    "pulse-wishes-0.1.trainer-frame.bin": WISHES,
    "refusal-0.1.trainer-frame.bin": Refusal(
        7, "no consent record: a window or alert must name the consent it was made under"
    ),
    "refusal-other-stream-0.1.trainer-frame.bin": OTHER_STREAM,
    "refusal-session-0.1.trainer-frame.bin": Refusal(0, "this key is not enrolled with the trainer, or was revoked"),
    "welcome-0.1.trainer-frame.bin": Welcome(1, 32, 2),
    "window-0.1.record.bin": dataclasses.replace(SEEN, audit_probability=0.1),
    "window-pictured-0.1.record.bin": PICTURED,
}  # fmt: skip
"""Every file that a release has written stands here; a new one is added, none is ever changed or taken away."""
