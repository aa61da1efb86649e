"""Personal offsets from a real store: labels that come, go and are erased."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sqlalchemy import delete

from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Prediction, Window
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import hex_id, label, put_labels, put_windows
from trainer_service import labels, registry, schema
from trainer_service.personal import PersonalOffsets
from trainer_service.registry import Decision
from trainer_service.store import Store

COUNT = 80
STATES = ("calm", "mildly stressed", "stressed")


def windows_of(participant: str, first: int, lean: float) -> list[tuple[Window, str]]:
    """A window a minute whose head leans towards stressed, each with its true state."""
    random = np.random.default_rng(first)
    found = []
    for n in range(COUNT):
        state = int(random.integers(3))
        scores = random.normal(0, 0.6, 3) + lean * np.linspace(-1, 1, 3)
        scores[state] += 1.2
        said = np.exp(scores) / np.exp(scores).sum()
        plain = window(
            hex_id(first + n), participant=participant, start=1_750_000_000.0 + 60 * n, seconds=2, model_version=1,
            predictions=(Prediction("stress", tuple(said.tolist()), 0.5, 0.1),),
        )  # fmt: skip
        found.append((plain, STATES[state]))
    return found


@pytest.fixture
def store(store: Store) -> Store:
    """P01, for whom the head leans, and P02, whom it suits; all labelled by ann."""
    some = [*windows_of("P01", 1_000, 1.5), *windows_of("P02", 2_000, 0.0)]
    put_windows(store, [one for one, _ in some])
    with store.write() as connection:
        for n, (one, state) in enumerate(some):
            labels.put(connection, label(10_000 + n, one.window_id, state), 0.0)
    return store


@pytest.fixture
def offsets(store: Store) -> PersonalOffsets:
    found = PersonalOffsets(store, DEFAULT_TASKS)
    found.refresh()
    return found


def test_who_is_read_wrongly_has_an_offset_and_others_have_none(offsets: PersonalOffsets) -> None:
    (mine,) = offsets.of("P01")
    assert (mine.participant, mine.task) == ("P01", "stress")
    assert mine.logits[0] > 0.5
    assert mine.logits[2] < -0.5
    assert offsets.of("P02") == offsets.of("nobody") == ()
    described = offsets.describe()
    assert described["P01"]["stress"]["used"]
    assert described["P01"]["stress"]["personal"]["brier"] < described["P01"]["stress"]["generic"]["brier"]
    assert "not shown to be better" in described["P02"]["stress"]["words"]


def test_withdrawn_labels_end_it_at_the_next_look(store: Store, offsets: PersonalOffsets) -> None:
    with store.write() as connection:
        for n in range(COUNT - 15):
            labels.withdraw(connection, hex_id(10_000 + n), 5.0)
    assert offsets.of("P01"), "nobody has looked yet"
    offsets.refresh()
    assert offsets.of("P01") == ()
    assert "P01" not in offsets.describe()


def test_a_correction_counts_in_place_of_what_it_corrects(store: Store, offsets: PersonalOffsets) -> None:
    before = offsets.of("P01")[0].logits
    put_labels(store, *(label(20_000 + n, hex_id(1_000 + n), "stressed") for n in range(COUNT)))
    offsets.refresh()
    assert offsets.of("P01") == (), "one class explains all of them"
    assert before != ()


def test_an_erased_person_leaves_nothing(store: Store, offsets: PersonalOffsets) -> None:
    mine = schema.windows.c.participant == "P01"
    with store.write() as connection:
        ids = [row.window_id for row in connection.execute(schema.windows.select().where(mine))]
        connection.execute(delete(schema.labels).where(schema.labels.c.window_id.in_(ids)))
        connection.execute(delete(schema.windows).where(mine))
    offsets.refresh()
    assert offsets.of("P01") == ()
    assert set(offsets.describe()) == {"P02"}


def test_a_trainer_that_starts_knows_what_the_last_one_knew(store: Store, offsets: PersonalOffsets) -> None:
    fresh = PersonalOffsets(store, DEFAULT_TASKS)
    fresh.refresh()
    assert fresh.of("P01") == offsets.of("P01")


def test_raters_whom_the_last_run_doubted_do_not_count(store: Store, offsets: PersonalOffsets) -> None:
    raters = {"count": 2, "largest_share": 0.5, "doubted": ["ann"]}
    decision = Decision(
        1.0, "labels", "stress", registry.REFUSED, "not better", 1, 0, None, 160, 2, {"raters": raters}, 160
    )
    with store.write() as connection:
        registry.record(connection, [decision])
    offsets.refresh()
    assert offsets.of("P01") == ()


def test_a_window_of_other_classes_says_nothing(store: Store) -> None:
    tasks = [dataclasses.replace(task, classes=("calm", "stressed")) for task in DEFAULT_TASKS if task.name == "stress"]
    for_two = PersonalOffsets(store, [dataclasses.replace(tasks[0], kind="binary")])
    for_two.refresh()
    assert for_two.of("P01") == ()
