from __future__ import annotations

import dataclasses

import pytest

from sentry_proto import codec, limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.keys import AGENT
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.session import FORGET_S
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import (
    Ack,
    AgentFrame,
    Hello,
    Item,
    Offset,
    Prediction,
    Pulse,
    Record,
    Refusal,
    ScoredCount,
    TrainerFrame,
    Welcome,
)
from tests.sentry_proto.records import alert, heartbeat, prediction, window
from tests.trainer_service.conftest import NOW, STREAM, hex_id
from trainer_service import keyring
from trainer_service.enrolment import Enrolment
from trainer_service.fleet import Fleet, Moment
from trainer_service.ingest import Intake, Message
from trainer_service.keyring import Home
from trainer_service.store import Arrival, Store

THEN = Moment(1_750_000_000.0, 100.0)
ROUTE = b"route"


def offsets_of(participant: str) -> tuple[Offset, ...]:
    """Everybody but P01 has one."""
    return () if participant == "P01" else (Offset(participant, "stress", (-0.5, 0.0, 0.5)),)


class Bench:
    """An intake with one enrolled agent."""

    def __init__(self, home: Home, store: Store) -> None:
        self.key = keyring.enroll(home, "lab-1", home.folder / "lab-1.key", AGENT, NOW).public
        self.allowed = Enrolment(home.enrolled)
        self.fleet = Fleet({})
        self.intake = Intake(
            store, self.fleet, self.allowed, DEFAULT_TASKS, lambda _: 7, lambda now: now / 1_000, offsets_of
        )

    def say(self, *frames: AgentFrame | bytes, key: str = "") -> list[TrainerFrame]:
        """The replies to frames that arrive in one round."""
        data = [frame if isinstance(frame, bytes) else codec.encode_agent_frame(frame) for frame in frames]
        replies = self.intake.round([Message(ROUTE, key or self.key, bytes_) for bytes_ in data], THEN)
        assert {route for route, _ in replies} <= {ROUTE}
        return [reply for _, reply in replies]


@pytest.fixture
def bench(home: Home, store: Store) -> Bench:
    return Bench(home, store)


def item(sequence: int, record: Record | bytes) -> Item:
    return Item(STREAM, sequence, record if isinstance(record, bytes) else codec.encode_record(record))


def test_a_greeting_is_answered(bench: Bench) -> None:
    hello = Hello(limits.PROTOCOL, STREAM, LAYOUT_ID, "0.1.0")
    assert bench.say(hello) == [Welcome(limits.PROTOCOL, limits.CREDIT, 7)]


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        (Hello(99, STREAM, LAYOUT_ID, "x"), "speaks protocol 99"),
        (Hello(limits.PROTOCOL, STREAM, "0123456789ab", "x"), "feature layout '0123456789ab'"),
    ],
)
def test_another_protocol_or_layout_is_refused_with_its_reason(bench: Bench, hello: Hello, words: str) -> None:
    (refusal,) = bench.say(hello)
    assert isinstance(refusal, Refusal)
    assert refusal.sequence == 0
    assert words in refusal.reason


def test_one_ack_for_all_that_was_committed(bench: Bench) -> None:
    frames = [item(n, window(hex_id(n))) for n in (1, 2, 3)]
    assert bench.say(*frames) == [Ack((1, 2, 3))]
    assert bench.say(frames[1]) == [Ack((2,))]
    assert bench.intake.counts["acked items"] == 4


def _other_layout() -> bytes:
    record = pb.Record.FromString(codec.encode_record(window()))
    record.window.layout_id = "another"
    return record.SerializeToString()


def _not_finite() -> bytes:
    record = pb.Record.FromString(codec.encode_record(window()))
    record.window.start = float("nan")
    return record.SerializeToString()


