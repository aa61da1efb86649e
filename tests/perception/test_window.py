from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.window import Windower
from sentry_proto.errors import InputError
from sentry_proto.layout import N_MODALITIES, N_SECOND
from sentry_proto.types import FeatureWindow
from tests.perception.seconds import second

START = 1_700_000_002  # no multiple of 5


def push_all(windower: Windower, starts: list[int], value: float = 0.5) -> list[FeatureWindow]:
    return [w for s in starts if (w := windower.push(second(s, value))) is not None]


@given(st.integers(0, 100), st.integers(1, 20), st.integers(0, 40))
@settings(max_examples=50)
def test_windows_end_on_multiples_of_the_hop_and_hold_consecutive_seconds(offset: int, hop: int, extra: int) -> None:
    length = hop + extra
    windows = push_all(Windower("p", "s", length, hop), list(range(START + offset, START + offset + 120)))
    ends = [w.end for w in windows]
    possible = [e for e in range(START + offset + length, START + offset + 121) if e % hop == 0]
    assert ends == possible
    for window in windows:
        assert window.end - window.start == length
        assert window.values.shape == (length, N_SECOND)
        assert window.coverage.shape == (length, N_MODALITIES)
        assert len(window.camera_states) == length
        assert window.values.dtype == window.coverage.dtype == np.float32
        assert np.isfinite(window.values).all()


def test_a_short_session_has_no_window() -> None:
    assert push_all(Windower("p", "s"), list(range(START, START + 29))) == []


def test_windows_never_mix_sessions() -> None:
    windower = Windower("p", "one")
    push_all(windower, list(range(START, START + 29)))
    windower.start_session("q", "two")
    windows = push_all(windower, list(range(START + 29, START + 29 + 40)))
    assert [w.start >= START + 29 for w in windows] == [True] * len(windows)
    assert {(w.participant, w.session) for w in windows} == {("q", "two")}


@pytest.mark.parametrize("gap", [3, 1000, -1000])
def test_a_jump_in_time_fills_the_window_anew(gap: int) -> None:
    windower = Windower("p", "s")
    push_all(windower, list(range(START, START + 29)))
    after = START + 29 + gap
    windows = push_all(windower, list(range(after, after + 40)))
    assert windows
    assert all(w.start >= after for w in windows)


def test_states_travel_as_letters() -> None:
    windower = Windower("p", "s", 5, 5)
    seconds = [second(START + i, coverage=float(i % 2)) for i in range(13)]
    windows = [w for s in seconds if (w := windower.push(s)) is not None]
    assert windows[0].camera_states in ("nonon", "onono")


def test_baseline_knows_the_seconds_before_the_window_and_no_other() -> None:
    calm, tense = Windower("p", "s"), Windower("p", "s")
    past = list(range(START, START + 60))
    push_all(calm, past, 0.2)
    push_all(tense, past, 0.2)
    now = list(range(START + 60, START + 90))
    last_calm, last_tense = push_all(calm, now, 0.2)[-1], push_all(tense, now, 0.9)[-1]
    assert last_calm.baseline.seconds == last_tense.baseline.seconds == int(last_calm.start) - START
    np.testing.assert_array_equal(last_calm.baseline.centre, last_tense.baseline.centre)
    np.testing.assert_array_equal(last_calm.baseline.scale, last_tense.baseline.scale)


def test_baseline_survives_a_new_session_of_the_same_participant_only() -> None:
    for participant, known in (("p", True), ("q", False)):
        windower = Windower("p", "one")
        push_all(windower, list(range(START, START + 60)))
        windower.start_session(participant, "two")
        later = START + 10_000
        first = push_all(windower, list(range(later, later + 40)))[0]
        assert (first.baseline.seconds >= 60) is known


@pytest.mark.parametrize(("length", "hop"), [(0, 1), (5, 6), (30, 0), (601, 5)])
def test_impossible_windows_are_refused(length: int, hop: int) -> None:
    with pytest.raises(InputError):
        Windower("p", "s", length, hop)
