"""What ensembles share: the calibration on people whom a member never saw."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.trainers.ensembles import SHIFT_SPREAD, calibrated, head_output, softmax

WINDOWS, MEMBERS = 4_000, 4
PEOPLE = [f"p{number}" for number in range(WINDOWS)]
BIAS = np.zeros((MEMBERS, 3), np.float32)
SHIFT, TEMPERATURE = np.array([0.0, -0.4, 0.8]), 1.5


def drawn(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Logits [N, K, C] of members that agree, and labels that follow them only after `SHIFT` and `TEMPERATURE`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (WINDOWS, 1, 3)).astype(np.float32).repeat(MEMBERS, axis=1)
    odds = softmax(logits[:, 0] / TEMPERATURE + SHIFT)
    labels = (odds.cumsum(1) > generator.uniform(size=(WINDOWS, 1))).argmax(1)
    return logits, np.eye(3, dtype=np.bool_)[labels]


def nobody_seen() -> NDArray[np.bool_]:
    return np.ones((MEMBERS, WINDOWS), np.bool_)


def test_temperature_and_lines_are_found_again() -> None:
    logits, allowed = drawn()
    temperature, bias = calibrated(logits, BIAS, allowed, np.ones(WINDOWS), PEOPLE, nobody_seen())
    assert temperature == pytest.approx(TEMPERATURE, rel=0.1)
    found = bias[0] / temperature
    np.testing.assert_allclose(found - found.mean(), SHIFT - SHIFT.mean(), atol=0.12)
    np.testing.assert_array_equal(bias, bias[:1].repeat(MEMBERS, axis=0))
    said = head_output(logits + bias, temperature).mean
    np.testing.assert_allclose(said.mean(0), allowed.mean(0), atol=0.01)


def test_a_label_that_leaves_classes_open_counts_for_their_sum() -> None:
    logits, allowed = drawn()
    verdicts = np.stack([allowed[:, 0] | allowed[:, 1], allowed[:, 0] | allowed[:, 1], allowed[:, 2]], axis=1)
    _, bias = calibrated(logits, BIAS, verdicts, np.ones(WINDOWS), PEOPLE, nobody_seen())
    assert bias[0, 2] > max(bias[0, :2]) + 0.5


def test_only_members_that_never_saw_a_person_are_asked() -> None:
    logits, allowed = drawn()
    never = nobody_seen()
    never[1:] = False
    spoiled = logits.copy()
    spoiled[:, 1:] = 50 * allowed[:, None]
    asked_one = calibrated(spoiled, BIAS, allowed, np.ones(WINDOWS), PEOPLE, never)
    asked_all = calibrated(logits, BIAS, allowed, np.ones(WINDOWS), PEOPLE, nobody_seen())
    assert asked_one[0] == pytest.approx(asked_all[0], rel=1e-3)
    np.testing.assert_allclose(asked_one[1], asked_all[1], atol=1e-3)


def test_where_every_member_saw_everybody_nothing_moves() -> None:
    logits, allowed = drawn()
    temperature, bias = calibrated(logits, BIAS, allowed, np.ones(WINDOWS), PEOPLE, ~nobody_seen())
    assert temperature == 1.0
    np.testing.assert_array_equal(bias, BIAS)


def test_a_few_windows_hardly_move_anything() -> None:
    logits, allowed = drawn()
    allowed[:3] = np.eye(3, dtype=np.bool_)[2]
    _, bias = calibrated(logits[:3], BIAS, allowed[:3], np.ones(3), PEOPLE[:3], nobody_seen()[:, :3])
    assert np.abs(bias).max() < 1.5 * SHIFT_SPREAD


def test_people_count_for_the_lines_and_not_their_windows() -> None:
    logits, allowed = drawn()
    few = [f"p{number % 5}" for number in range(WINDOWS)]
    _, of_few = calibrated(logits[:100], BIAS, allowed[:100], np.ones(100), few[:100], nobody_seen()[:, :100])
    _, of_many = calibrated(logits[:100], BIAS, allowed[:100], np.ones(100), PEOPLE[:100], nobody_seen()[:, :100])
    assert 0.05 < np.ptp(of_few[0]) < 0.7 * np.ptp(of_many[0])
