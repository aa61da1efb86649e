"""The stream as it is read from a real store."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from sqlalchemy import delete

from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Float32, Prediction, Stratum
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import arrival, hex_id, label, put_labels, put_windows
from trainer_service import labels, schema
from trainer_service.store import Store
from trainer_service.stream_feed import Extent, StreamFeed, extent
from training.feature_space import SECOND_SPACE

SAID = Prediction("stress", (0.7, 0.2, 0.1), 0.8, 0.1)


def pooled_of(window_ids: Sequence[str]) -> Mapping[str, Float32]:
    """A window's number, in every column."""
    return {name: np.full(SECOND_SPACE.n_pooled, int(name, 16) / 100, np.float32) for name in window_ids}


@pytest.fixture
def store(store: Store) -> Store:
    """Thirty windows of three people, every third of the audit stratum; the first from before the baseline."""
    windows = [
        window(
            hex_id(n),
            participant=f"P{n % 3}",
            stratum=Stratum.AUDIT if n % 3 == 0 else Stratum.UNCERTAIN,
            predictions=(SAID,) if n > 10 else (),
        )
        for n in range(1, 31)
    ]
    young = dataclasses.replace(windows[0].features.baseline, seconds=0)
    windows[0] = dataclasses.replace(windows[0], features=dataclasses.replace(windows[0].features, baseline=young))
    put_windows(store, windows)
    put_labels(store, *(label(n, hex_id(n), "calm" if n % 2 else "stressed") for n in range(1, 31)))
    return store


def feed(store: Store) -> StreamFeed:
    return StreamFeed(store, DEFAULT_TASKS, pooled_of)


def read_all(one: StreamFeed, most: int = 7) -> int:
    """Steps until nothing is left."""
    steps = 1
    while one.step(most):
        steps += 1
    return steps


def test_portions_lead_to_the_same_as_one_draught(store: Store) -> None:
    slow, fast = feed(store), feed(store)
    assert read_all(slow) == 5
    assert not fast.step(100)
    assert slow.watch.describe() == fast.watch.describe()
    found = fast.watch.describe()["tasks"]["stress"]
    assert (found["labels"], found["compared"]) == (29, 20), "none from before the baseline; the heads spoke from 11 on"
    assert found["head"] == 0.5


def test_the_extent_changes_with_whatever_comes_or_goes(store: Store) -> None:
    seen = [extent_of(store)]
    put_labels(store, label(50, hex_id(12), "calm", rater="bob"))
    seen.append(extent_of(store))
    with store.write() as connection:
        labels.withdraw(connection, hex_id(11), 5.0)
    seen.append(extent_of(store))
    store.ingest([arrival(window(hex_id(99)), 99)], 0.0)
    seen.append(extent_of(store))
    assert len(set(seen)) == 4
    assert extent_of(store) == seen[-1]


def extent_of(store: Store) -> Extent:
    with store.read() as connection:
        return extent(connection)


def test_what_comes_later_is_added(store: Store) -> None:
    one = feed(store)
    read_all(one)
    put_labels(store, label(50, hex_id(12), "calm", rater="bob"))
    one.step()
    assert one.watch.describe()["tasks"]["stress"]["labels"] == 30


def test_what_was_taken_back_is_forgotten(store: Store) -> None:
    one = feed(store)
    read_all(one)
    with store.write() as connection:
        labels.withdraw(connection, hex_id(11), 5.0)
    read_all(one)
    fresh = feed(store)
    read_all(fresh)
    assert one.watch.describe() == fresh.watch.describe()
    assert one.watch.describe()["tasks"]["stress"]["labels"] == 28


def test_an_erased_person_is_forgotten(store: Store) -> None:
    one = feed(store)
    read_all(one)
    mine = schema.windows.c.participant == "P1"
    with store.write() as connection:
        ids = [row.window_id for row in connection.execute(schema.windows.select().where(mine))]
        connection.execute(delete(schema.labels).where(schema.labels.c.window_id.in_(ids)))
        connection.execute(delete(schema.windows).where(mine))
    read_all(one)
    assert set(one.watch.describe()["tasks"]["stress"]["people"]) == {"P0", "P2"}
