from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import func, select

from sentry_proto.codec import decode_record
from sentry_proto.errors import StorageError
from sentry_proto.limits import MAX_GROWTH, MAX_SCORED
from sentry_proto.types import ScoredCount, Window
from tests.sentry_proto.records import alert, heartbeat, prediction, window
from tests.trainer_service.conftest import arrival, hex_id
from trainer_service import schema
from trainer_service.store import REUSED, Store, Unstorable


def count(store: Store, table: str) -> int:
    with store.read() as connection:
        return connection.scalar(select(func.count()).select_from(schema.metadata.tables[table])) or 0


def test_a_window_comes_back_as_it_was_sent(store: Store) -> None:
    sent = window(hex_id(1), predictions=(prediction(),))
    assert store.ingest([arrival(sent, 1)], 5.0) == [None]
    with store.read() as connection:
        data = connection.scalar(select(schema.windows.c.record))
    found = decode_record(data or b"")
    assert isinstance(found, Window)
    assert (found.window_id, found.predictions) == (sent.window_id, sent.predictions)
    assert (found.features.values == sent.features.values).all()


def test_a_repeated_record_is_stored_once_and_not_refused(store: Store) -> None:
    first = arrival(window(hex_id(1)), 1)
    assert store.ingest([first, first], 0.0) == [None, None]
    assert store.ingest([first], 0.0) == [None]
    assert count(store, "windows") == 1


def test_a_taken_window_id_is_refused(store: Store) -> None:
    assert store.ingest([arrival(window(hex_id(1)), 1)], 0.0) == [None]
    for other in (arrival(window(hex_id(1), seed=9), 2), arrival(window(hex_id(1)), 1, agent="lab-2")):
        assert store.ingest([other], 0.0) == ["another record already has this window id"]
    assert store.ingest([arrival(window(hex_id(1)), 2)], 0.0) == [None], "the same record under another number"
    assert count(store, "windows") == 1


def test_the_number_of_another_record_is_not_acknowledged(store: Store) -> None:
    assert store.ingest([arrival(window(hex_id(1)), 1)], 0.0) == [None]
    assert store.ingest([arrival(window(hex_id(2)), 1)], 0.0) == [REUSED]
    assert count(store, "windows") == 1


@pytest.mark.parametrize("ends", [(None, 1_750_000_060.0), (1_750_000_060.0, None)], ids=["in order", "out of order"])
def test_an_alert_and_its_end_are_one(store: Store, ends: tuple[float | None, float | None]) -> None:
    arrivals = [arrival(alert(end=end), sequence) for sequence, end in enumerate(ends, 1)]
    assert store.ingest(arrivals, 0.0) == [None, None]
    with store.read() as connection:
        assert connection.execute(select(schema.alerts.c.end)).all() == [(1_750_000_060.0,)]


def test_another_agent_cannot_end_an_alert(store: Store) -> None:
    store.ingest([arrival(alert(), 1)], 0.0)
    stranger = arrival(alert(end=1_750_000_060.0), 1, agent="lab-2")
    assert store.ingest([stranger], 0.0) == ["another agent's alert already has this id"]
    with store.read() as connection:
        assert connection.execute(select(schema.alerts.c.end)).all() == [(None,)]


@pytest.mark.promise("S1")
def test_absurd_counts_of_one_agent_break_no_sum(store: Store) -> None:
    most = ScoredCount(1, "P01", "stress", False, MAX_SCORED - 1)
    for number in range(20):
        store.keep_heartbeats([("lab-1", heartbeat(stream=hex_id(number), counts=(most,)), 1.0)])
    store.keep_heartbeats([("lab-2", heartbeat(counts=(dataclasses.replace(most, windows=7),)), 1.0)])
    assert store.scored_with(1) == {"lab-1": 20 * (MAX_SCORED - 1), "lab-2": 7}
    with store.read() as connection:
        weekly = connection.scalars(select(schema.weekly_counts.c.windows).order_by(schema.weekly_counts.c.agent)).all()
    assert weekly == [20 * MAX_GROWTH, 7]
    assert all(isinstance(windows, int) for windows in weekly)


def test_what_the_database_refuses_is_told_apart_from_a_disk_that_fails(store: Store) -> None:
    too_many = ScoredCount(1, "P01", "stress", False, 2**70)
    with pytest.raises(Unstorable, match="does not take this"):
        store.keep_heartbeats([("lab-1", heartbeat(counts=(too_many,)), 1.0)])


def test_counts_never_fall(store: Store) -> None:
    for windows in (12, 30, 7):
        beat = heartbeat(counts=(ScoredCount(1, "P01", "stress", False, windows),))
        store.keep_heartbeats([("lab-1", beat, 1.0)])
    with store.read() as connection:
        assert connection.execute(select(schema.scored_counts.c.windows)).all() == [(30,)]
    assert store.last_heartbeats()["lab-1"][0]["software"] == "0.1.0"


def test_a_failing_record_undoes_its_batch(store: Store) -> None:
    broken = arrival(dataclasses.replace(window(hex_id(2)), consent_id=None), 2)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match=r"(?i)not.null"):
        store.ingest([arrival(window(hex_id(1)), 1), broken], 0.0)
    assert count(store, "windows") == 0


def test_everything_is_there_after_reopening(store: Store) -> None:
    store.ingest([arrival(window(hex_id(1)), 1)], 0.0)
    reopened = Store(store.database)
    assert count(reopened, "windows") == 1
    reopened.close()


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text("hello" * 400)
    with pytest.raises(StorageError, match=r"store\.sqlite failed"):
        Store(tmp_path / "store.sqlite")
