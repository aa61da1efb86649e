"""Statistics pooling: what the formulas say, and nothing from what was not seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sentry_proto.layout import MODALITY_INDEX, N_MODALITIES, N_SECOND, SECOND_INDEX
from tests.training.synthetic import make_study
from training.feature_space import SECOND_SPACE
from training.pooling import Z_CLIP, pool, seen_columns

YAW = SECOND_INDEX["head_yaw_mean"]
FACE = MODALITY_INDEX["face"]


def window(seconds: int = 30) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """An empty window, fully covered, under the baseline 0 and 1."""
    baseline = np.stack([np.zeros(N_SECOND), np.ones(N_SECOND)])[None]
    values, coverage = np.zeros((1, seconds, N_SECOND)), np.ones((1, seconds, N_MODALITIES))
    return values.astype(np.float32), coverage.astype(np.float32), baseline.astype(np.float32)


def column(pooled: NDArray[np.float32], name: str) -> float:
    return float(pooled[0, SECOND_SPACE.pooled_names.index(name)])


def test_names_are_unique_and_fit_the_columns() -> None:
    assert len(set(SECOND_SPACE.pooled_names)) == SECOND_SPACE.n_pooled == pool(*window()).shape[1]


def test_agrees_with_the_formulas_written_out_for_one_feature() -> None:
    study = make_study(people=1, windows=3, seed=4)
    pooled = study.pooled
    for n, name in ((0, "head_yaw_mean"), (1, "emotion_happy_mean"), (2, "slouch_spread")):
        f = SECOND_INDEX[name]
        seen = study.coverage[n, :, SECOND_SPACE.feature_modality[f]] > 0
        value = study.values[n, seen, f].astype(float)
        z = np.clip((value - study.baseline[n, 0, f]) / study.baseline[n, 1, f], -Z_CLIP, Z_CLIP)
        time = (np.flatnonzero(seen) + 0.5) / 30
        expected = {"mean": 0.0, "spread": 0.0, "trend": 0.0, "level": 0.0}
        if seen.any():
            slope = np.polyfit(time, z, 1)[0]
            expected = {"mean": z.mean(), "spread": z.std(), "trend": slope, "level": value.mean()}
        for statistic, number in expected.items():
            got = pooled[n, SECOND_SPACE.pooled_names.index(f"{name}.{statistic}")]
            assert got == pytest.approx(number, rel=1e-3, abs=1e-4), (name, statistic)


def test_a_feature_never_seen_is_zero_and_says_so() -> None:
    values, coverage, baseline = window()
    values[:], coverage[..., FACE] = 5.0, 0.0
    pooled = pool(values, coverage, baseline)
    seen = seen_columns(pooled)
    for statistic in ("mean", "spread", "trend", "level"):
        index = SECOND_SPACE.pooled_names.index(f"head_yaw_mean.{statistic}")
        assert pooled[0, index] == 0
        assert not seen[0, index]
    assert column(pooled, "face.coverage") == 0
    assert column(pooled, "slouch_mean.level") == 5
    assert seen[0, SECOND_SPACE.pooled_names.index("slouch_mean.level")]


def test_z_is_clipped_and_the_level_is_not() -> None:
    values, coverage, baseline = window()
    values[:, :, YAW] = 80
    pooled = pool(values, coverage, baseline)
    assert column(pooled, "head_yaw_mean.mean") == Z_CLIP
    assert column(pooled, "head_yaw_mean.level") == 80


@pytest.mark.parametrize("seconds", [2, 10, 30, 60])
def test_trend_is_per_window_length(seconds: int) -> None:
    values, coverage, baseline = window(seconds)
    values[0, :, YAW] = np.linspace(0, 3, seconds, endpoint=False)
    assert column(pool(values, coverage, baseline), "head_yaw_mean.trend") == pytest.approx(3, rel=1e-4)


def test_two_neighbouring_seconds_make_no_wild_trend() -> None:
    values, coverage, baseline = window()
    coverage[0, 2:, FACE] = 0
    values[0, :2, YAW] = -6, 6
    assert abs(column(pool(values, coverage, baseline), "head_yaw_mean.trend")) < 0.5


def test_a_single_second_has_no_spread_and_no_trend() -> None:
    values, coverage, baseline = window(1)
    values[:] = 2
    pooled = pool(values, coverage, baseline)
    assert column(pooled, "head_yaw_mean.mean") == 2
    assert column(pooled, "head_yaw_mean.spread") == column(pooled, "head_yaw_mean.trend") == 0


def test_a_persons_own_centre_and_scale_leave_no_trace_but_the_level() -> None:
    values, coverage, baseline = window()
    values[:] = np.random.default_rng(0).normal(size=values.shape)
    moved = baseline.copy()
    moved[:, 0], moved[:, 1] = 3, 2
    levels = np.array([name.endswith(".level") for name in SECOND_SPACE.pooled_names])
    one, other = pool(values, coverage, baseline), pool(values * 2 + 3, coverage, moved)
    np.testing.assert_allclose(one[:, ~levels], other[:, ~levels], atol=1e-4)
    assert not np.allclose(one[:, levels], other[:, levels], atol=0.1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), garbage=st.sampled_from([np.nan, np.inf, -np.inf, 1e38, 7.0]))
def test_what_was_not_seen_does_not_matter(seed: int, garbage: float) -> None:
    generator = np.random.default_rng(seed)
    values, coverage, baseline = window(12)
    values[:] = generator.normal(size=values.shape)
    coverage *= generator.random(coverage.shape) > 0.4
    hidden = coverage[:, :, SECOND_SPACE.feature_modality] == 0
    pooled = pool(values, coverage, baseline)
    assert np.isfinite(pooled).all()
    np.testing.assert_array_equal(pooled, pool(np.where(hidden, garbage, values), coverage, baseline))


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf])
def test_garbage_that_claims_to_be_seen_stays_out(garbage: float) -> None:
    values, coverage, baseline = window()
    values[0, 3, YAW] = garbage
    assert np.isfinite(pool(values, coverage, baseline)).all()
    values[:], baseline[:, 1] = 1.0, 0.0
    assert np.isfinite(pool(values, coverage, baseline)).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    values, coverage, baseline = window()
    with pytest.raises(ValueError, match="do not fit"):
        pool(values, coverage[:, :5], baseline)
    with pytest.raises(ValueError, match="do not fit"):
        pool(values[:, :0], coverage[:, :0], baseline)
