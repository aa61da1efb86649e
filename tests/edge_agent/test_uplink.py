"""The uplink against a trainer that comes, goes, refuses and forgets."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.outbox import Outbox, Scored
from edge_agent.state import State, heartbeat
from edge_agent.uplink import Uplink
from sentry_proto import limits
from sentry_proto.codec import encode_record
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.types import Hello, Offset
from tests.edge_agent.trainer import Lab, Trainer, eventually
from tests.sentry_proto.records import alert, window


class Agent:
    """An outbox and its uplink."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.outbox = Outbox(folder / "outbox.sqlite")
        self.announced: list[int] = []
        self.wished: list[float] = []
        self.offsets: list[tuple[Offset, ...]] = []
        state = State(participant="P01", session="s1")
        hello = Hello(limits.PROTOCOL, self.outbox.stream, LAYOUT_ID, "test")
        self.failed = threading.Event()
        self.uplink = Uplink(
            lab.key,
            self.outbox,
            hello,
            lambda _: heartbeat(state, self.outbox),
            self.announced.append,
            self.wished.append,
            self.offsets.append,
            self.failed.set,
        )

    def close(self) -> None:
        self.uplink.close(drain_s=0)
        self.outbox.close()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def agent(lab: Lab, tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(lab, tmp_path)
    yield agent
    agent.close()


def test_what_is_spooled_is_stored_once_and_forgotten(lab: Lab, agent: Agent) -> None:
    records = [window(f"{i:032x}", seed=i) for i in range(20)]
    agent.outbox.put(records)
    trainer = Trainer(lab)
    eventually(lambda: agent.outbox.totals().acked == 20, "all records are acked")
    trainer.close()
    assert trainer.stored == {i + 1: encode_record(record) for i, record in enumerate(records)}
    assert agent.outbox.totals().spooled == 0


def test_a_new_record_leaves_at_once(lab: Lab, agent: Agent) -> None:
    trainer = Trainer(lab)
    eventually(lambda: agent.uplink.open, "the session opens")
    agent.outbox.put([alert()])
    eventually(lambda: trainer.stored, "the record arrives", within_s=0.5)
    trainer.close()


def test_a_trainer_that_dies_and_comes_back_gets_the_rest(lab: Lab, agent: Agent) -> None:
    first = Trainer(lab, acks=False)
    agent.outbox.put([window(f"{i:032x}") for i in range(6)])
    eventually(lambda: len(first.stored) == 4, "its credit is used up")
    first.close()
    assert agent.outbox.totals().spooled == 6
    second = Trainer(lab)
    eventually(lambda: agent.outbox.totals().acked == 6, "all records are acked")
    second.close()
    assert second.items[:4] == [1, 2, 3, 4], "what had no ack is sent again, in order"


def test_a_refused_record_is_dropped_and_the_others_go_on(lab: Lab, agent: Agent) -> None:
    trainer = Trainer(lab, refuse=(2,))
    agent.outbox.put([alert() for _ in range(3)])
    eventually(lambda: agent.outbox.totals().spooled == 0, "nothing is left")
    trainer.close()
    totals = agent.outbox.totals()
    assert (totals.acked, totals.dropped) == (2, 1)
    assert agent.outbox.last_refusal == "no such task"


def test_heartbeats_carry_totals_and_counts_that_add_up(lab: Lab, agent: Agent) -> None:
    agent.outbox.put([alert()], [Scored(1, "P01", "stress", alerting=True)])
    trainer = Trainer(lab, version=7)
    eventually(lambda: len(trainer.heartbeats) >= 2, "heartbeats come")
    trainer.close()
    beat = trainer.heartbeats[-1]
    assert (beat.sent, beat.acked + beat.spooled + beat.dropped) == (1, 1)
    assert [(c.task, c.alerting, c.windows) for c in beat.counts] == [("stress", True, 1)]
    assert set(agent.announced) == {7}


def test_the_trainers_wish_for_more_audit_windows_arrives_and_ends(lab: Lab, agent: Agent) -> None:
    trainer = Trainer(lab)
    trainer.audit = 0.2
    eventually(lambda: agent.wished[-1:] == [0.2], "the wish arrives")
    trainer.audit = 0.0
    eventually(lambda: agent.wished[-1:] == [0.0], "the wish ends")
    trainer.close()


def test_a_personal_offset_arrives_and_ends(lab: Lab, agent: Agent) -> None:
    trainer = Trainer(lab)
    trainer.offsets = (Offset("P01", "stress", (-0.5, 0.0, 0.5)),)
    eventually(lambda: agent.offsets[-1:] == [trainer.offsets], "the offset arrives")
    trainer.offsets = ()
    eventually(lambda: agent.offsets[-1:] == [()], "it ends")
    trainer.close()


def test_no_trainer_is_said_in_words_and_records_wait(agent: Agent) -> None:
    agent.outbox.put([alert()])
    eventually(lambda: agent.uplink.words == "no trainer answers at this address", "the reason is known")
    assert agent.outbox.totals().spooled == 1


def test_a_key_that_is_not_enrolled_is_said_in_words(tmp_path: Path) -> None:
    lab = Lab(tmp_path, enrolled=False)
    trainer = Trainer(lab)
    agent = Agent(lab, tmp_path)
    eventually(lambda: "not enrolled" in agent.uplink.words, "the reason is known")
    agent.close()
    trainer.close()
    assert not trainer.hellos


def test_at_the_end_records_get_time_to_leave(lab: Lab, tmp_path: Path) -> None:
    trainer = Trainer(lab)
    agent = Agent(lab, tmp_path)
    agent.outbox.put([alert() for _ in range(10)])
    agent.uplink.close(drain_s=5)
    assert agent.outbox.totals().acked == 10
    assert trainer.heartbeats[-1].acked == 10, "and the last heartbeat says so"
    agent.outbox.close()
    trainer.close()


def test_a_bug_in_the_uplink_is_never_silent(lab: Lab, tmp_path: Path) -> None:
    trainer, agent = Trainer(lab), Agent(lab, tmp_path)
    eventually(lambda: agent.uplink.open, "the session opens")
    agent.outbox.close()
    eventually(agent.failed.is_set, "the agent is told")
    with pytest.raises(sqlite3.ProgrammingError):
        agent.uplink.close()
    trainer.close()
