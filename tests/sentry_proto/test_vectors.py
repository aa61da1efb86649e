"""What any released version has sent is understood for ever: one file per frame, named `what-version.kind.bin`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sentry_proto import codec
from sentry_proto.types import Ack, Refusal, Welcome
from tests.sentry_proto.records import alert

VECTORS = Path(__file__).resolve().parents[2] / "proto" / "vectors"
DECODERS: dict[str, Callable[[bytes], object]] = {
    "agent-frame": codec.decode_agent_frame,
    "trainer-frame": codec.decode_trainer_frame,
    "record": codec.decode_record,
}
RELEASED = {
    "ack-0.1.trainer-frame.bin",
    "alert-0.1.record.bin",
    "alert-ended-0.1.record.bin",
    "heartbeat-0.1.agent-frame.bin",
    "hello-0.1.agent-frame.bin",
    "item-0.1.agent-frame.bin",
    "pulse-0.1.trainer-frame.bin",
    "refusal-0.1.trainer-frame.bin",
    "refusal-session-0.1.trainer-frame.bin",
    "welcome-0.1.trainer-frame.bin",
    "window-0.1.record.bin",
}

SAID = {
    "ack-0.1.trainer-frame.bin": Ack((1, 2, 7)),
    "alert-0.1.record.bin": alert(),
    "alert-ended-0.1.record.bin": alert(end=1_750_000_090.0),
    "refusal-0.1.trainer-frame.bin": Refusal(
        7, "no consent record: a window or alert must name the consent it was made under"
    ),
    "refusal-session-0.1.trainer-frame.bin": Refusal(0, "this key is not enrolled with the trainer, or was revoked"),
    "welcome-0.1.trainer-frame.bin": Welcome(1, 32, 2),
}


@pytest.mark.parametrize("path", sorted(VECTORS.iterdir()), ids=lambda path: path.name)
def test_every_vector_decodes(path: Path) -> None:
    assert DECODERS[path.name.split(".")[-2]](path.read_bytes())


def test_no_vector_of_a_release_has_gone() -> None:
    assert {path.name for path in VECTORS.iterdir()} >= RELEASED


@pytest.mark.parametrize("name", SAID)
def test_a_vector_still_says_what_it_said(name: str) -> None:
    assert DECODERS[name.split(".")[-2]]((VECTORS / name).read_bytes()) == SAID[name]
