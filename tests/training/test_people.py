"""Splits by person: fixed, of the shares asked for, and refused where somebody is on both sides."""

from __future__ import annotations

from collections import Counter

import pytest

from training.datasets.layout import DatasetError
from training.datasets.people import refuse_shared_people, split_people

PEOPLE = [f"S{index:03}" for index in range(100)]


def test_everybody_is_in_one_part_and_the_shares_hold() -> None:
    parts = split_people([*PEOPLE, *PEOPLE])
    assert sorted(parts) == PEOPLE
    assert Counter(parts.values()) == {"train": 70, "val": 15, "test": 15}
    assert [parts[person] for person in PEOPLE[:70]].count("train") not in (0, 70)  # not in the order of recruitment


def test_the_split_is_always_the_same() -> None:
    assert split_people(PEOPLE) == split_people(reversed(PEOPLE))
    assert split_people(["a", "b", "c"], {"train": 0.5, "test": 0.5}) == {"c": "train", "b": "train", "a": "test"}


def test_a_person_on_both_sides_is_refused_by_name() -> None:
    refuse_shared_people("Set", [("a", "train"), ("a", "train"), ("b", "test"), ("", "train"), ("", "test")])
    with pytest.raises(
        DatasetError, match=r"Set: 1 people are in more than one part of the split \(a in test and train"
    ):
        refuse_shared_people("Set", [("a", "train"), ("b", "test"), ("a", "test")])
