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
from training.active_learning.diversity import distances
from training.active_learning.selection import HOUR_S, MOST_AUDIT, Decision, Selector
from training.evaluation.rates import AlertCounts, JudgedWindows, Rate, TaskCounts, estimate_rates

HOP = 5.0
HOURS = 4
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


Looks = Callable[[np.random.Generator, int], NDArray[np.float32] | None]


def drifting(world: np.random.Generator, i: int) -> NDArray[np.float32]:
    """A person who goes through a few poses and comes back to them."""
    pose: NDArray[np.float32] = (np.sin(i / 90 + np.arange(6)) + 0.2 * world.normal(size=6)).astype(np.float32)
    return pose


PERSONS: dict[str, Looks] = {
    "unseen": lambda g, i: None,
    "lively": lambda g, i: g.normal(size=6).astype(np.float32),
    "still": lambda g, i: np.zeros(6, np.float32),
    "drifting": drifting,
    "ever stiller": lambda g, i: (g.normal(size=6) / (1 + i)).astype(np.float32),
}


def simulate(
    model: Model,
    windows: int = LONG,
    alert_share: float = 0.0,
    seed: int = 0,
    looks: Looks = PERSONS["unseen"],
    **settings: float,
) -> list[Decision]:
    world = np.random.default_rng(seed + 1_000)
    selector = Selector(np.random.default_rng(seed), **settings)
    return [
        selector.decide(i * HOP, model(world, i), bool(world.random() < alert_share), "P01", looks(world, i))
        for i in range(windows)
    ]


def count(decisions: Sequence[Decision], stratum: Stratum | None) -> int:
    return sum(decision.stratum is stratum for decision in decisions)


@pytest.mark.parametrize(
    ("name", "person"),
    [
        *((name, "unseen") for name in MODELS),
        *(("ordinary", person) for person in PERSONS if person != "unseen"),
        ("ever surer", "ever stiller"),
        ("confused", "lively"),
    ],
)
def test_no_model_floods_and_none_starves(name: str, person: str) -> None:
    sent = np.array([d.stratum is Stratum.UNCERTAIN for d in simulate(MODELS[name], looks=PERSONS[person])])
    hour = int(HOUR_S / HOP)
    per_hour = np.convolve(sent, np.ones(hour), mode="valid")
    assert per_hour.max() <= 30
    assert sent.sum() >= 0.4 * 30 * HOURS


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 900), st.none() | st.floats(0, 2), st.booleans(), st.floats(-6, 6, width=32)),
        min_size=1,
        max_size=400,
    ),
    budget=st.floats(2, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_budget_holds_in_every_hour_whatever_comes(
    steps: list[tuple[float, float | None, bool, float]], budget: float, seed: int
) -> None:
    selector = Selector(np.random.default_rng(seed), budget_per_hour=budget)
    now, sent = 0.0, []
    for wait, uncertainty, alerting, pose in steps:
        now += wait
        decision = selector.decide(now, uncertainty, alerting, "P01", np.full(3, pose, np.float32))
        assert 0 <= decision.inclusion_probability <= 1
        if decision.stratum is Stratum.UNCERTAIN:
            sent.append(now)
    for start in sent:
        assert sum(start <= time <= start + HOUR_S for time in sent) <= budget + 1e-6


@settings(max_examples=25, deadline=None)
@given(uncertainties=st.lists(st.none() | st.floats(0, 2), min_size=50, max_size=200), seed=st.integers(0, 2**32 - 1))
def test_the_audit_draw_is_blind_to_the_model_and_to_the_picture(uncertainties: list[float | None], seed: int) -> None:
    world = np.random.default_rng(seed)

    def audited(values: Sequence[float | None], alerting: bool, budget: float, person: str = "unseen") -> list[int]:
        selector = Selector(np.random.default_rng(seed), audit_probability=0.3, budget_per_hour=budget)
        decisions = [
            selector.decide(i * HOP, value, alerting, "P01", PERSONS[person](world, i))
            for i, value in enumerate(values)
        ]
        return [i for i, decision in enumerate(decisions) if decision.stratum is Stratum.AUDIT]

    expected = audited(uncertainties, False, 30)
    assert audited(uncertainties, False, 30, "lively") == expected
    assert audited(uncertainties, False, 30, "still") == expected
    assert audited([0.5] * len(uncertainties), False, 30) == expected
    assert audited(list(reversed(uncertainties)), True, 30) == expected
    assert audited(uncertainties, False, 0) == expected


def test_the_audit_share_is_what_it_says() -> None:
    decisions = simulate(MODELS["ordinary"], windows=12_000, alert_share=0.2, audit_probability=0.05)
    assert count(decisions, Stratum.AUDIT) / 12_000 == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 12_000))


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("ordinary", "unseen"),
        ("ever more unsure", "drifting"),
        ("constant", "lively"),
        ("abstaining", "drifting"),
    ],
)
def test_the_stated_probability_is_the_frequency(name: str, person: str) -> None:
    decisions = simulate(MODELS[name], windows=6_000, alert_share=0.1, looks=PERSONS[person])
    stated = np.array([d.inclusion_probability for d in decisions])
    sent = np.array([d.stratum is not None for d in decisions])
    edges = [0, 0.055, 0.07, 0.1, 0.15, 0.999, 1.01]
    for low, high in pairwise(edges):
        inside = (stated >= low) & (stated < high)
        if inside.sum() > 100:
            expected, spread = stated[inside].sum(), np.sqrt((stated[inside] * (1 - stated[inside])).sum())
            assert sent[inside].sum() == pytest.approx(expected, abs=4 * spread + 1e-6)


