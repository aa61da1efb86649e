"""The session machine against an in-memory trainer over a link that loses, doubles and reorders."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentry_proto import limits
from sentry_proto.session import GREETING, OPEN, AgentSession
from sentry_proto.types import Ack, Hello, Item, Pulse, Refusal, TrainerFrame, Welcome

HELLO = Hello(limits.PROTOCOL, "c" * 32, "0123456789ab", "0.1.0")


def opened(now: float = 0.0, credit: int = 2) -> AgentSession:
    session = AgentSession(HELLO, now)
    assert session.hello_due(now) == HELLO
    session.received(Welcome(1, credit, 5), now)
    return session


def test_nothing_is_sent_before_the_welcome() -> None:
    session = AgentSession(HELLO, 0.0)
    assert session.state == GREETING
    assert session.capacity(0.0) == 0
    assert not session.beat_due(0.0)


def test_greetings_back_off_until_welcomed() -> None:
    session = AgentSession(HELLO, 0.0)
    times = [t / 100 for t in range(2000) if session.hello_due(t / 100)]
    gaps = [round(b - a, 2) for a, b in itertools.pairwise(times)]
    assert gaps[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert max(gaps) == 5.0


def test_credit_bounds_what_is_in_flight() -> None:
    session = opened(credit=2)
    session.sent(1, 0.0)
    session.sent(2, 0.0)
    assert session.capacity(0.0) == 0
    session.received(Ack((1,)), 0.1)
    assert session.capacity(0.1) == 1


@pytest.mark.parametrize("silence_s", [limits.PEER_DEAD_S + 0.1, 100.0])
def test_a_silent_trainer_is_greeted_again_and_everything_counts_as_unsent(silence_s: float) -> None:
    session = opened()
    session.sent(1, 0.0)
    assert session.capacity(silence_s) == 0
    assert session.in_flight == frozenset()
    assert session.hello_due(silence_s) == HELLO


def test_an_item_without_ack_is_sent_again_though_the_trainer_beats() -> None:
    session = opened()
    session.sent(1, 0.0)
    for now in range(1, 7):
        session.received(Pulse(0.0, 5), float(now))
        session.capacity(float(now))
    assert session.in_flight == frozenset()


def test_a_refused_session_keeps_the_reason_and_asks_seldom() -> None:
    session = AgentSession(HELLO, 0.0)
    session.hello_due(0.0)
    session.received(Refusal(0, "wrong layout"), 0.1)
    assert session.refusal == "wrong layout"
    assert session.state == GREETING


def test_a_pulse_tells_of_a_new_model() -> None:
    session = opened()
    session.received(Pulse(1.0, 6), 1.0)
    assert session.model_version == 6


class LossyTrainer:
    """Stores by sequence, acks what it stored; its link drops, doubles and reorders by a seeded pattern."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stored: dict[int, int] = {}
        self.to_agent: list[TrainerFrame] = []

    def take(self, frame: Hello | Item) -> None:
        for _ in range(self.random.choice((0, 1, 1, 1, 2))):
            if isinstance(frame, Hello):
                self.to_agent.append(Welcome(1, 4, 0))
            else:
                self.stored.setdefault(frame.sequence, 0)
                self.stored[frame.sequence] += 1
                self.to_agent.append(Ack((frame.sequence,)))

    def deliver(self) -> list[TrainerFrame]:
        self.random.shuffle(self.to_agent)
        kept = [frame for frame in self.to_agent if self.random.random() > 0.3]
        self.to_agent = []
        return kept


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_every_spooled_record_is_stored_and_forgotten_once_over_a_lossy_link(seed: int, n: int) -> None:
    trainer, session = LossyTrainer(seed), AgentSession(HELLO, 0.0)
    spool = set(range(1, n + 1))
    now = 0.0
    while spool and now < 3600:
        now += 0.25
        if hello := session.hello_due(now):
            trainer.take(hello)
        for sequence in sorted(spool - session.in_flight)[: session.capacity(now)]:
            trainer.take(Item("c" * 32, sequence, b""))
            session.sent(sequence, now)
        for frame in trainer.deliver():
            session.received(frame, now)
            if isinstance(frame, Ack):
                spool -= set(frame.sequences)
    assert not spool
    assert set(trainer.stored) == set(range(1, n + 1))
    assert session.state in (OPEN, GREETING)
