"""The session machine, event by event; tests/faults/test_session_stories.py has both ends on a lossy link."""

from __future__ import annotations

import itertools

import pytest

from sentry_proto import limits
from sentry_proto.codec import decode_agent_frame, encode_agent_frame, encode_trainer_frame
from sentry_proto.errors import MalformedMessage, RequestRefused
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.session import (
    AWAY,
    FORGET_S,
    GREETING,
    LONGEST_BACKOFF_S,
    OPEN,
    AgentSession,
    TrainerSession,
    welcome,
)
from sentry_proto.types import Ack, AgentFrame, Heartbeat, Hello, Item, Pulse, Refusal, TrainerFrame, Welcome
from tests.sentry_proto.records import heartbeat

HELLO = Hello(limits.PROTOCOL, "c" * 32, LAYOUT_ID, "0.1.0")


class Agent:
    """A session with a spool of three records, and no socket."""

    def __init__(self) -> None:
        self.session = AgentSession(HELLO)
        self.spool = {1: b"one", 2: b"two", 3: b"three"}

    def due(self, now: float) -> list[AgentFrame]:
        frames = self.session.due(
            now,
            lambda exclude, most: [entry for entry in self.spool.items() if entry[0] not in exclude][:most],
            heartbeat,
        )
        return [decode_agent_frame(frame) for frame in frames]

    def items(self, now: float) -> list[int]:
        return [frame.sequence for frame in self.due(now) if isinstance(frame, Item)]

    def hear(self, frame: TrainerFrame, now: float) -> None:
        assert self.session.received(encode_trainer_frame(frame), now) == frame


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def opened(agent: Agent) -> Agent:
    agent.session.connected(0.0)
    assert agent.due(0.0) == [HELLO]
    agent.hear(Welcome(limits.PROTOCOL, 2, 5), 0.0)
    return agent


def test_nothing_is_sent_without_a_connection_nor_before_the_welcome(agent: Agent) -> None:
    assert agent.due(0.0) == []
    agent.hear(Welcome(limits.PROTOCOL, 2, 5), 0.0)
    assert (agent.session.state, agent.due(1.0)) == (AWAY, [])
    agent.session.connected(2.0)
    assert agent.due(2.0) == [HELLO]
    assert agent.due(2.1) == []


def test_greetings_back_off_until_welcomed(agent: Agent) -> None:
    agent.session.connected(0.0)
    times = [t / 100 for t in range(2000) if agent.due(t / 100)]
    gaps = [round(b - a, 2) for a, b in itertools.pairwise(times)]
    assert gaps[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert max(gaps) == LONGEST_BACKOFF_S


def test_credit_bounds_what_is_in_flight(opened: Agent) -> None:
    assert opened.items(0.0) == [1, 2]
    assert opened.items(0.0) == []
    opened.hear(Ack((1,)), 0.1)
    del opened.spool[1]
    assert opened.items(0.1) == [3]


def test_a_heartbeat_a_second(opened: Agent) -> None:
    beats = 0
    for tenth in range(100):
        opened.hear(Pulse(0.0, 5), tenth / 10)
        opened.hear(Ack((1, 2)), tenth / 10)
        beats += sum(isinstance(frame, Heartbeat) for frame in opened.due(tenth / 10))
    assert beats == 10


@pytest.mark.parametrize("silence_s", [limits.PEER_DEAD_S + 0.1, 100.0])
def test_a_silent_trainer_is_greeted_again_and_everything_counts_as_unsent(opened: Agent, silence_s: float) -> None:
    opened.items(0.0)
    assert opened.due(silence_s) == [HELLO]
    assert (opened.session.state, opened.session.in_flight) == (GREETING, frozenset())
    opened.hear(Welcome(limits.PROTOCOL, 2, 5), silence_s)
    assert opened.items(silence_s) == [1, 2]


def test_an_item_without_ack_is_sent_again_though_the_trainer_beats(opened: Agent) -> None:
    opened.items(0.0)
    for now in range(1, 7):
        opened.hear(Pulse(0.0, 5), float(now))
        opened.due(float(now))
    assert opened.session.in_flight == frozenset()


def test_a_refused_session_keeps_the_reason_and_asks_seldom(opened: Agent) -> None:
    opened.items(0.0)
    opened.hear(Refusal(0, "revoked"), 0.1)
    assert (opened.session.state, opened.session.refusal) == (GREETING, "revoked")
    assert opened.due(LONGEST_BACKOFF_S) == []
    assert opened.due(LONGEST_BACKOFF_S + 0.2) == [HELLO]
    opened.hear(Welcome(limits.PROTOCOL, 2, 5), 6.0)
    assert (opened.session.state, opened.session.refusal) == (OPEN, "")


def test_a_refused_item_frees_its_credit(opened: Agent) -> None:
    opened.items(0.0)
    opened.hear(Refusal(2, "no such task"), 0.1)
    assert opened.session.in_flight == {1}
    assert opened.session.state == OPEN


def test_bytes_that_are_no_frame_change_nothing(opened: Agent) -> None:
    opened.items(0.0)
    with pytest.raises(MalformedMessage):
        opened.session.received(b"\xff", 3.0)
    assert opened.session.in_flight == {1, 2}
    assert opened.due(limits.PEER_DEAD_S + 0.1) == [HELLO], "nor do they count as a sign of life"


def test_a_lost_connection_ends_what_was_in_flight(opened: Agent) -> None:
    opened.items(0.0)
    opened.session.lost(0.1)
    assert (opened.session.state, opened.due(9.0)) == (AWAY, [])
    opened.session.connected(9.1)
    assert opened.due(9.1) == [HELLO]


def test_a_peer_is_there_until_it_is_silent() -> None:
    peer = TrainerSession("key", 0.0)
    assert peer.received(encode_agent_frame(HELLO), 1.0) == HELLO
    assert peer.there(1.0 + FORGET_S - 0.1)
    assert not peer.there(1.0 + FORGET_S)
    with pytest.raises(MalformedMessage):
        peer.received(b"\xff", 90.0)
    assert not peer.there(90.0)


def test_a_welcome_names_the_credit_and_the_model() -> None:
    assert welcome(HELLO, 7) == Welcome(limits.PROTOCOL, limits.CREDIT, 7)


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        (Hello(2, "c" * 32, LAYOUT_ID, "x"), "speaks protocol 2, this trainer 1"),
        (Hello(1, "c" * 32, "b49745dda9dd" * 3, "x"), "layout 'b49745dda9ddb49745dd', this trainer speaks"),
    ],
)
def test_another_protocol_or_layout_is_not_welcome(hello: Hello, words: str) -> None:
    with pytest.raises(RequestRefused, match=words):
        welcome(hello, 7)


def test_news_is_told_before_the_second_is_over(opened: Agent) -> None:
    def beats(now: float) -> int:
        return sum(isinstance(frame, Heartbeat) for frame in opened.due(now))

    assert [beats(0.1), beats(0.2)] == [1, 0]
    opened.session.beat_now()
    assert [beats(0.3), beats(0.4), beats(1.2), beats(1.3)] == [1, 0, 0, 1]
