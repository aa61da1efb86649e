"""How alike windows look, and batches that do not ask the same question twice."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tests.sentry_proto.records import window
from training.active_learning.diversity import KEPT, SentLately, distances, diverse_batch, look

pools = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.floats(0, 2) | st.just(float("nan"))),
        arrays(np.float32, (n, 3), elements=st.floats(-6, 6, width=32)),
    )
)


def test_the_look_is_in_units_of_the_persons_own_baseline() -> None:
    features = window().features
    same = dataclasses.replace(features, values=np.tile(features.baseline.centre, (30, 1)))
    shifted = dataclasses.replace(same, values=same.values + 2 * features.baseline.scale)
    count = features.values.shape[1]
    np.testing.assert_allclose(look(same)[: 2 * count], 0, atol=1e-4)
    np.testing.assert_allclose(look(shifted)[:count], 2, atol=1e-3)
    np.testing.assert_allclose(look(same)[2 * count :], 1)


def test_overlapping_windows_look_more_alike_than_others() -> None:
    first, other = window(seed=1).features, window(seed=2).features
    moved = dataclasses.replace(first, values=np.concatenate([first.values[5:], other.values[:5]]))
    other = dataclasses.replace(other, baseline=first.baseline)
    near, far = distances(np.stack([look(moved), look(other)]), look(first))
    assert near < far


def test_only_what_was_sent_lately_of_the_same_person_counts() -> None:
    sent = SentLately()
    here, there = np.zeros(4, np.float32), np.ones(4, np.float32)
    sent.add("A", here)
    assert sent.nearest("A", there) == 1
    assert sent.nearest("B", there) is None
    for _ in range(KEPT):
        sent.add("A", 3 * there)
    assert sent.nearest("A", there) == 2


@settings(max_examples=40, deadline=None)
@given(pools, st.integers(0, 30))
def test_a_batch_holds_every_window_once_at_most_and_the_most_uncertain_first(
    pool: tuple[NDArray[np.float64], NDArray[np.float32]], count: int
) -> None:
    uncertainty, looks = pool
    chosen = diverse_batch(uncertainty, looks, count).tolist()
    assert len(set(chosen)) == len(chosen) == min(count, len(uncertainty))
    if chosen and not np.isnan(uncertainty).all():
        assert uncertainty[chosen[0]] == np.nanmax(uncertainty)


def test_a_batch_covers_what_the_uncertain_windows_show() -> None:
    """Four things happen; half of the pool is one of them, and the model is a little more unsure about it."""
    world = np.random.default_rng(2)
    event = np.repeat(np.arange(4), [50, 20, 20, 10])
    looks = 3 * np.eye(4)[event] + 0.1 * world.normal(size=(100, 4))
    uncertainty = 0.5 + 0.2 * (event == 0) + 0.1 * world.random(100)
    by_uncertainty = np.argsort(-uncertainty)[:8]
    chosen = diverse_batch(uncertainty, looks, 8)
    assert set(event[by_uncertainty]) == {0}
    assert set(event[chosen]) == {0, 1, 2, 3}


def test_windows_that_all_look_the_same_are_taken_by_uncertainty() -> None:
    assert diverse_batch(np.array([0.1, 0.4, 0.2]), np.zeros((3, 2)), 3).tolist() == [1, 2, 0]


def test_windows_of_different_people_are_never_alike() -> None:
    people = np.array(["A", "A", "B"])
    looks = np.array([[1.0], [1.0], [1.0 + 1e-9]])
    chosen = diverse_batch(np.array([0.9, 0.8, 0.7]), looks, 2, people)
    assert chosen.tolist() == [0, 2]
