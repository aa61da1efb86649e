"""Rates: arithmetic by hand, honest refusals, and a simulation that shows whether the intervals keep their word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.rates import (
    LEAST_ALERTING,
    LEAST_QUIET,
    AlertCounts,
    JudgedWindows,
    Rates,
    TaskCounts,
    estimate_rates,
)

NO_ALERTS = AlertCounts(0, 0, 0)


def judged(events: int, others: int) -> JudgedWindows:
    return JudgedWindows(np.array([True] * events + [False] * others))


def test_figures_by_hand() -> None:
    rates = estimate_rates(TaskCounts(200, 1_000, 10), judged(30, 10), judged(5, 95), AlertCounts(40, 15, 5))
    false_alarms, hits, misses, rejections = 50, 150, 50, 950
    assert rates.false_positive_rate.value == pytest.approx(false_alarms / (false_alarms + rejections))
    assert rates.miss_rate.value == pytest.approx(misses / (misses + hits))
    assert rates.false_discovery_share.value == pytest.approx(0.25)
    assert rates.false_alarms_per_hour.value == pytest.approx(1.0)
    assert (rates.miss_rate.n, rates.false_discovery_share.n, rates.false_alarms_per_hour.n) == (140, 40, 20)


def test_words_say_rate_interval_and_n() -> None:
    rates = estimate_rates(TaskCounts(200, 1_000, 10), judged(30, 10), judged(5, 95), AlertCounts(40, 15, 5))
    assert rates.false_discovery_share.words.startswith("25.0 % (95 % interval ")
    assert rates.false_discovery_share.words.endswith(" %, 40 labels)")
    assert rates.false_alarms_per_hour.words.startswith("1.00 an hour (95 % interval ")


def test_the_interval_of_a_plain_share_is_close_to_jeffreys() -> None:
    share = estimate_rates(TaskCounts(10_000, 0, 1), judged(80, 20), judged(0, 0), NO_ALERTS).false_discovery_share
    assert share.low == pytest.approx(0.131, abs=0.01)  # Jeffreys' 95 % interval of 20 in 100 is 0.131 to 0.286
    assert share.high == pytest.approx(0.286, abs=0.01)


def test_an_estimate_of_nought_is_in_its_interval() -> None:
    rates = estimate_rates(TaskCounts(100, 900, 5), judged(20, 0), judged(5, 45), NO_ALERTS)
    share = rates.false_discovery_share
    assert (share.value, share.low) == (0, 0)
    assert share.high is not None
    assert 0 < share.high < 0.2


@dataclass(frozen=True)
class Lacking:
    counts: TaskCounts
    alerting: JudgedWindows
    quiet: JudgedWindows
    rate: str
    words: str


LACKING = {
    "alerting": Lacking(
        TaskCounts(50, 500, 1), judged(3, 1), judged(5, 50), "false_discovery_share", "6 more judged alerting windows"
    ),
    "quiet": Lacking(
        TaskCounts(50, 500, 1), judged(20, 5), judged(1, 6), "miss_rate", "13 more judged quiet audit windows needed"
    ),
    "both": Lacking(
        TaskCounts(50, 500, 1), judged(0, 0), judged(0, 0), "false_positive_rate", "windows and 20 more judged quiet"
    ),
    "no event": Lacking(TaskCounts(0, 500, 1), judged(0, 0), judged(0, 40), "miss_rate", "no window with the event"),
    "no alert ever": Lacking(
        TaskCounts(0, 500, 1), judged(0, 0), judged(5, 40), "false_discovery_share", "no alerting window so far"
    ),
}


@pytest.mark.parametrize("name", LACKING)
def test_too_few_labels_give_no_number(name: str) -> None:
    case = LACKING[name]
    rate = getattr(estimate_rates(case.counts, case.alerting, case.quiet, NO_ALERTS), case.rate)
    assert not rate.enough
    assert (rate.value, rate.low, rate.high) == (None, None, None)
    assert rate.words.startswith("not enough labels yet: ")
    assert case.words in rate.words


def test_just_enough_labels_give_a_number() -> None:
    rates = estimate_rates(TaskCounts(50, 500, 1), judged(LEAST_ALERTING, 0), judged(0, LEAST_QUIET), NO_ALERTS)
    assert rates.false_positive_rate.enough
    assert rates.miss_rate.enough


def test_enough_for_one_rate_may_be_too_little_for_another() -> None:
    rates = estimate_rates(TaskCounts(50, 500, 1), judged(20, 5), judged(0, 0), AlertCounts(9, 3, 1))
    assert rates.false_discovery_share.enough
    assert not rates.miss_rate.enough
    assert rates.false_alarms_per_hour.words == "not enough labels yet: 1 more judged alert needed"


def test_three_alerts_need_only_three_verdicts() -> None:
    rate = estimate_rates(TaskCounts(9, 500, 3), judged(0, 0), judged(0, 0), AlertCounts(3, 1, 2)).false_alarms_per_hour
    assert rate.value == pytest.approx(2 / 3)


def test_no_alerts_in_a_minute_say_nothing() -> None:
    rate = estimate_rates(TaskCounts(0, 12, 1 / 60), judged(0, 0), judged(0, 0), NO_ALERTS).false_alarms_per_hour
    assert (rate.enough, rate.value) == (False, None)
    assert "5 more minutes of watching" in rate.words


def test_no_alerts_in_many_hours_is_a_low_rate() -> None:
    rate = estimate_rates(TaskCounts(0, 72_000, 100), judged(0, 0), judged(0, 0), NO_ALERTS).false_alarms_per_hour
    assert rate.value == 0
    assert rate.high is not None
    assert rate.high < 0.05


def test_a_head_that_never_alerts_misses_everything() -> None:
    rates = estimate_rates(TaskCounts(0, 1_000, 5), judged(0, 0), judged(10, 90), NO_ALERTS)
    assert rates.miss_rate.value == 1
    assert rates.false_positive_rate.value == 0


def test_unequal_inclusion_is_weighted_back() -> None:
    events = np.array([True] * 50 + [False] * 50)
    probability = np.where(events, 0.5, 0.1)
    quiet = JudgedWindows(events, probability)
    weighted = estimate_rates(TaskCounts(0, 1_000, 1), judged(0, 0), quiet, NO_ALERTS)
    assert weighted.miss_rate.enough
    alerting = estimate_rates(TaskCounts(1_000, 0, 1), quiet, judged(0, 0), NO_ALERTS).false_discovery_share
    assert alerting.value == pytest.approx(500 / 600)
    plain = estimate_rates(TaskCounts(1_000, 0, 1), judged(50, 50), judged(0, 0), NO_ALERTS).false_discovery_share
    assert plain.value == pytest.approx(0.5)


def width(sample: JudgedWindows) -> float:
    rate = estimate_rates(TaskCounts(1_000, 0, 1), sample, judged(0, 0), NO_ALERTS).false_discovery_share
    assert rate.low is not None
    assert rate.high is not None
    return rate.high - rate.low


def test_equal_probabilities_are_no_probabilities() -> None:
    assert width(JudgedWindows(judged(30, 10).events, np.full(40, 0.05))) == pytest.approx(width(judged(30, 10)))


def test_windows_of_one_alert_tell_less_than_as_many_alerts() -> None:
    events = np.repeat(np.arange(10) % 2 == 0, 8)
    together = JudgedWindows(events, clusters=[f"alert {i // 8}" for i in range(80)])
    apart = JudgedWindows(events, clusters=[f"alert {i}" for i in range(80)])
    assert width(together) > 2 * width(apart)
    assert width(apart) == pytest.approx(width(JudgedWindows(events)), rel=0.05)
    alike = JudgedWindows(np.ones(80, bool), clusters=[f"alert {i // 8}" for i in range(80)])
    assert width(alike) > 2 * width(JudgedWindows(np.ones(80, bool)))


def test_the_same_seed_gives_the_same_interval() -> None:
    def estimate(seed: int) -> Rates:
        return estimate_rates(TaskCounts(50, 500, 1), judged(20, 5), judged(3, 40), AlertCounts(9, 3, 3), seed)

    assert estimate(1) == estimate(1) != estimate(2)


WRONG = {
    "more judged than scored": (TaskCounts(5, 500, 1), judged(20, 5), NO_ALERTS),
    "negative hours": (TaskCounts(50, 500, -1), judged(20, 5), NO_ALERTS),
    "more verdicts than alerts": (TaskCounts(50, 500, 1), judged(20, 5), AlertCounts(1, 1, 1)),
    "impossible probability": (
        TaskCounts(50, 500, 1),
        JudgedWindows(np.ones(20, bool), np.zeros(20)),
        NO_ALERTS,
    ),
    "a cluster name too few": (TaskCounts(50, 500, 1), JudgedWindows(np.ones(2, bool), clusters=["a"]), NO_ALERTS),
}


@pytest.mark.parametrize("name", WRONG)
def test_impossible_counts_are_refused(name: str) -> None:
    counts, alerting, alerts = WRONG[name]
    with pytest.raises(ValueError, match=r"judged|must be"):
        estimate_rates(counts, alerting, judged(3, 30), alerts)


# ---- simulation


WINDOWS = 4_000
HOURS = WINDOWS * 5 / 3_600


@dataclass(frozen=True)
class World:
    """How often the event is there, how well the head tells it, when it alerts, and how much is judged."""

    prevalence: float
    skill: float
    threshold: float
    alerting_labels: int
    quiet_labels: int


WORLDS = {
    "rare event, fair head": World(0.03, 1.5, 0.7, 40, 100),
    "ordinary": World(0.15, 1.5, 0.6, 40, 80),
    "many false alarms": World(0.15, 1.0, 0.5, 60, 120),
    "common event, good head": World(0.4, 2.5, 0.6, 30, 60),
    "few labels": World(0.25, 1.5, 0.6, 12, 22),
}
RATES = ("false_positive_rate", "miss_rate", "false_discovery_share")


def truth(events: NDArray[np.bool_], alerting: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "false_positive_rate": float(alerting[~events].mean()),
        "miss_rate": float((~alerting[events]).mean()),
        "false_discovery_share": float((~events[alerting]).mean()),
    }


def estimate(
    events: NDArray[np.bool_], alerting: NDArray[np.bool_], sample: NDArray[np.int64], world: World, seed: int
) -> Rates:
    """Estimate from the judged windows of a sample, as if it had been drawn at random within each stratum."""
    among_alerting, among_quiet = sample[alerting[sample]], sample[~alerting[sample]]
    return estimate_rates(
        TaskCounts(int(alerting.sum()), int((~alerting).sum()), HOURS),
        JudgedWindows(events[among_alerting[: world.alerting_labels]]),
        JudgedWindows(events[among_quiet[: world.quiet_labels]]),
        NO_ALERTS,
        seed,
    )


def coverage(world: World, studies: int, naive: bool = False) -> dict[str, float]:
    """Share of studies whose intervals hold the true rates.

    The naive sample takes the windows about which the head was least sure, in place of a random one.
    """
    generator = np.random.default_rng(7)
    held: dict[str, list[bool]] = {name: [] for name in RATES}
    for study in range(studies):
        events = generator.random(WINDOWS) < world.prevalence
        logits = generator.normal(0, 1.5, WINDOWS) + world.skill * np.where(events, 1, -1)
        score = 1 / (1 + np.exp(-logits))
        alerting = score >= world.threshold
        sample = np.argsort(np.abs(score - world.threshold)) if naive else generator.permutation(WINDOWS)
        rates, true = estimate(events, alerting, sample, world, study), truth(events, alerting)
        for name in RATES:
            rate = getattr(rates, name)
            if rate.enough:
                held[name].append(rate.low <= true[name] <= rate.high)
    return {name: float(np.mean(values)) for name, values in held.items() if len(values) > studies / 2}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_hold_the_truth(name: str) -> None:
    for rate, share in coverage(WORLDS[name], studies=600).items():
        assert share >= 0.93, rate


def test_intervals_hold_the_truth_in_an_ordinary_world() -> None:
    result = coverage(WORLDS["ordinary"], studies=200)
    assert set(result) == set(RATES)
    assert min(result.values()) >= 0.92


def test_windows_sent_for_being_uncertain_do_not_tell_the_truth() -> None:
    result = coverage(WORLDS["ordinary"], studies=100, naive=True)
    assert result["miss_rate"] < 0.5
    assert result["false_discovery_share"] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("per_hour", "false_share", "hours"), [(0.5, 0.3, 20), (4, 0.5, 8), (4, 0.05, 30)])
def test_false_alarms_per_hour_hold_the_truth(per_hour: float, false_share: float, hours: float) -> None:
    generator = np.random.default_rng(3)
    held = []
    for study in range(600):
        raised = int(generator.poisson(per_hour * hours))
        false = int(generator.binomial(min(raised, 30), false_share))
        alerts = AlertCounts(raised, min(raised, 30) - false, false)
        rate = estimate_rates(TaskCounts(0, 0, hours), judged(0, 0), judged(0, 0), alerts, study).false_alarms_per_hour
        if rate.low is not None and rate.high is not None:
            held.append(rate.low <= per_hour * false_share <= rate.high)
    assert len(held) > 500
    assert np.mean(held) >= 0.93
