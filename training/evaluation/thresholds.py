"""Which alert threshold meets a wish, and what it would cost.

Every window gets a *level*: the highest threshold at which the alert would have been on in it. Raising the threshold
above the present one only takes away from what is there now, so it can be replayed:

    within an alert   an alert begins once the probability has stayed at or above the threshold for `duration_s`, so a
                      window's level is the highest value, up to it, that so many windows in a row did not fall below.
                      The windows just before an alert are seldom stored; the first one stands in for them
    outside           never on at any higher threshold

The end of an alert (release) stays where it is. Lowering the threshold needs windows that were never replayed: there a
quiet window's level is its own probability, as if there were neither duration nor hysteresis, and false alarms per hour
grow with the false alerting windows. What this leaves out: a cooldown that no longer hides an alert, and one alert
that becomes two. `tests/training/test_thresholds.py` runs the real alert rule on new data to see that advice holds.

The rates at a threshold are those of `training.evaluation.rates`, where each judged window stands for
windows / judged windows of its own stratum (alerting or quiet at the present threshold).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.rates import AlertCounts, JudgedWindows, Rate, TaskCounts, estimate_rates

GRID = np.round(np.arange(0.05, 1.0, 0.01), 2)

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scored:
    """Windows of one stratum, judged and not.

    Attributes:
        levels: float [N] of windows of which the level is known: all alerting ones, or the audited quiet ones.
        judged_levels: float [n], of those that were judged.
        events: bool [n], whether the event was there.
        weights: float [n] above 0, of the judged ones relative to one another.
        clusters: n names, see `JudgedWindows`.
    """

    levels: Floats
    judged_levels: Floats
    events: NDArray[np.bool_]
    weights: Floats
    clusters: Sequence[str]


@dataclass(frozen=True)
class Verdicts:
    """Alerts, judged and not: float levels of all that were raised, and of those that were judged true or false."""

    levels: Floats
    true_levels: Floats
    false_levels: Floats


@dataclass(frozen=True)
class Evidence:
    """What is known of one task under one model version.

    Attributes:
        threshold: the present one.
        counts: of all scored windows at the present threshold.
    """

    threshold: float
    counts: TaskCounts
    alerting: Scored
    quiet: Scored
    alerts: Verdicts


@dataclass(frozen=True)
class Wish:
    """At most this; exactly one of the two is given."""

    most_false_alarms_per_hour: float | None = None
    most_misses: float | None = None


@dataclass(frozen=True)
class Expectation:
    """What a threshold would bring."""

    threshold: float
    false_alarms_per_hour: Rate
    miss_rate: Rate


@dataclass(frozen=True)
class Advice:
    """A threshold that meets a wish (None if none is known to), what it would bring, and all that in words."""

    threshold: float | None
    expected: Expectation | None
    present: Expectation
    words: str


def alert_levels(probabilities: Sequence[float], in_a_row: int) -> Floats:
    """Levels of the windows of one alert, float [n], never falling.

    Args:
        probabilities: of the event, per window from the one that raised the alert on.
        in_a_row: windows that an alert needs before it is raised, 1 or more.
    """
    padded = np.concatenate([np.full(in_a_row - 1, probabilities[0]), probabilities])
    runs = np.lib.stride_tricks.sliding_window_view(padded, in_a_row).min(1)
    return np.maximum.accumulate(runs)


def expect(evidence: Evidence, threshold: float) -> Expectation:
    """False alarms per hour and miss rate at another threshold."""
    alerting, quiet, lowered = evidence.alerting, evidence.quiet, threshold < evidence.threshold
    on = alerting.judged_levels >= threshold if not lowered else np.ones(len(alerting.events), bool)
    joins = quiet.judged_levels >= threshold if lowered else np.zeros(len(quiet.events), bool)
    total = evidence.counts
    kept = float((alerting.levels >= threshold).mean()) if not lowered and len(alerting.levels) else 1.0
    joined = float((quiet.levels >= threshold).mean()) if lowered and len(quiet.levels) else 0.0
    n_alerting = round(total.alerting_windows * kept + total.quiet_windows * joined)
    weights = np.concatenate(
        [_scaled(alerting.weights, total.alerting_windows), _scaled(quiet.weights, total.quiet_windows)]
    )
    events = np.concatenate([alerting.events, quiet.events])
    clusters = [*alerting.clusters, *quiet.clusters]
    is_on = np.concatenate([on, joins])
    counts = TaskCounts(
        max(n_alerting, int(is_on.sum())),
        max(total.alerting_windows + total.quiet_windows - n_alerting, int((~is_on).sum())),
        total.hours,
    )
    alerting_sample, quiet_sample = (_sample(events, weights, clusters, side) for side in (is_on, ~is_on))
    found = estimate_rates(counts, alerting_sample, quiet_sample, _alerts(evidence, threshold))
    per_hour = found.false_alarms_per_hour
    if lowered:
        per_hour = _grown(per_hour, float(weights @ (is_on & ~events)), _scaled_false(alerting, total))
    return Expectation(threshold, per_hour, found.miss_rate)


def advise(evidence: Evidence, wish: Wish) -> Advice:
    """The threshold that meets a wish at the least cost in the other rate.

    Raises:
        ValueError: if not exactly one wish is given.
    """
    if (wish.most_false_alarms_per_hour is None) == (wish.most_misses is None):
        raise ValueError("wish for at most so many false alarms an hour or at most so many misses, one of the two")
    present = expect(evidence, evidence.threshold)
    known = [
        found
        for found in (expect(evidence, float(threshold)) for threshold in GRID)
        if found.miss_rate.value is not None and found.false_alarms_per_hour.value is not None
    ]
    if not known:
        lacking = present.miss_rate if present.miss_rate.value is None else present.false_alarms_per_hour
        return Advice(None, None, present, lacking.words)
    meeting = [found for found in known if _wished(found, wish) <= _limit(wish)]
    wanted = _wish_words(wish)
    if not meeting:
        least = min(_wished(found, wish) for found in known)
        said = f"{least:.2f} an hour" if wish.most_misses is None else f"{100 * least:.0f} %"
        return Advice(None, None, present, f"no threshold is known to give {wanted}; the least is {said}")
    best = meeting[0] if wish.most_misses is None else meeting[-1]
    return Advice(best.threshold, best, present, f"for {wanted} use {best.threshold:.2f}; {_expected(best)}")


def _scaled(weights: Floats, total: int) -> Floats:
    """Weights that add up to the windows of their stratum."""
    return weights * (total / weights.sum()) if len(weights) else weights


def _scaled_false(alerting: Scored, total: TaskCounts) -> float:
    return float(_scaled(alerting.weights, total.alerting_windows) @ ~alerting.events)


def _sample(events: NDArray[np.bool_], weights: Floats, clusters: list[str], side: NDArray[np.bool_]) -> JudgedWindows:
    some = weights[side]
    probability = some.min(initial=np.inf) / some
    return JudgedWindows(events[side], probability, [name for name, here in zip(clusters, side, strict=True) if here])


def _alerts(evidence: Evidence, threshold: float) -> AlertCounts:
    alerts = evidence.alerts
    least = threshold if threshold >= evidence.threshold else 0.0
    return AlertCounts(
        *(int((part >= least).sum()) for part in (alerts.levels, alerts.true_levels, alerts.false_levels))
    )


def _grown(per_hour: Rate, false_windows: float, now: float) -> Rate:
    """False alarms per hour that grow with the false alerting windows."""
    if per_hour.value is None or per_hour.low is None or per_hour.high is None:
        return per_hour
    if now <= 0:
        return Rate(None, None, None, per_hour.n, False, "not enough labels yet: no false alarm to start from")
    value, low, high = (figure * false_windows / now for figure in (per_hour.value, per_hour.low, per_hour.high))
    words = f"{value:.2f} an hour (95 % interval {low:.2f} to {high:.2f}, {per_hour.n} judged alerts)"
    return Rate(value, low, high, per_hour.n, True, words)


def _wished(found: Expectation, wish: Wish) -> float:
    rate = found.false_alarms_per_hour if wish.most_misses is None else found.miss_rate
    return np.inf if rate.value is None else rate.value


def _limit(wish: Wish) -> float:
    limit = wish.most_false_alarms_per_hour if wish.most_misses is None else wish.most_misses
    return 0.0 if limit is None else limit


def _wish_words(wish: Wish) -> str:
    if wish.most_misses is None:
        return f"at most {wish.most_false_alarms_per_hour:g} false alarms per hour"
    return f"at most {100 * wish.most_misses:g} % misses"


def _expected(found: Expectation) -> str:
    per_hour, misses = found.false_alarms_per_hour, found.miss_rate
    return f"expected false alarms {per_hour.words}; expected miss rate {misses.words}"
