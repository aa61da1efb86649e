"""Both ends of the session, each with its real spool or store, on a link that loses, doubles, reorders and delays.

Only the sockets are replaced, by two lists of frames. Hypothesis chooses what happens, in any order; after each step
nothing may be lost or doubled, and once the link is whole again everything that is spooled must arrive.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select

from edge_agent.outbox import Outbox
from sentry_proto import codec, limits
from sentry_proto.keys import AGENT, AllowList
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.session import AWAY, OPEN, AgentSession
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Ack, Heartbeat, Hello, Pulse, Refusal, Stratum, Welcome
from tests.sentry_proto.records import heartbeat, window
from trainer_service import schema
from trainer_service.fleet import Fleet, Moment
from trainer_service.ingest import Intake, Message
from trainer_service.store import Store

KEY = "k" * 40
RECORD_BYTES = len(codec.encode_record(window()))
QUOTA = 12 * RECORD_BYTES
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""No disk is waited for here: tests/faults/test_ingest_kills.py and tests/trainer_service/test_app.py kill real
processes on a real one."""


class Stories(RuleBasedStateMachine):
    """One agent, one trainer, and what may go wrong between and around them."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        enrolled = {"lab-1": {"public": KEY, "role": AGENT, "enrolled": "", "revoked": None}}
        (self.folder / "enrolled.json").write_text(json.dumps(enrolled))
        self.outbox = Outbox(self.folder / "outbox.sqlite", QUOTA)
        self.store = Store(self.folder / "store.sqlite")
        self.now, self.route, self.puts = 0.0, 0, 0
        self.acked: set[int] = set()
        self.up: list[tuple[bytes, bytes]] = []
        self.down: list[tuple[bytes, bytes]] = []
        self.start_agent()
        self.start_trainer()

    def start_agent(self) -> None:
        self.session = AgentSession(Hello(limits.PROTOCOL, self.outbox.stream, LAYOUT_ID, "test"))

    def start_trainer(self) -> None:
        allowed = AllowList(self.folder / "enrolled.json")
        self.intake = Intake(self.store, Fleet({}), allowed, DEFAULT_TASKS, lambda _: 1, lambda _: 0.0)

    # ---- the agent's side ---------------------------------------------------------------------------------------

    @rule(stratum=st.sampled_from(Stratum), count=st.integers(1, 5))
    def spool(self, stratum: Stratum, count: int) -> None:
        ids = [f"{self.puts + i:032x}" for i in range(1, count + 1)]
        self.outbox.put([window(name, stratum=stratum) for name in ids])
        self.puts += count

    def connect(self) -> None:
        if self.session.state == AWAY:
            self.route += 1
            self.session.connected(self.now)

    @rule()
    def send(self) -> None:
        for frame in self.session.due(self.now, self.outbox.pending, self.beat):
            self.up.append((b"%d" % self.route, frame))

    def beat(self) -> Heartbeat:
        totals = self.outbox.totals()
        assert totals.sent == totals.acked + totals.spooled + totals.dropped
        return heartbeat(stream=self.outbox.stream, **vars(totals))

    @rule()
    def hear(self) -> None:
        """Frames of a connection that is gone do not arrive."""
        arrived, self.down = self.down, []
        for route, data in arrived:
            if route != b"%d" % self.route or self.session.state == AWAY:
                continue
            match self.session.received(data, self.now):
                case Ack(sequences=sequences):
                    self.acked.update(sequences)
                    self.outbox.ack(sequences)
                case Refusal(sequence=sequence, reason=reason):
                    raise AssertionError(f"record {sequence} was refused: {reason}")
                case Welcome() | Pulse():
                    pass

    def kill_agent(self) -> None:
        self.outbox.close()
        self.outbox = Outbox(self.folder / "outbox.sqlite", QUOTA)
        self.start_agent()

    # ---- the trainer's side -------------------------------------------------------------------------------------

    @rule()
    def answer(self) -> None:
        arrived, self.up = self.up, []
        replies = self.intake.round([Message(route, KEY, data) for route, data in arrived], self.moment())
        self.down += [(route, codec.encode_trainer_frame(frame)) for route, frame in replies]

    @rule()
    def pulse(self) -> None:
        self.down += [(route, codec.encode_trainer_frame(frame)) for route, frame in self.intake.pulses(self.moment())]

    def kill_trainer(self) -> None:
        self.store.close()
        self.store = Store(self.folder / "store.sqlite")
        self.start_trainer()
        self.cut()

    def moment(self) -> Moment:
        return Moment(1_750_000_000.0 + self.now, self.now)

    # ---- the link and the time ----------------------------------------------------------------------------------

    @rule(data=st.data())
    def lose_double_reorder(self, data: st.DataObject) -> None:
        for name in ("up", "down"):
            frames = getattr(self, name)
            chosen = st.lists(st.sampled_from(range(len(frames))), max_size=2 * len(frames)) if frames else st.just([])
            setattr(self, name, [frames[i] for i in data.draw(chosen)])

    @rule(kind=st.sampled_from(["kill_agent", "kill_trainer", "cut"]))
    def trouble(self, kind: str) -> None:
        getattr(self, kind)()

    @rule(times=st.sampled_from([1, 1, 2]))
    def converse(self, times: int) -> None:
        """A link that works for a moment, if with echoes: without it few stories get as far as an ack."""
        self.connect()
        self.send()
        self.up *= times
        self.answer()
        self.down *= times
        self.hear()
        self.send()

    def cut(self) -> None:
        self.session.lost(self.now)
        self.up.clear()
        self.down.clear()

    @rule(seconds=st.sampled_from([0.05, 0.5, 1.0, limits.PEER_DEAD_S, limits.RESEND_S, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # ---- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def every_record_is_somewhere(self) -> None:
        totals = self.outbox.totals()
        assert totals.sent == self.puts == totals.acked + totals.spooled + totals.dropped
        assert totals.spooled == len(self.outbox.pending((), self.puts + 1))

    @invariant()
    def what_was_acked_is_stored_once(self) -> None:
        stored = self.stored()
        assert len(stored) == len(set(stored))
        assert self.acked <= set(stored)
        totals = self.outbox.totals()
        assert totals.acked <= len(stored) <= totals.sent

    @invariant()
    def credit_is_kept(self) -> None:
        assert len(self.session.in_flight) <= limits.CREDIT
        assert self.session.state == OPEN or not self.session.in_flight

    def stored(self) -> list[int]:
        with self.store.read() as connection:
            table = schema.windows.c
            assert connection.scalar(select(func.count(table.window_id.distinct()))) == connection.scalar(
                select(func.count()).select_from(schema.windows)
            )
            return list(connection.scalars(select(table.sequence)))

    def teardown(self) -> None:
        """A whole link drains the spool, whatever happened before."""
        for _ in range(40):
            self.connect()
            self.send()
            self.answer()
            self.pulse()
            self.hear()
            self.now += 0.5
        totals = self.outbox.totals()
        assert totals.spooled == 0
        assert totals.acked + totals.dropped == self.puts
        assert totals.acked <= len(self.stored())
        self.store.close()
        self.outbox.close()
        self.stack.close()


@pytest.mark.promise("R1", "R2")
def test_nothing_is_lost_or_doubled_in_any_story() -> None:
    run(12, 25)


@pytest.mark.slow
@pytest.mark.promise("R1", "R2")
@pytest.mark.parametrize("stories", [60, pytest.param(400, marks=pytest.mark.soak)])
def test_nothing_is_lost_or_doubled_in_many_long_stories(stories: int) -> None:
    run(stories, 80)


def run(stories: int, steps: int) -> None:
    run_state_machine_as_test(
        Stories,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            phases=[Phase.generate],  # shrinking a story takes minutes
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