def test_weighting_by_the_inclusion_probability_recovers_all_windows() -> None:
    decisions = simulate(MODELS["ordinary"], windows=6_000, alert_share=0.1, looks=drifting)
    total = sum(1 / d.inclusion_probability for d in decisions if d.stratum is not None)
    assert total == pytest.approx(6_000, rel=0.07)


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


def test_near_duplicates_of_what_was_sent_are_thinned_at_the_same_budget() -> None:
    """A person who stays in one of 30 poses for 5 minutes on average, some of which the model finds hard."""
    world = np.random.default_rng(0)
    poses, hard = world.normal(size=(30, 20)), world.random(30) < 0.3
    pose = np.repeat(world.choice(30, size=120, p=world.dirichlet(np.full(30, 0.3))), 60)
    wobble = world.normal(size=(len(pose), 20))
    for i in range(1, len(pose)):
        wobble[i] = 0.8 * wobble[i - 1] + 0.6 * wobble[i]  # overlapping windows look alike
    looks = (poses[pose] + 0.4 * wobble).astype(np.float32)
    unsure = np.where(hard[pose], 0.7, 0.2) + 0.1 * world.random(len(pose))

    def sent(diverse: bool) -> list[int]:
        selector = Selector(np.random.default_rng(1))
        shown = [looks[i] if diverse else None for i in range(len(pose))]
        decisions = [selector.decide(i * HOP, float(unsure[i]), False, "P", shown[i]) for i in range(len(pose))]
        return [i for i, decision in enumerate(decisions) if decision.stratum is Stratum.UNCERTAIN]

    def duplicates(chosen: list[int]) -> float:
        return float(np.mean([distances(looks[chosen[:j]], looks[i]).min() < 0.35 for j, i in enumerate(chosen) if j]))

    plain, diverse = sent(False), sent(True)
    assert len(diverse) > 0.9 * len(plain)
    assert duplicates(diverse) < 0.5 * duplicates(plain)
    assert unsure[diverse].mean() > unsure.mean() + 0.8 * (unsure[plain].mean() - unsure.mean())


def test_one_persons_windows_do_not_thin_anothers() -> None:
    near, far = np.zeros(4, np.float32), np.ones(4, np.float32)

    def probability(person: str) -> float:
        """Of a window that looks just like one that was sent of A, where those between looked different."""
        selector = Selector(np.random.default_rng(3), audit_probability=0.0)
        for i in range(40):
            selector.decide(i * HOP, None, True, "A", near if i == 0 else far * (1 + i))
        return selector.decide(40 * HOP, None, False, person, near).inclusion_probability

    assert probability("B") > 5 * probability("A")


def test_the_trainer_may_raise_the_audit_rate_and_every_window_says_which_was_in_force() -> None:
    selector = Selector(np.random.default_rng(9), audit_probability=0.05, budget_per_hour=0)
    decisions = []
    for value, expected in [(0.2, 0.2), (0.9, MOST_AUDIT), (0.0, 0.05), (-3, 0.05), (0.05, 0.05)]:
        selector.set_audit_probability(value)
        assert selector.audit_probability == expected
        decisions += [selector.decide(i * HOP, 0.5, False) for i in range(4_000)]
        assert {d.audit_probability for d in decisions[-4_000:]} == {expected}
        assert {d.inclusion_probability for d in decisions[-4_000:]} == {expected}
    audited = [d for d in decisions if d.stratum is Stratum.AUDIT]
    assert sum(1 / d.audit_probability for d in audited) == pytest.approx(len(decisions), rel=0.05)
    with pytest.raises(ValueError, match="must be a number"):
        selector.set_audit_probability(float("nan"))


def test_a_deployment_that_sends_everything_for_audit_keeps_doing_so() -> None:
    selector = Selector(np.random.default_rng(0), audit_probability=0.8)
    selector.set_audit_probability(0.9)
    assert selector.audit_probability == 0.8


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
