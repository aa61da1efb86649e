"""Which alert threshold meets a wish, and what it would cost.

Every window gets a *level*: the highest threshold at which the alert would have been on in it. Raising the threshold
above the present one only takes away from what is there now, so it can be replayed:

    within an alert   an alert begins once the probability has stayed at or above the threshold for `duration_s`, so a
                      window's level is the highest value, up to it, that so many windows in a row did not fall below.
                      The windows just before an alert are seldom stored: they lay at or above the present
                      threshold and mostly below the alert's first window. The threshold stands in for them in every
                      second alert where alerts are counted and in every fourth where windows are, the first window
                      in the others: so it came out in simulated streams
    outside           never on at any higher threshold

The end of an alert (release) stays where it is. What this leaves out: a cooldown that no longer hides an alert, and one
alert that becomes two. Far above the present threshold false alarms are overstated.
`tests/training/test_thresholds.py` runs the agent's own rule on new data to see that advice holds. Nothing is
said of lower thresholds: which quiet windows would come together to an alert cannot be told from a random few of them
(taken one by one, they made four times as many false alarms in simulation as there were).

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

ALERTS_EVERY, WINDOWS_EVERY = 2, 4
"""How often the present threshold stands in for the windows before an alert."""

GRID = np.round(np.arange(0.05, 1.0, 0.01), 2)

NEW_DAYS = "Intervals are for people and days like those judged so far; others may lie outside"

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scored:
    """Windows of one stratum, judged and not.

    Attributes:
        levels: float [N] of windows of which the level is known: all alerting ones, or the audited quiet ones.
        judged_levels: float [n], of those that were judged.
        events: bool [n], whether the event was there.
        weights: float [n] above 0, of the judged ones relative to one another.
        clusters: n names or numbers, see `JudgedWindows`.
    """

    levels: Floats
    judged_levels: Floats
    events: NDArray[np.bool_]
    weights: Floats
    clusters: Sequence[str] | Sequence[int]


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
    false_positive_rate: Rate
    false_discovery_share: Rate


@dataclass(frozen=True)
class Advice:
    """What there is to choose from.

    Attributes:
        threshold: one that meets the wish; None if none is known to.
        expected: what it would bring.
        present: what the present one brings.
        words: all that as a person would say it.
        curve: what each threshold would bring of which it is known, from the present one on upwards.
    """

    threshold: float | None
    expected: Expectation | None
    present: Expectation
    words: str
    curve: tuple[Expectation, ...]


def alert_levels(alerts: Sequence[Sequence[float]], in_a_row: int, threshold: float) -> tuple[list[Floats], Floats]:
    """Levels of the windows of each alert, float [n], never falling, and of the alerts themselves, float [alerts].

    Args:
        alerts: probabilities of the event, per window from the one that raised the alert on.
        in_a_row: windows that an alert needs before it is raised, 1 or more.
        threshold: the present one.
    """

    def levels(every: int) -> list[Floats]:
        return [_levels(own, in_a_row, own[0] if i % every else threshold) for i, own in enumerate(alerts)]

    return levels(WINDOWS_EVERY), np.array([own[-1] for own in levels(ALERTS_EVERY)], float)


def _levels(probabilities: Sequence[float], in_a_row: int, before: float) -> Floats:
    padded = np.concatenate([np.full(in_a_row - 1, before), probabilities])
    runs = np.lib.stride_tricks.sliding_window_view(padded, in_a_row).min(1)
    return np.maximum.accumulate(runs)


@dataclass(frozen=True)
class _Judged:
    """Judged windows of both strata; arrays are [n]. The level of a quiet one is minus infinity: it is never on."""

    levels: Floats
    events: NDArray[np.bool_]
    weights: Floats
    clusters: NDArray[np.int64]

    def where(self, side: NDArray[np.bool_]) -> JudgedWindows:
        """One side of a threshold as a sample."""
        some = self.weights[side]
        return JudgedWindows(self.events[side], some.min(initial=np.inf) / some, self.clusters[side])


def expect(evidence: Evidence, threshold: float) -> Expectation:
    """The four rates at the present threshold or a higher one."""
    return _expect(evidence, _judged(evidence), threshold)


def _judged(evidence: Evidence) -> _Judged:
    alerting, quiet, total = evidence.alerting, evidence.quiet, evidence.counts
    scaled = (_scaled(alerting.weights, total.alerting_windows), _scaled(quiet.weights, total.quiet_windows))
    _, clusters = np.unique(np.array([*alerting.clusters, *quiet.clusters]), return_inverse=True)
    return _Judged(
        np.concatenate([alerting.judged_levels, np.full(len(quiet.events), -np.inf)]),
        np.concatenate([alerting.events, quiet.events]),
        np.concatenate(scaled),
        clusters,
    )


def _expect(evidence: Evidence, judged: _Judged, threshold: float) -> Expectation:
    alerting, total = evidence.alerting, evidence.counts
    kept = float((alerting.levels >= threshold).mean()) if len(alerting.levels) else 1.0
    on = judged.levels >= threshold
    n_alerting = max(round(total.alerting_windows * kept), int(on.sum()))
    counts = TaskCounts(n_alerting, total.alerting_windows + total.quiet_windows - n_alerting, total.hours)
    found = estimate_rates(counts, judged.where(on), judged.where(~on), _alerts(evidence.alerts, threshold))
    return Expectation(
        threshold,
        found.false_alarms_per_hour,
        found.miss_rate,
        found.false_positive_rate,
        found.false_discovery_share,
    )


def advise(evidence: Evidence, wish: Wish) -> Advice:
    """The threshold that meets a wish at the least cost in the other rate.

    Raises:
        ValueError: if not exactly one wish is given.
    """
    if (wish.most_false_alarms_per_hour is None) == (wish.most_misses is None):
        raise ValueError("wish for at most so many false alarms an hour or at most so many misses, one of the two")
    judged = _judged(evidence)
    thresholds = (evidence.threshold, *(float(threshold) for threshold in GRID if threshold > evidence.threshold))
    present, *higher = (_expect(evidence, judged, threshold) for threshold in thresholds)
    lacking = [rate.words for rate in (present.miss_rate, present.false_alarms_per_hour) if rate.value is None]
    if lacking:  # of a threshold that nothing reaches all is known, but it is no use
        return Advice(None, None, present, lacking[0], ())
    known = tuple(
        found
        for found in (present, *higher)
        if found.miss_rate.value is not None and found.false_alarms_per_hour.value is not None
    )
    meeting = [found for found in known if _wished(found, wish) <= _limit(wish)]
    wanted = _wish_words(wish)
    if not meeting:
        return Advice(None, None, present, _unmet(wish, wanted, known), known)
    best = meeting[0] if wish.most_misses is None else meeting[-1]
    words = f"for {wanted} use {best.threshold:.2f}; {_expected(best)}. {NEW_DAYS}"
    return Advice(best.threshold, best, present, words, known)


def _scaled(weights: Floats, total: int) -> Floats:
    """Weights that add up to the windows of their stratum."""
    return weights * (total / weights.sum()) if len(weights) else weights


def _alerts(alerts: Verdicts, threshold: float) -> AlertCounts:
    parts = (alerts.levels, alerts.true_levels, alerts.false_levels)
    return AlertCounts(*(int((part >= threshold).sum()) for part in parts))


def _unmet(wish: Wish, wanted: str, known: Sequence[Expectation]) -> str:
    least = min(_wished(found, wish) for found in known)
    if wish.most_misses is None:
        return f"no threshold is known to give {wanted}; the least is {least:.2f} an hour"
    return (
        f"no threshold is known to give {wanted}; the present {known[0].threshold:.2f} gives {100 * least:.0f} %. Only "
        "a lower one could give fewer, and what it brings cannot be told before: apply one a little lower and ask again"
    )


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
