"""What any released version has sent is understood for ever: one file per frame, named `what-version.kind.bin`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sentry_proto import codec

VECTORS = Path(__file__).resolve().parents[2] / "proto" / "vectors"
DECODERS: dict[str, Callable[[bytes], object]] = {
    "agent-frame": codec.decode_agent_frame,
    "trainer-frame": codec.decode_trainer_frame,
    "record": codec.decode_record,
}
RELEASED = {
    "heartbeat-0.1.agent-frame.bin",
    "hello-0.1.agent-frame.bin",
    "item-0.1.agent-frame.bin",
    "pulse-0.1.trainer-frame.bin",
    "window-0.1.record.bin",
}


@pytest.mark.parametrize("path", sorted(VECTORS.iterdir()), ids=lambda path: path.name)
def test_every_vector_decodes(path: Path) -> None:
    assert DECODERS[path.name.split(".")[-2]](path.read_bytes())


def test_no_vector_of_a_release_has_gone() -> None:
    assert {path.name for path in VECTORS.iterdir()} >= RELEASED
