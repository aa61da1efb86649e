"""Selection: a budget that holds, an audit that nothing sways, and probabilities that are true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sentry_proto.types import Stratum
from training.active_learning.selection import HOUR_S, Decision, Selector
from training.evaluation.rates import AlertCounts, JudgedWindows, Rate, TaskCounts, estimate_rates

HOP = 5.0
HOURS = 10
LONG = int(HOURS * HOUR_S / HOP)

Model = Callable[[np.random.Generator, int], float | None]

MODELS: dict[str, Model] = {
    "ordinary": lambda g, i: float(g.beta(2, 5)),
    "confused": lambda g, i: 1.0 - 1e-6 * float(g.random()),
    "quiet": lambda g, i: 1e-9 * float(g.random()),
    "constant": lambda g, i: 0.3,
    "ever more unsure": lambda g, i: i / LONG,
    "ever surer": lambda g, i: -i / LONG,
    "abstaining": lambda g, i: None,
    "broken": lambda g, i: float("nan"),
}


def simulate(
    model: Model, windows: int = LONG, alert_share: float = 0.0, seed: int = 0, **settings: float
) -> list[Decision]:
    world = np.random.default_rng(seed + 1_000)
    selector = Selector(np.random.default_rng(seed), **settings)
    return [selector.decide(i * HOP, model(world, i), bool(world.random() < alert_share)) for i in range(windows)]


def count(decisions: Sequence[Decision], stratum: Stratum | None) -> int:
    return sum(decision.stratum is stratum for decision in decisions)


@pytest.mark.parametrize("name", MODELS)
def test_no_model_floods_and_none_starves(name: str) -> None:
    sent = np.array([d.stratum is Stratum.UNCERTAIN for d in simulate(MODELS[name])])
    hour = int(HOUR_S / HOP)
    per_hour = np.convolve(sent, np.ones(hour), mode="valid")
    assert per_hour.max() <= 30
    assert sent.sum() >= 0.4 * 30 * HOURS


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0, 900), st.none() | st.floats(0, 2), st.booleans()), min_size=1, max_size=400),
    budget=st.floats(2, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_budget_holds_in_every_hour_whatever_comes(
    steps: list[tuple[float, float | None, bool]], budget: float, seed: int
) -> None:
    selector = Selector(np.random.default_rng(seed), budget_per_hour=budget)
    now, sent = 0.0, []
    for wait, uncertainty, alerting in steps:
        now += wait
        decision = selector.decide(now, uncertainty, alerting)
        assert 0 <= decision.inclusion_probability <= 1
        if decision.stratum is Stratum.UNCERTAIN:
            sent.append(now)
    for start in sent:
        assert sum(start <= time <= start + HOUR_S for time in sent) <= budget + 1e-6


@settings(max_examples=25, deadline=None)
@given(uncertainties=st.lists(st.none() | st.floats(0, 2), min_size=50, max_size=200), seed=st.integers(0, 2**32 - 1))
def test_the_audit_draw_is_blind_to_the_model(uncertainties: list[float | None], seed: int) -> None:
    def audited(values: Sequence[float | None], alerting: bool, budget: float) -> list[int]:
        selector = Selector(np.random.default_rng(seed), audit_probability=0.3, budget_per_hour=budget)
        decisions = [selector.decide(i * HOP, value, alerting) for i, value in enumerate(values)]
        return [i for i, decision in enumerate(decisions) if decision.stratum is Stratum.AUDIT]

    expected = audited(uncertainties, False, 30)
    assert audited([0.5] * len(uncertainties), False, 30) == expected
    assert audited(list(reversed(uncertainties)), True, 30) == expected
    assert audited(uncertainties, False, 0) == expected


def test_the_audit_share_is_what_it_says() -> None:
    decisions = simulate(MODELS["ordinary"], windows=12_000, alert_share=0.2, audit_probability=0.05)
    assert count(decisions, Stratum.AUDIT) / 12_000 == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 12_000))


@pytest.mark.parametrize("name", ["ordinary", "ever more unsure", "constant", "abstaining"])
def test_the_stated_probability_is_the_frequency(name: str) -> None:
    decisions = simulate(MODELS[name], windows=12_000, alert_share=0.1)
    stated = np.array([d.inclusion_probability for d in decisions])
    sent = np.array([d.stratum is not None for d in decisions])
    edges = [0, 0.055, 0.07, 0.1, 0.15, 0.999, 1.01]
    for low, high in pairwise(edges):
        inside = (stated >= low) & (stated < high)
        if inside.sum() > 100:
            expected, spread = stated[inside].sum(), np.sqrt((stated[inside] * (1 - stated[inside])).sum())
            assert sent[inside].sum() == pytest.approx(expected, abs=4 * spread + 1e-6)


def test_weighting_by_the_inclusion_probability_recovers_all_windows() -> None:
    decisions = simulate(MODELS["ordinary"], windows=12_000, alert_share=0.1)
    total = sum(1 / d.inclusion_probability for d in decisions if d.stratum is not None)
    assert total == pytest.approx(12_000, rel=0.05)


def test_rates_from_what_was_selected_are_close_to_the_truth() -> None:
    world = np.random.default_rng(11)
    selector = Selector(np.random.default_rng(12), audit_probability=0.1)
    events = world.random(12_000) < 0.2
    score = 1 / (1 + np.exp(-world.normal(np.where(events, 1.5, -1.5), 1.5)))
    alerting = score > 0.6
    strata = [
        selector.decide(i * HOP, float(-abs(p - 0.5)), bool(on)).stratum
        for i, (p, on) in enumerate(zip(score, alerting, strict=True))
    ]
    audited = np.array([stratum is Stratum.AUDIT for stratum in strata]) & ~alerting
    sent = np.array([stratum is not None for stratum in strata]) & ~alerting
    true = (~alerting & events).sum() / events.sum()

    def missed(quiet: NDArray[np.bool_]) -> Rate:
        counts = TaskCounts(int(alerting.sum()), int((~alerting).sum()), 12_000 * HOP / HOUR_S)
        judged = JudgedWindows(events[alerting]), JudgedWindows(events[quiet])
        return estimate_rates(counts, *judged, AlertCounts(0, 0, 0)).miss_rate

    honest, careless = missed(audited), missed(sent)
    assert honest.low is not None
    assert honest.high is not None
    assert careless.low is not None
    assert honest.low <= true <= honest.high
    assert careless.low > true


def test_an_alerting_window_is_always_sent() -> None:
    decisions = simulate(MODELS["ordinary"], windows=2_000, alert_share=1.0)
    assert {d.stratum for d in decisions} == {Stratum.ALERT, Stratum.AUDIT}
    assert {d.inclusion_probability for d in decisions} == {1.0}


def test_the_uncertain_are_preferred() -> None:
    world = np.random.default_rng(5)
    selector = Selector(np.random.default_rng(6))
    values = world.random(LONG)
    decisions = [selector.decide(i * HOP, float(value), False) for i, value in enumerate(values)]
    uncertain = np.array([d.stratum is Stratum.UNCERTAIN for d in decisions])
    audited = np.array([d.stratum is Stratum.AUDIT for d in decisions])
    assert values[uncertain].mean() > 0.7
    assert values[audited].mean() == pytest.approx(0.5, abs=0.05)


def test_no_budget_leaves_audit_and_alerts() -> None:
    decisions = simulate(MODELS["ordinary"], windows=5_000, budget_per_hour=0.0)
    assert count(decisions, Stratum.UNCERTAIN) == 0
    assert {d.inclusion_probability for d in decisions} == {0.05}


def test_a_clock_that_jumps_breaks_nothing() -> None:
    selector = Selector(np.random.default_rng(0))
    for now in (1e9, 0.0, 5.0, 1e9, 1e9):
        assert 0.05 <= selector.decide(now, 0.5, False).inclusion_probability <= 1


@pytest.mark.parametrize("wrong", [{"audit_probability": 1.5}, {"budget_per_hour": -1}, {"budget_per_hour": 1}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Selector(np.random.default_rng(0), **wrong)
