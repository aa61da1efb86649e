from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_agent.puppet.script import PEOPLE, SESSION_S, Person, Playlist, intensities, motion, truth, truth_of_window
from sentry_proto.tasks import FOCUS, STRESS

MOMENTS = np.arange(0, SESSION_S, 0.5)


def test_people_take_turns_and_go_on_where_they_stopped() -> None:
    playlist = Playlist(session_s=100)
    assert playlist.at(0) == (PEOPLE[0], 0, 0.0)
    assert playlist.at(150) == (PEOPLE[1], 1, 50.0)
    person, session, own_time = playlist.at(100 * len(PEOPLE) + 10)
    assert (person, session, own_time) == (PEOPLE[0], len(PEOPLE), 110.0)


def test_people_differ() -> None:
    assert len({person.name for person in PEOPLE}) == len(PEOPLE) >= 8
    for field in ("width", "gamma", "mouth", "yaw", "blinks"):
        assert len({getattr(person, field) for person in PEOPLE}) == len(PEOPLE)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_every_stress_state_is_acted_long_enough_to_fill_windows(person: Person) -> None:
    acted = [truth(person, t).stress for t in MOMENTS]
    seconds = {state: acted.count(state) / 2 for state in STRESS.classes}
    assert min(seconds.values()) >= 40
    assert {truth(person, t).focus for t in MOMENTS} <= set(FOCUS.classes)


def test_a_window_in_one_state_has_its_truth_and_one_across_two_has_none() -> None:
    person = PEOPLE[0]
    change = next(t for t in MOMENTS if truth(person, t).stress != truth(person, t + 0.5).stress)
    before = truth(person, change).stress
    assert truth_of_window(person, change - 30, change)["stress"] == before
    assert "stress" not in truth_of_window(person, change - 15, change + 15)


def test_states_pass_into_one_another_without_a_jump() -> None:
    person = PEOPLE[1]
    stress = np.array([intensities(person, t)[0] for t in np.arange(0, 150, 0.1)])
    assert np.abs(np.diff(stress)).max() < 0.15
    assert stress.min() == 0
    assert stress.max() == 1


def test_motion_is_smooth_apart_from_the_lids_and_repeats_exactly() -> None:
    person = PEOPLE[2]
    track = np.array([dataclasses.astuple(motion(person, t)) for t in np.arange(0, 75, 0.05)])
    lids = [field.name for field in dataclasses.fields(motion(person, 0))].index("lids")
    steps = np.abs(np.diff(np.delete(track, lids, axis=1), axis=0))
    assert (steps.max(axis=0) < 0.5).all()
    assert motion(person, 12.3) == motion(person, 12.3)


def test_a_tense_person_blinks_more_on_average() -> None:
    closed: dict[str, list[bool]] = {state: [] for state in STRESS.classes}
    for person in PEOPLE:
        for t in np.arange(0, 300, 0.2):
            closed[truth(person, t).stress].append(motion(person, t).lids > 0.5)
    shares = [np.mean(closed[state]) for state in STRESS.classes]
    assert shares[0] < shares[1] < shares[2]