REFUSED: dict[str, tuple[Record | bytes, str]] = {
    "no record": (b"\xff\xff\xff", "these bytes are no Record"),
    "empty record": (b"", "neither a window nor an alert"),
    "not finite": (_not_finite(), "window"),
    "another layout": (_other_layout(), "feature layout"),
    "unknown task in a window": (window(predictions=(prediction("joy"),)), "task 'joy' is not configured"),
    "wrong number of classes": (window(predictions=(Prediction("stress", (0.5, 0.5), 0.1, 0.1),)), "has 3 classes"),
    "unknown task in an alert": (dataclasses.replace(alert(), task="joy"), "task 'joy' is not configured"),
    "no consent for a window": (window(consent_id=""), "no consent record"),
    "no consent for an alert": (dataclasses.replace(alert(), consent_id=""), "no consent record"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_item_is_refused_and_the_others_are_not_harmed(bench: Bench, case: str) -> None:
    record, words = REFUSED[case]
    replies = bench.say(item(1, record), item(2, window(hex_id(2))))
    assert isinstance(replies[0], Refusal)
    assert replies[0].sequence == 1
    assert words in replies[0].reason
    assert replies[1:] == [Ack((2,))]
    assert bench.intake.counts["refused items"] == 1


@pytest.mark.parametrize("data", [b"", b"\xff" * 20, b"\x00"])
def test_bytes_that_are_no_frame_end_the_session(bench: Bench, data: bytes) -> None:
    bench.say(heartbeat())
    (refusal,) = bench.say(data)
    assert isinstance(refusal, Refusal)
    assert refusal.sequence == 0
    assert bench.intake.pulses(THEN) == []


def test_a_stranger_gets_a_refusal_and_leaves_no_trace(bench: Bench, store: Store) -> None:
    (refusal,) = bench.say(item(1, window()), key="x" * 40)
    assert isinstance(refusal, Refusal)
    assert "not enrolled" in refusal.reason
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM windows").scalar() == 0


def test_nothing_is_acked_while_the_disk_is_full(bench: Bench, store: Store) -> None:
    def limit_pages(pages: int) -> None:
        with store.read() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    limit_pages(1)
    assert bench.say(item(1, window())) == []
    assert bench.intake.counts["unstored items"] == 1
    limit_pages(1_000_000)
    assert bench.say(item(1, window())) == [Ack((1,))]


def test_heartbeats_reach_the_fleet_and_the_store(bench: Bench, store: Store) -> None:
    assert bench.say(heartbeat(fps=12.5)) == []
    (entry,) = bench.fleet.describe(["lab-1"], THEN)
    assert (entry["alive"], entry["fps"]) == (True, 12.5)
    bench.intake.save_heartbeats()
    assert store.last_heartbeats()["lab-1"][0]["fps"] == 12.5


@pytest.mark.promise("S1")
def test_a_count_beyond_all_windows_ends_the_session(bench: Bench) -> None:
    beat = heartbeat(counts=(ScoredCount(1, "P01", "stress", False, 2**63 - 1),))
    assert [type(reply) for reply in bench.say(beat)] == [Refusal]
    assert bench.intake.unsaved() == 0


def test_a_heartbeat_that_the_database_refuses_holds_up_no_other(bench: Bench, store: Store) -> None:
    bench.fleet.heard("bad", heartbeat(counts=(ScoredCount(1, "P01", "stress", False, 2**70),)), THEN)
    bench.fleet.heard("good", heartbeat(), THEN)
    bench.intake.save_heartbeats()
    assert list(store.last_heartbeats()) == ["good"]
    assert bench.intake.unsaved() == 0


def test_a_record_that_the_database_refuses_is_refused_and_the_others_are_stored(bench: Bench, store: Store) -> None:
    bad = window(hex_id(2), model_version=2**70)
    arrivals = [
        (ROUTE, Arrival("lab-1", STREAM, n, record, b"")) for n, record in enumerate((window(hex_id(1)), bad), 1)
    ]
    replies = [reply for _, reply in bench.intake._commit(arrivals, THEN)]
    assert Ack((1,)) in replies
    assert [reply.sequence for reply in replies if isinstance(reply, Refusal)] == [2]


def test_a_pulse_carries_the_offsets_of_whom_the_agent_watches_and_of_nobody_else(bench: Bench, home: Home) -> None:
    def offsets(route: bytes) -> tuple[Offset, ...]:
        pulse = dict(bench.intake.pulses(THEN))[route]
        assert isinstance(pulse, Pulse)
        return pulse.offsets

    other = keyring.enroll(home, "lab-2", home.folder / "lab-2.key", AGENT, NOW).public
    bench.allowed.refresh()
    for key, participant in ((bench.key, "P02"), (other, "P03")):
        message = Message(participant.encode(), key, codec.encode_agent_frame(heartbeat(participant=participant)))
        bench.intake.round([message], THEN)
    assert offsets(b"P02") == offsets_of("P02")
    assert offsets(b"P03") == offsets_of("P03")
    bench.intake.round([Message(b"P02", bench.key, codec.encode_agent_frame(heartbeat(participant="P01")))], THEN)
    assert offsets(b"P02") == ()


def test_pulses_go_to_those_who_are_there_and_enrolled(bench: Bench, home: Home) -> None:
    bench.say(heartbeat())
    later = Moment(THEN.wall + FORGET_S, THEN.monotonic + FORGET_S - 0.1)
    assert bench.intake.pulses(later) == [(ROUTE, Pulse(later.wall, 7, later.wall / 1_000))]
    keyring.revoke(home, "lab-1", NOW)
    bench.allowed.refresh()
    assert bench.intake.pulses(later) == []


def test_the_silent_are_forgotten(bench: Bench) -> None:
    bench.say(heartbeat())
    assert bench.intake.pulses(Moment(0.0, THEN.monotonic + FORGET_S)) == []
