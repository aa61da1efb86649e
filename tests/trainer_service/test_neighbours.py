"""What agents are asked for after a label: the windows around those in which the event was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.outbox import Outbox
from edge_agent.shelf import Shelf
from edge_agent.state import State, heartbeat
from edge_agent.uplink import Uplink
from sentry_proto import limits
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.tasks import DEFAULT_TASKS, TRUE_ALARM
from sentry_proto.types import Hello, Stratum, Wanted
from tests.edge_agent.trainer import eventually
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import Ingestion, arrival, hex_id, label, put_labels, put_windows
from trainer_service.neighbours import TIMES, Neighbours
from trainer_service.store import Store
from training.active_learning.neighbours import is_rare

T = 1_750_000_000.0
SESSION = "s0001"
RECEIVED = 0.0
"""When `put_labels` receives labels."""


def at(*seconds: float) -> tuple[Wanted, ...]:
    return tuple(Wanted("P01", SESSION, T + second) for second in seconds)


@pytest.fixture
def neighbours(store: Store) -> Neighbours:
    """With three windows of one session in the store, from 0, 15 and 300 s on."""
    put_windows(store, [window(hex_id(n), start=T + begin, seed=n) for n, begin in enumerate((0, 15, 300), 1)])
    return Neighbours(store, DEFAULT_TASKS, RECEIVED)


def asked(neighbours: Neighbours, agent: str = "lab-1") -> tuple[Wanted, ...]:
    neighbours.refresh()
    return neighbours.of(agent)


def test_a_confirmed_event_asks_for_the_windows_beside_it_that_are_not_here(
    store: Store, neighbours: Neighbours
) -> None:
    put_labels(store, label(1, hex_id(1), "stressed"), label(2, hex_id(3), "calm"))
    assert asked(neighbours) == at(-30, -15, 30)
    assert asked(neighbours, "lab-2") == ()


@pytest.mark.parametrize(("value", "n"), [("stressed", 4), (TRUE_ALARM, 4), ("mildly stressed", 0), ("calm", 0)])
def test_only_the_event_asks(store: Store, neighbours: Neighbours, value: str, n: int) -> None:
    put_labels(store, label(1, hex_id(3), value))
    assert len(asked(neighbours)) == n


def test_a_task_without_alerts_has_no_event(store: Store, neighbours: Neighbours) -> None:
    put_labels(store, label(1, hex_id(3), "severe", task="anxiety"))
    assert asked(neighbours) == ()


def test_an_agent_is_told_a_few_times(store: Store, neighbours: Neighbours) -> None:
    put_labels(store, label(1, hex_id(3), "stressed"))
    assert [len(asked(neighbours)) for _ in range(TIMES + 1)] == [4] * TIMES + [0]


def test_a_trainer_that_starts_asks_again_what_labels_of_late_asked_for(store: Store, neighbours: Neighbours) -> None:
    put_labels(store, label(1, hex_id(3), "stressed"))
    assert asked(Neighbours(store, DEFAULT_TASKS, RECEIVED)) == asked(neighbours) == at(270, 285, 315, 330)
    assert asked(Neighbours(store, DEFAULT_TASKS, RECEIVED + 1)) == ()
    came = [window(hex_id(n), start=T + begin, seed=n) for n, begin in enumerate((270, 285, 315, 330), 10)]
    assert store.ingest([arrival(one, n) for n, one in enumerate(came, 10)], 0.0) == [None] * 4
    assert asked(Neighbours(store, DEFAULT_TASKS, RECEIVED)) == (), "they are here"


def test_one_pulse_asks_for_a_few_and_the_next_for_the_rest(store: Store, neighbours: Neighbours) -> None:
    far = [window(hex_id(10 + n), start=T + 1_000 * n, seed=n) for n in range(1, 31)]
    assert store.ingest([arrival(one, 10 + n) for n, one in enumerate(far)], 0.0) == [None] * 30
    put_labels(store, *(label(n, hex_id(10 + n), "stressed" if n < 7 else "calm") for n in range(1, 31)))
    told = [asked(neighbours) for _ in range(2 * TIMES)]
    assert max(map(len, told)) == limits.MAX_WANTED
    assert {one for some in told for one in some} == set(
        at(*(1_000 * n + d for n in range(1, 7) for d in (-30, -15, 15, 30)))
    )


def test_a_label_brings_the_neighbours_from_the_agents_shelf(ingestion: Ingestion, tmp_path: Path) -> None:
    key = ingestion.enroll("lab-1")
    outbox, shelf, state = (
        Outbox(tmp_path / "outbox.sqlite"),
        Shelf(tmp_path / "shelf.sqlite"),
        State(participant="P01"),
    )
    for n in range(20):
        shelf.put(window(hex_id(n), start=T + 5 * n, seed=n, stratum=Stratum.NEIGHBOUR, inclusion_probability=1.0))
    outbox.put([window(hex_id(100), start=T + 50)])
    hello = Hello(limits.PROTOCOL, outbox.stream, LAYOUT_ID, "test")
    uplink = Uplink(
        key, outbox, hello, lambda _: heartbeat(state, outbox), lambda _: None, lambda _: None, lambda _: None,
        lambda: None, on_wanted=lambda wanted: outbox.put(shelf.take(wanted)),
    )  # fmt: skip
    try:
        eventually(lambda: outbox.totals().acked == 1, "the first window is stored")
        put_labels(ingestion.store, label(1, hex_id(100), "stressed"))
        eventually(lambda: outbox.totals().acked == 5, "its neighbours are stored", within_s=10)
    finally:
        uplink.close(drain_s=0)
        outbox.close()
        shelf.close()
    with ingestion.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT start, stratum FROM windows ORDER BY start").all()
    assert [(row[0] - T, row[1]) for row in rows] == [
        (20, "neighbour"), (35, "neighbour"), (50, "uncertain"), (65, "neighbour"), (80, "neighbour"),
    ]  # fmt: skip


def test_an_event_that_is_common_is_not_looked_for(store: Store, neighbours: Neighbours) -> None:
    far = [window(hex_id(10 + n), start=T + 1_000 * n, seed=n) for n in range(1, 13)]
    assert store.ingest([arrival(one, 10 + n) for n, one in enumerate(far)], 0.0) == [None] * 12
    put_labels(store, *(label(n, hex_id(10 + n), "stressed" if n % 3 else "calm") for n in range(1, 10)))
    assert asked(neighbours) == ()
    assert is_rare(3, 3)
    assert is_rare(24, 100)
    assert not is_rare(25, 100)
