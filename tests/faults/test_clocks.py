"""R5: clocks that jump by two years back, two days or an hour on either side change no order and silence nobody."""

from __future__ import annotations

import pytest

from sentry_proto import limits
from sentry_proto.codec import decode_agent_frame, encode_trainer_frame
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.session import OPEN, AgentSession
from sentry_proto.types import Ack, Hello, Item, Pulse, Welcome
from tests.sentry_proto.records import heartbeat, window
from tests.trainer_service.conftest import arrival
from trainer_service.fleet import Fleet, Moment
from trainer_service.store import Store

pytestmark = pytest.mark.promise("R5")

NOW = 1_780_000_000.0
JUMPS = {
    "two years back": -2 * 365 * 86_400.0,
    "two days on": 2 * 86_400.0,
    "an hour on": 3600.0,
    "an hour back": -3600.0,
}


@pytest.mark.parametrize("jump", JUMPS)
def test_no_agent_goes_offline_when_the_trainers_clock_jumps(jump: str) -> None:
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(time=NOW), Moment(NOW, 100.0))
    (entry,) = fleet.describe(["lab-1"], Moment(NOW + JUMPS[jump], 101.0))
    assert (entry["alive"], entry["silent_s"]) == (True, 1.0)
    (entry,) = fleet.describe(["lab-1"], Moment(NOW + JUMPS[jump], 101.0 + limits.PEER_DEAD_S))
    assert not entry["alive"], "nor does a jump keep a dead one alive"


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_is_off_is_shown_and_harms_nobody(jump: str) -> None:
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(time=NOW + JUMPS[jump]), Moment(NOW, 100.0))
    (entry,) = fleet.describe(["lab-1"], Moment(NOW, 100.5))
    assert entry["alive"]
    assert entry["clock_off_s"] == pytest.approx(JUMPS[jump])
    fleet.heard("lab-1", heartbeat(time=NOW + 2.0), Moment(NOW + 1.0, 101.0))
    (entry,) = fleet.describe(["lab-1"], Moment(NOW, 101.5))
    assert entry["clock_off_s"] == pytest.approx(1.0)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_session_stays_open_and_items_keep_their_order_when_the_agents_clock_jumps(jump: str) -> None:
    """Windows carry the wall's time, the session only knows monotonic time and sequences."""
    session = AgentSession(Hello(limits.PROTOCOL, "c" * 32, LAYOUT_ID, "test"))
    session.connected(0.0)
    list(session.due(0.0, lambda exclude, most: [], heartbeat))
    session.received(encode_trainer_frame(Welcome(limits.PROTOCOL, 64, 1)), 0.0)
    sent: list[int] = []
    for second in range(1, 9):
        wall = NOW + second + (JUMPS[jump] if second > 4 else 0.0)
        session.received(encode_trainer_frame(Pulse(wall, 1)), float(second))
        made = [(sequence, b"record") for sequence in range(1, second + 1) if sequence not in sent]
        frames = list(session.due(float(second), lambda exclude, most: made, lambda: heartbeat(time=wall)))  # noqa: B023
        sent += [frame.sequence for frame in map(decode_agent_frame, frames) if isinstance(frame, Item)]
        session.received(encode_trainer_frame(Ack(tuple(sent))), float(second))
    assert session.state == OPEN
    assert sent == list(range(1, 9))


@pytest.mark.parametrize("jump", JUMPS)
def test_records_keep_the_order_in_which_they_were_made(store: Store, jump: str) -> None:
    starts = [NOW + 30 * i + (JUMPS[jump] if i >= 3 else 0.0) for i in range(6)]
    for number, start in enumerate(starts, 1):
        assert store.ingest([arrival(window(f"{number:032x}", start=start), number)], start) == [None]
    with store.read() as connection:
        rows = connection.exec_driver_sql("SELECT sequence, start FROM windows ORDER BY row").all()
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row[1] for row in rows] == starts
