"""Threshold advice: levels by hand, refusals, and whether it holds when the agent's own rule runs on new data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.coverage import HOP_S, WORLDS, Deployment, World, deploy, replay, some
from sentry_proto.types import Stratum
from training.evaluation.rates import TaskCounts
from training.evaluation.thresholds import (
    Advice,
    Evidence,
    Scored,
    Verdicts,
    Wish,
    advise,
    alert_levels,
    expect,
)

WORLD = replace(WORLDS["many false alarms"], audit=0.1)


def test_levels_by_hand() -> None:
    (first, second), tops = alert_levels([[0.7, 0.9, 0.8, 0.85, 0.5], [0.7, 0.9]], 3, 0.6)
    assert first.tolist() == [0.6, 0.6, 0.7, 0.8, 0.8]
    assert second.tolist() == [0.7, 0.7]
    assert tops.tolist() == [0.8, 0.7]
    assert alert_levels([[0.6, 0.9]], 1, 0.5)[0][0].tolist() == [0.6, 0.9]


def test_levels_agree_with_the_agents_rule() -> None:
    """An alert that the rule raises at a higher threshold too is one whose level reaches it."""
    found = deploy(WORLD, np.random.default_rng(4))
    starts = np.flatnonzero(found.alerting & ~np.roll(found.alerting, 1))
    ends = np.flatnonzero(found.alerting & ~np.roll(found.alerting, -1)) + 1
    alerts = [found.probability[a:b].tolist() for a, b in zip(starts, ends, strict=True)]
    _, tops = alert_levels(alerts, 3, WORLD.threshold)
    for threshold in (0.5, 0.6, 0.7):
        _, raised = replay(replace(WORLD.rule, threshold=threshold), found.probability)
        assert sum(top >= threshold for top in tops) == pytest.approx(len(raised), rel=0.3, abs=3)


def evidence(world: World, found: Deployment, generator: np.random.Generator, judged: int = 1_000) -> Evidence:
    """What the trainer would know of a deployment."""
    in_a_row = 1 + math.ceil(world.rule.duration_s / HOP_S)
    levels = np.zeros(len(found.event))
    ends = [start + int(np.argmin(np.append(found.alerting[start:], False))) for start in found.raised]
    spans = list(zip(found.raised, ends, strict=True))
    within, top = alert_levels([found.probability[a:b].tolist() for a, b in spans], in_a_row, world.threshold)
    for (start, end), known in zip(spans, within, strict=True):
        levels[start:end] = known

    def scored(where: np.ndarray, values: np.ndarray) -> Scored:
        rows = some(where, judged, generator)
        clusters = [str(row // 12) for row in rows]
        return Scored(values[where], values[rows], found.event[rows], np.ones(len(rows)), clusters)

    true = found.event[found.raised]
    return Evidence(
        world.threshold,
        TaskCounts(int(found.alerting.sum()), int((~found.alerting).sum()), found.hours),
        scored(found.alerting, levels),
        scored(found.sent_as(Stratum.AUDIT) & ~found.alerting, found.probability),
        Verdicts(top, top[true], top[~true]),
    )


def happened(world: World, threshold: float, seeds: Sequence[int]) -> tuple[float, float]:
    """False alarms per hour and miss rate at another threshold, on new deployments."""
    alarms, hours, missed, events = 0, 0.0, 0, 0
    rule = replace(world.rule, threshold=threshold, release=min(threshold, world.rule.release))
    for seed in seeds:
        found = deploy(world, np.random.default_rng(1_000 + seed))
        alerting, raised = replay(rule, found.probability)
        alarms += int((~found.event[raised]).sum())
        hours += found.hours
        missed += int((~alerting & found.event).sum())
        events += int(found.event.sum())
    return alarms / hours, missed / events


def test_nothing_is_advised_before_there_are_labels() -> None:
    generator = np.random.default_rng(2)
    known = evidence(WORLD, deploy(WORLD, generator), generator, judged=5)
    advice = advise(known, Wish(most_misses=0.2))
    assert advice.threshold is None
    assert advice.words.startswith("not enough labels yet: ")
    assert advice.curve == ()


def test_a_threshold_that_nothing_reaches_is_not_advised_for_want_of_verdicts() -> None:
    generator = np.random.default_rng(2)
    known = evidence(WORLD, deploy(WORLD, generator), generator)
    few = replace(known.alerts, true_levels=known.alerts.true_levels[:1], false_levels=known.alerts.false_levels[:1])
    advice = advise(replace(known, alerts=few), Wish(1.5))
    assert advice.threshold is None
    assert advice.words == "not enough labels yet: 3 more judged alerts needed"


def test_a_wish_that_nothing_fulfils_is_told_so() -> None:
    generator = np.random.default_rng(2)
    advice = advise(evidence(WORLD, deploy(WORLD, generator), generator), Wish(most_misses=0.0))
    assert advice.threshold is None
    assert "no threshold is known to give at most 0 % misses; the present 0.40 gives" in advice.words
    assert "apply one a little lower" in advice.words


def test_all_thresholds_of_which_something_is_known_are_kept() -> None:
    generator = np.random.default_rng(2)
    known = evidence(WORLD, deploy(WORLD, generator), generator)
    advice = advise(known, Wish(1.5))
    assert advice.curve[0] == advice.present
    assert advice.expected in advice.curve
    thresholds = [found.threshold for found in advice.curve]
    assert thresholds == sorted({WORLD.threshold, *thresholds})
    assert advice.curve[20] == expect(known, thresholds[20])
    alarms = [found.false_alarms_per_hour.value or 0.0 for found in advice.curve]
    assert alarms[-1] < alarms[0] / 2
    assert (np.diff([found.false_positive_rate.value or 0.0 for found in advice.curve]) < 1e-12).all()
    assert (np.diff([found.miss_rate.value or 0.0 for found in advice.curve]) > -1e-12).all()


@pytest.mark.parametrize("wish", [Wish(), Wish(2, 0.2)])
def test_one_wish_at_a_time(wish: Wish) -> None:
    generator = np.random.default_rng(2)
    with pytest.raises(ValueError, match="one of the two"):
        advise(evidence(WORLD, deploy(WORLD, generator), generator), wish)


def test_the_present_threshold_gives_the_present_rates() -> None:
    generator = np.random.default_rng(3)
    found = deploy(WORLD, generator)
    now = expect(evidence(WORLD, found, generator, judged=100_000), WORLD.threshold)
    false = (~found.event[found.raised]).sum() / found.hours
    assert now.false_alarms_per_hour.value == pytest.approx(false)
    assert now.miss_rate.value == pytest.approx((~found.alerting[found.event]).mean(), abs=0.08)


def given(wish: Wish, seeds: Sequence[int]) -> list[Advice]:
    advice = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        advice.append(advise(evidence(WORLD, deploy(WORLD, generator), generator), wish))
    return advice


WISHES = {"fewer false alarms": Wish(1.5), "some misses": Wish(most_misses=0.9)}


@pytest.mark.slow
@pytest.mark.parametrize("name", WISHES)
def test_advice_holds_on_new_data_from_the_same_source(name: str) -> None:
    """On average the wish is fulfilled, false alarms stay below their upper limit, and misses within three points."""
    wish, held, gaps, fulfilled = WISHES[name], [], [], []
    for advice in given(wish, range(8)):
        assert advice.expected is not None
        alarms, misses = happened(WORLD, advice.expected.threshold, range(3))
        rate, missed = advice.expected.false_alarms_per_hour, advice.expected.miss_rate
        held.append(alarms <= (rate.high or 0))
        gaps.append((missed.value or 0) - misses)
        fulfilled.append(alarms if wish.most_misses is None else misses)
    limit = wish.most_false_alarms_per_hour or wish.most_misses or 0
    assert np.mean(held) >= 0.85
    assert abs(np.mean(gaps)) <= 0.03
    assert np.mean(fulfilled) <= 1.1 * limit
