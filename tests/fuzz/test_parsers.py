"""S1: whatever the bytes are, a parser fails only as it promises, and takes no more than 64 MB over it."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tuf.ngclient.fetcher import FetcherInterface

from edge_agent.heads import Heads
from edge_agent.slots import Slots
from edge_agent.updater import FAILURES, UpdateClient
from sentry_proto import codec, limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.errors import MalformedMessage, PeerFault
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Pulse
from tests.edge_agent.test_updater import Repository
from tests.fuzz.targets import TARGETS
from tests.sentry_proto.records import alert, heartbeat, prediction, window

pytestmark = pytest.mark.promise("S1")

MOST_BYTES = 64 << 20

quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
thorough = settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def mutated(draw: st.DrawFn, seed: bytes) -> bytes:
    """A valid input with some stretches overwritten, cut out, doubled or inserted."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 6))):
        where = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        piece = draw(st.one_of(st.binary(max_size=8), st.sampled_from(PIECES)))
        data[where : where + length] = piece
    return bytes(data)


PIECES = (
    b"NaN",
    b"Infinity",
    b"-1e999",
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\n",
    b'"',
)


def hostile(name: str) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=400), *(mutated(seed) for seed in TARGETS[name].seeds))


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes_cost_one_error_that_is_promised(name: str) -> None:
    check(name, quick)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes_in_great_numbers(name: str) -> None:
    check(name, thorough if not TARGETS[name].slow else quick)


def check(name: str, how_much: settings) -> None:
    @how_much
    @given(hostile(name))
    def feed(data: bytes) -> None:
        TARGETS[name](data)

    feed()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_valid(name: str) -> None:
    """Otherwise every mutation would be stopped at the door."""
    for seed in TARGETS[name].seeds:
        TARGETS[name].parse(seed)


def nested(depth: int) -> dict[str, bytes]:
    group = b"\x0b" * depth + b"\x0c" * depth
    opened = b"[" * depth
    return {
        "nested groups": group,
        "nested lists": opened,
        "nested objects": b'{"a":' * depth,
        "nested parameters": pb.ControlRequest(method="status", params=opened.decode()).SerializeToString(),
        "nested tables": b"a = " + opened,
        "a million sequences": pb.TrainerFrame(
            ack=pb.Ack(sequences=[1] * (limits.MAX_FRAME_BYTES - 64))
        ).SerializeToString(),
        "one long line": b"a," * (limits.MAX_FRAME_BYTES // 2),
        "many lines": b"a\n" * (limits.MAX_FRAME_BYTES // 2),
    }


NASTY = nested(50_000)


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("name", TARGETS)
def test_nesting_and_bulk_cost_an_error_and_little_memory(name: str, nasty: str) -> None:
    tracemalloc.start()
    try:
        TARGETS[name](NASTY[nasty])
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


# ---- NaN and Inf inside valid protobuf ------------------------------------------------------------------------------


def floats(message: Message) -> Iterator[tuple[Message, FieldDescriptor, int | None]]:
    """Every number with a point in a message, with the message that holds it."""
    for field, value in message.ListFields():
        if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
            places = (None,) if isinstance(value, float) else range(len(value))
            yield from ((message, field, place) for place in places)
        elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            children = (value,) if isinstance(value, Message) else value
            for child in children:
                yield from floats(child)


def full_frames() -> dict[str, tuple[type[Message], bytes]]:
    """Valid messages in which every number is set."""
    rich = window(seconds=2, predictions=(prediction(),), audit_probability=0.25)
    return {
        "window": (pb.Record, codec.encode_record(rich)),
        "alert": (pb.Record, codec.encode_record(alert(end=1_750_000_060.0))),
        "heartbeat": (pb.AgentFrame, codec.encode_agent_frame(heartbeat())),
        "pulse": (pb.TrainerFrame, codec.encode_trainer_frame(Pulse(1.0, 2, 0.5))),
    }


@pytest.mark.parametrize("kind", full_frames())
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_number_in_valid_protobuf_may_be_infinite_or_none(kind: str, value: float) -> None:
    which, data = full_frames()[kind]
    decode = {pb.Record: codec.decode_record, pb.AgentFrame: codec.decode_agent_frame}.get(
        which, codec.decode_trainer_frame
    )
    assert decode(data)
    count = len(list(floats(which.FromString(data))))
    assert count >= 2
    for number in range(count):
        message = which.FromString(data)
        holder, field, place = list(floats(message))[number]
        if place is None:
            setattr(holder, field.name, value)
        else:
            getattr(holder, field.name)[place] = value
        with pytest.raises(MalformedMessage, match=f"^{kind}|^prediction"):
            decode(message.SerializeToString())


@pytest.mark.parametrize("name", ["values", "coverage", "baseline"])
def test_no_number_in_an_array_may_be_none(name: str) -> None:
    message = pb.Record.FromString(codec.encode_record(window(seconds=2)))
    raw = bytearray(getattr(message.window, name))
    raw[4:8] = b"\x00\x00\xc0\x7f"
    setattr(message.window, name, bytes(raw))
    with pytest.raises(PeerFault):
        codec.decode_record(message.SerializeToString())


# ---- model updates --------------------------------------------------------------------------------------------------


class Hostile(FetcherInterface):
    """Answers every request for an update with the same bytes."""

    def __init__(self) -> None:
        self.data = b""

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self.data


@pytest.mark.slow
@pytest.mark.promise("S3")
def test_hostile_metadata_costs_one_error_and_no_model(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "trainer")
    repository.publish(1)
    seeds = [path.read_bytes() for path in sorted((repository.folder / "metadata").glob("*.json"))]
    nasty = st.sampled_from([b"[" * 50_000, b'{"signed":' * 50_000, b'{"a": 1e999}' * 1000])
    wire, slots = Hostile(), Slots(tmp_path / "bundles", partial(Heads, tasks=DEFAULT_TASKS))
    root, began = repository.home.root_metadata.read_bytes(), time.time()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=300), nasty, *(mutated(seed) for seed in seeds)), st.uuids())
    def feed(data: bytes, folder: object) -> None:
        wire.data = data
        client = UpdateClient(tmp_path / str(folder), root, wire, slots)
        with pytest.raises(tuple(kind for kind, _ in FAILURES)):
            client.check(began)

    feed()
    assert slots.start() is None
