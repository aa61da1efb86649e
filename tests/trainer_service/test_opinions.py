from __future__ import annotations

import random

import pytest

from tests.sentry_proto.records import window
from tests.trainer_service.conftest import hex_id, label, put_labels, put_windows
from trainer_service import labels
from trainer_service.opinions import OpinionFeed
from trainer_service.store import Store


@pytest.mark.parametrize("seed", range(3))
def test_what_is_read_bit_by_bit_is_what_is_read_at_once(store: Store, seed: int) -> None:
    """Labels of few raters on few windows come, are corrected and withdrawn in any order."""
    dice = random.Random(seed)
    put_windows(store, [window(hex_id(n), participant=f"P{n % 3}") for n in range(1, 7)])
    feed = OpinionFeed("stress")
    for number in range(1, 60):
        value, rater = dice.choice(("calm", "stressed")), dice.choice(("ann", "bob", "cid"))
        sure = dice.choice((0.5, 1.0))
        put_labels(store, label(number, hex_id(dice.randint(1, 6)), value, rater=rater, confidence=sure))
        if dice.random() < 0.1:
            with store.write() as connection:
                labels.withdraw(connection, hex_id(dice.randint(1, number)), 1.0)
        if dice.random() < 0.5:
            with store.read() as connection:
                assert feed.read(connection) == OpinionFeed("stress").read(connection)


def test_only_what_came_is_read_and_lists_that_were_given_out_stay(store: Store) -> None:
    put_windows(store, [window(hex_id(n)) for n in (1, 2)])
    put_labels(store, label(1, hex_id(1)))
    feed = OpinionFeed("stress")
    with store.read() as connection:
        first = feed.read(connection)
    put_labels(store, label(2, hex_id(2)), label(3, hex_id(1), "stressed"))
    with store.read() as connection:
        second = feed.read(connection)
    assert [(one.window_id, one.value) for one in first] == [(hex_id(1), "calm")]
    assert [(one.window_id, one.value) for one in second] == [(hex_id(1), "stressed"), (hex_id(2), "calm")]
