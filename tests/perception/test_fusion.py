from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.fusion import LATENESS_S, MAX_GAP_S, Second, SecondFuser, pieces
from sentry_proto.errors import MalformedMessage
from sentry_proto.layout import MODALITY_INDEX, N_FRAME, SECOND_INDEX
from sentry_proto.types import CameraState, Float32
from tests.perception.seconds import SECOND_HIGH, SECOND_LOW, frame

START = 1_700_000_000
OK = CameraState.OK


def smooth(t: float) -> Float32:
    """A signal that changes slowly: 0.2 Hz."""
    return frame(head_yaw=30 * math.sin(0.4 * math.pi * t), brightness=0.5 + 0.1 * math.cos(0.3 * t))


def fuse(times: list[float], lateness: float = LATENESS_S) -> list[Second]:
    fuser = SecondFuser(lateness)
    seconds = [second for t in times for second in fuser.add(START + t, smooth(t), OK)]
    return seconds + fuser.flush()


def value(second: Second, name: str) -> float:
    return float(second.values[SECOND_INDEX[name]])


def coverage(second: Second, modality: str) -> float:
    return float(second.coverage[MODALITY_INDEX[modality]])


def assert_same(first: list[Second], second: list[Second]) -> None:
    assert [(s.start, s.camera_state, s.frames) for s in first] == [(s.start, s.camera_state, s.frames) for s in second]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.coverage, b.coverage)


def frames_at(rate: float, seconds: float = 6.0) -> list[float]:
    return [i / rate for i in range(int(seconds * rate))]


@given(st.floats(2, 60), st.integers(0, 2**32))
@settings(max_examples=40)
def test_arrival_in_any_order_within_the_lateness_gives_the_same_seconds(rate: float, seed: int) -> None:
    rng = random.Random(seed)
    times = frames_at(rate)
    delayed = {t: t + rng.uniform(0, LATENESS_S) for t in times}
    shuffled = sorted(times, key=lambda t: delayed[t])
    assert_same(fuse(shuffled), fuse(times))


@given(st.floats(10, 60))
@settings(max_examples=40)
def test_halved_frame_rate_gives_nearly_the_same_means_and_coverage(rate: float) -> None:
    full, half = fuse(frames_at(rate)), fuse(frames_at(rate)[::2])
    for a, b in zip(full, half, strict=True):
        assert value(a, "head_yaw_mean") == pytest.approx(value(b, "head_yaw_mean"), abs=1.0)
        assert value(a, "head_yaw_spread") == pytest.approx(value(b, "head_yaw_spread"), abs=1.0)
        assert value(a, "brightness_mean") == pytest.approx(value(b, "brightness_mean"), abs=0.01)
        np.testing.assert_allclose(a.coverage, b.coverage, atol=0.01)


@given(st.floats(2.0, 60))
@settings(max_examples=40)
def test_every_supported_frame_rate_covers_the_second(rate: float) -> None:
    for second in fuse(frames_at(rate))[1:-1]:
        assert coverage(second, "quality") >= 0.99


@given(st.integers(0, 2**32))
@settings(max_examples=40)
def test_dropped_frames_and_jitter_change_little(seed: int) -> None:
    rng = random.Random(seed)
    times = frames_at(30)
    kept = [t + rng.uniform(0, 0.01) for t in times if rng.random() > 0.3]
    for a, b in zip(fuse(times), fuse(kept), strict=True):
        assert value(a, "head_yaw_mean") == pytest.approx(value(b, "head_yaw_mean"), abs=3.0)
        assert coverage(b, "face") == pytest.approx(coverage(a, "face"), abs=0.1)


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(width=32), st.sampled_from(CameraState)), max_size=30))
@settings(max_examples=40)
def test_whatever_comes_in_every_value_is_finite_and_in_range(
    frames: list[tuple[float, float, CameraState]],
) -> None:
    fuser = SecondFuser()
    seconds: list[Second] = []
    for t, x, state in frames:
        seconds += fuser.add(START + t, np.full(N_FRAME, x, np.float32), state)
    for second in seconds + fuser.flush():
        assert np.isfinite(second.values).all()
        assert (second.values >= np.minimum(SECOND_LOW, 0)).all()
        assert (second.values <= SECOND_HIGH).all()
        assert (second.coverage >= 0).all()
        assert (second.coverage <= 1).all()


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=60, unique=True))
def test_pieces_never_overlap_and_stay_inside_the_second(offsets: list[float]) -> None:
    weights = pieces(np.array(sorted(offsets)))
    assert (weights >= 0).all()
    assert weights.sum() <= 1 + 1e-9


def test_unseen_is_zero_with_no_coverage() -> None:
    fuser = SecondFuser()
    fuser.add(START + 0.5, frame(brightness=0.5), CameraState.NO_FACE)
    (second,) = fuser.flush()
    assert coverage(second, "face") == 0
    assert coverage(second, "quality") == 1
    assert value(second, "head_yaw_mean") == 0
    assert value(second, "brightness_mean") == 0.5
    assert second.camera_state is CameraState.NO_FACE


