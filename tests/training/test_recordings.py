"""Recorded sessions of other laboratories: parts, and a split of our own."""

from __future__ import annotations

import pytest

from training.datasets.layout import DatasetError
from training.datasets.recordings import Recording, Recordings, by_person


def recording(person: str, part: str, session: int = 1, scored: bool = True) -> Recording:
    return Recording(f"{person}_{session}", person, part, {}, {"bdi2": 3.0} if scored else {})


def test_parts_and_summary() -> None:
    data = Recordings("Set", (recording("a", "train"), recording("a", "train", 2), recording("b", "test")))
    assert data.summary() == "Set: 2 train of 1 people, 1 test of 1 people"
    assert [session.name for session in data.part("train").sessions] == ["a_1", "a_2"]
    with pytest.raises(DatasetError, match="Set has no part val; parts found: test, train"):
        data.part("val")
    with pytest.raises(DatasetError, match="Set: no recording found"):
        Recordings("Set", ())


def test_one_person_on_both_sides_is_refused_and_split_anew() -> None:
    sessions = tuple(recording(str(person), part, 1) for person in range(20) for part in ("train", "val"))
    with pytest.raises(DatasetError, match=r"20 people are in more than one part .*0 in train and val"):
        Recordings("Set", sessions)
    anew = Recordings("Set", by_person((*sessions, recording("x", "test", scored=False))))
    assert anew.summary() == "Set: 28 train of 14 people, 6 val of 3 people, 6 test of 3 people"
