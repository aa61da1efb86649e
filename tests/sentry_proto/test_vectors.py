"""What any released version has sent or written is understood for ever: one file for each, `what-version.kind.bin`."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from sentry_proto import sentry_pb2 as pb
from tests.sentry_proto.vectors import DECODERS, SAID, VECTORS, plain


def kind_of(name: str) -> str:
    return name.split(".")[-2]


@pytest.mark.parametrize("name", SAID)
def test_a_vector_still_says_what_it_said(name: str) -> None:
    found = DECODERS[kind_of(name)]((VECTORS / name).read_bytes())
    assert plain(found) == plain(SAID[name])


def test_every_vector_is_read() -> None:
    assert {path.name for path in VECTORS.iterdir()} == set(SAID)


MESSAGES: dict[str, type[Message]] = {
    "agent-frame": pb.AgentFrame,
    "trainer-frame": pb.TrainerFrame,
    "record": pb.Record,
    "fetch-request": pb.FetchRequest,
    "fetch-reply": pb.FetchReply,
    "control-request": pb.ControlRequest,
    "control-reply": pb.ControlReply,
}


def declared(message: Any) -> set[str]:
    """Every field of a message and of those within it."""
    found = {field.full_name for field in message.fields}
    return found.union(*(declared(field.message_type) for field in message.fields if field.message_type))


def used(message: Message) -> set[str]:
    """Every field that is set in a message or in those within it."""
    found = {field.full_name for field, _ in message.ListFields()}
    for field, value in message.ListFields():
        if field.message_type:
            found = found.union(*map(used, [value] if isinstance(value, Message) else value))
    return found


def test_the_vectors_use_every_field_of_the_contract() -> None:
    """A field that is added without a vector, or loses its meaning, would go unseen."""
    names = [name for name in SAID if kind_of(name) in MESSAGES]
    seen = set().union(*(used(MESSAGES[kind_of(name)].FromString((VECTORS / name).read_bytes())) for name in names))
    assert set().union(*(declared(kind.DESCRIPTOR) for kind in MESSAGES.values())) - seen == set()