def test_coverage_is_a_share_of_time_and_not_of_frames() -> None:
    fuser = SecondFuser()
    for i in range(5):  # the face is seen in the first half, by 5 frames
        fuser.add(START + i / 10, frame(head_yaw=10), OK)
    for i in range(25):  # and out of sight in the second, by 25
        fuser.add(START + 0.5 + i / 50, frame(brightness=0.5), CameraState.NO_FACE)
    (second,) = fuser.flush()
    assert coverage(second, "face") == pytest.approx(0.45, abs=0.01)
    assert value(second, "head_yaw_mean") == 10
    assert value(second, "head_yaw_spread") == 0


def test_mean_weighs_frames_by_the_time_they_stand_for() -> None:
    fuser = SecondFuser()
    for t, yaw in ((0.0, 0.0), (0.9, 10.0), (0.95, 10.0)):
        fuser.add(START + t, frame(head_yaw=yaw), OK)
    (second,) = fuser.flush()
    assert value(second, "head_yaw_mean") == pytest.approx(5.5, abs=0.01)
    assert value(second, "head_yaw_range") == 10


def test_a_second_is_emitted_once_it_can_no_longer_change() -> None:
    fuser = SecondFuser(0.5)
    assert fuser.add(START + 0.9, smooth(0), OK) == []
    assert fuser.add(START + 1.49, smooth(0), OK) == []
    assert [second.start for second in fuser.add(START + 1.5, smooth(0), OK)] == [START]


def test_late_frames_and_duplicates_are_dropped_and_counted() -> None:
    fuser = SecondFuser(0.5)
    fuser.add(START + 0.7, frame(head_yaw=1), OK)
    fuser.add(START + 0.7, frame(head_yaw=50), OK)
    fuser.add(START + 0.1, frame(head_yaw=50), OK)
    assert (fuser.duplicates, fuser.late) == (1, 1)
    (second,) = fuser.flush()
    assert value(second, "head_yaw_mean") == 1
    assert second.frames == 1


def test_a_short_gap_is_absent_seconds() -> None:
    seconds = fuse([0.0, 0.5, 4.0, 4.5])
    assert [second.start - START for second in seconds] == [0, 1, 2, 3, 4]
    for second in seconds[1:4]:
        assert second.camera_state is CameraState.UNPLUGGED
        assert second.frames == 0
        assert not second.coverage.any()
        assert not second.values.any()


@pytest.mark.parametrize("jump", [MAX_GAP_S + 2, 3600, 2 * 86400, -3600, -63072000])
def test_a_jump_in_time_begins_anew_and_heals(jump: float) -> None:
    seconds = fuse([0.0, 0.5, 1.0, 1.5, jump, jump + 0.5, jump + 1.0])
    assert [second.start - START for second in seconds] == [0, 1, jump, jump + 1]
    assert all(second.frames for second in seconds)


def blink_frames(blinks: list[float], rate: float = 10.0, seconds: float = 3.0) -> list[Second]:
    fuser = SecondFuser()
    done = []
    for t in frames_at(rate, seconds):
        done += fuser.add(START + t, frame(blink=float(any(abs(t - b) < 0.01 for b in blinks))), OK)
    return done + fuser.flush()


@pytest.mark.parametrize(
    ("blinks", "counts"),
    [
        ([], [0, 0, 0]),
        ([0.3, 0.7, 1.5], [2, 1, 0]),
        ([1.0], [0, 1, 0]),  # rises on the first frame of a second: the frame before is in another one
        ([0.9, 1.0], [1, 0, 0]),  # stays up across the border: one event
        ([0.0], [0, 0, 0]),  # nothing is known from before: no event
    ],
)
def test_blinks_are_rising_edges_across_borders(blinks: list[float], counts: list[int]) -> None:
    assert [value(second, "blink_count") for second in blink_frames(blinks)] == counts


def test_the_state_that_held_longest_wins() -> None:
    fuser = SecondFuser()
    for t, state in ((0.0, OK), (0.05, OK), (0.1, OK), (0.5, CameraState.DARK), (0.9, CameraState.DARK)):
        fuser.add(START + t, frame(brightness=0.1), state)
    assert fuser.flush()[0].camera_state is CameraState.DARK


@pytest.mark.parametrize("t", [math.nan, math.inf])
def test_a_frame_without_a_time_is_refused(t: float) -> None:
    with pytest.raises(MalformedMessage):
        SecondFuser().add(t, frame(), OK)


def test_a_vector_of_another_layout_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        SecondFuser().add(0.0, np.zeros(3, np.float32), OK)


def test_flush_of_nothing_is_nothing() -> None:
    assert SecondFuser().flush() == []
