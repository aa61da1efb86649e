"""Error rates of an alert, estimated from the windows that people have judged.

Every scored window was counted as alerting or quiet; some of each were judged. With N_a and N_q the counts, and e_a and
e_q the shares of judged windows in which the event was there:

    TP = N_a e_a    FP = N_a (1 - e_a)    FN = N_q e_q    TN = N_q (1 - e_q)

    false-positive rate      FP / (FP + TN)
    miss rate                FN / (FN + TP)
    false-discovery share    FP / N_a
    false alarms per hour    alerts per hour times the share of judged alerts that were false

They describe the windows that were scored, so N_a and N_q are taken as known. e_q must come from the audit stratum,
which is blind to the model: windows that were sent because the head was unsure are no sample of the quiet ones,
whatever one does to them. e_a may come from all judged alerting windows.

Shares are Hajek estimates, weighted by 1 / inclusion probability of the draw that made the sample (for audit windows
the audit probability: equal weights unless agents differ in it). Their uncertainty is a Beta posterior under Jeffreys'
prior (Brown, Cai and DasGupta 2001, Statistical Science 16(2)) with the effective number of windows: Kish's
(sum w)**2 / sum w**2, or fewer where windows come in clusters that resemble each other (linearised variance of the
share over clusters, Kish 1965). The interval of a rate is what lies between the `TAIL` percentiles of `DRAWS` joint
draws; the tail is a little less than 2.5 %, because the coverage of intervals for counts swings around its nominal
value and should not swing below it.

The number of alerts is Poisson, its rate under Jeffreys' prior too. The upper limit of false alarms per hour adds a
whole false alarm in place of half a one (Garwood 1936, Biometrika 28): Jeffreys' covers 92 % where three are expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_ALERTING = 10
LEAST_QUIET = 20
LEAST_VERDICTS = 5
LEAST_HOURS = 0.1
"""Judged alerting windows, judged quiet audit windows, judged alerts and hours below which no rate is given."""

DRAWS = 4_000
KEPT = 4_096
"""Estimates that are not drawn again."""

TAIL = 0.02

Draws = NDArray[np.float64]


@dataclass(frozen=True)
class TaskCounts:
    """All windows that were scored, from the heartbeats' counts, and the hours they cover."""

    alerting_windows: int
    quiet_windows: int
    hours: float


@dataclass(frozen=True)
class AlertCounts:
    """All alerts that were raised, and the verdicts on those that were judged."""

    raised: int
    judged_true: int
    judged_false: int


@dataclass(frozen=True)
class JudgedWindows:
    """The judged windows of one stratum.

    Attributes:
        events: bool [n], whether the event was there; or float [n] in 0..1, how probable it was (`label_free`).
        inclusion_probability: float [n] above 0, of the draw that made this sample; None when all are the same.
        clusters: n names or numbers, equal for windows that resemble each other (one alert, one person's minute); None
            when all stand alone.
    """

    events: NDArray[np.bool_] | NDArray[np.floating[Any]]
    inclusion_probability: NDArray[np.floating[Any]] | None = None
    clusters: Sequence[str] | NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Rate:
    """One rate.

    Attributes:
        value, low, high: the estimate and its 95 % interval; None when there are not enough labels.
        n: judged windows (or alerts) that it rests on.
        words: the rate, or how many labels are missing, as a person would say it.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    enough: bool
    words: str


@dataclass(frozen=True)
class Rates:
    """The four rates of one task over one selection of windows."""

    false_positive_rate: Rate
    miss_rate: Rate
    false_discovery_share: Rate
    false_alarms_per_hour: Rate


@dataclass(frozen=True)
class _Share:
    """Share of events in a stratum, and how many judged windows it rests on: as many as independent ones, and all."""

    estimate: float
    effective_n: float
    n: int


def estimate_rates(
    counts: TaskCounts, alerting: JudgedWindows, quiet: JudgedWindows, alerts: AlertCounts, seed: int = 0
) -> Rates:
    """Estimate all rates of one task.

    Args:
        counts: of all scored windows, judged or not.
        alerting: judged windows in which the alert was on.
        quiet: judged windows of the audit stratum in which it was off.
        alerts: for the false alarms per hour.
        seed: of the Monte Carlo draws.

    Raises:
        ValueError: if a count is negative, more was judged than there is, or a probability is not in (0, 1].
    """
    _check(counts, alerting, quiet, alerts)
    return _estimate(counts, _event_share(alerting), _event_share(quiet), alerts, seed)


@lru_cache(KEPT)
def _estimate(counts: TaskCounts, share_alerting: _Share, share_quiet: _Share, alerts: AlertCounts, seed: int) -> Rates:
    """What follows from the judged windows' shares; whoever asks again for groups where nothing came gets the same."""
    generator = np.random.default_rng(seed)
    draws_alerting, draws_quiet = _beta_draws(share_alerting, generator), _beta_draws(share_quiet, generator)
    lacking_alerting = _lacking(counts.alerting_windows, share_alerting.n, LEAST_ALERTING, "alerting window")
    lacking_quiet = _lacking(counts.quiet_windows, share_quiet.n, LEAST_QUIET, "quiet audit window")
    lacking = [*lacking_alerting, *lacking_quiet]
    hits, misses = counts.alerting_windows * draws_alerting, counts.quiet_windows * draws_quiet
    false_alarms, rejections = counts.alerting_windows - hits, counts.quiet_windows - misses
    n = share_alerting.n + share_quiet.n
    return Rates(
        false_positive_rate=_rate(false_alarms, false_alarms + rejections, n, lacking, "window without the event"),
        miss_rate=_rate(misses, misses + hits, n, lacking, "window with the event"),
        false_discovery_share=_rate(
            false_alarms, hits + false_alarms, share_alerting.n, lacking_alerting, "alerting window"
        ),
        false_alarms_per_hour=_false_alarms_per_hour(counts.hours, alerts, generator),
    )


def more_labels(rate: Rate, width: float) -> int | None:
    """About how many more labels make a share's interval so narrow: its width shrinks with the root of their number.

    Args:
        rate: a share, as it is estimated now.
        width: from low to high, in 0..1.

    Returns:
        0 or more; None while there is no interval to start from.
    """
    if rate.low is None or rate.high is None:
        return None
    return max(0, int(np.ceil(rate.n * (((rate.high - rate.low) / width) ** 2 - 1))))


def difference(rate: Rate, other: Rate) -> tuple[float, float, float] | None:
    """How much higher the first is, with its 95 % interval; None where one of them is not known.

    From the two intervals, which need not be symmetric, taken as independent (Zou and Donner 2008, Statistics in
    Medicine 27(10)).
    """
    if rate.value is None or rate.low is None or rate.high is None:
        return None
    if other.value is None or other.low is None or other.high is None:
        return None
    gap = rate.value - other.value
    low = gap - ((rate.value - rate.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
    high = gap + ((rate.high - rate.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
    return gap, low, high


def _check(counts: TaskCounts, alerting: JudgedWindows, quiet: JudgedWindows, alerts: AlertCounts) -> None:
    pairs = [
        (len(alerting.events), counts.alerting_windows),
        (len(quiet.events), counts.quiet_windows),
        (alerts.judged_true + alerts.judged_false, alerts.raised),
    ]
    if any(judged > total for judged, total in pairs):
        raise ValueError(f"more was judged than was counted: {pairs}")
    if min(counts.hours, alerts.judged_true, alerts.judged_false) < 0:
        raise ValueError("hours and verdicts must be 0 or more")
    for sample in (alerting, quiet):
        p = sample.inclusion_probability
        if sample.clusters is not None and len(sample.clusters) != len(sample.events):
            raise ValueError("there must be one cluster per judged window")
        if p is not None and (p.shape != sample.events.shape or not ((p > 0) & (p <= 1)).all()):
            raise ValueError("there must be one inclusion probability per judged window, above 0 and at most 1")


def _event_share(sample: JudgedWindows) -> _Share:
    n = len(sample.events)
    weights = np.ones(n) if sample.inclusion_probability is None else 1 / sample.inclusion_probability.astype(float)
    estimate = float(weights @ sample.events / weights.sum()) if n else 0.0
    return _Share(estimate, _effective_windows(sample, weights, estimate), n)


def _effective_windows(sample: JudgedWindows, weights: Draws, share: float) -> float:
    """How many independent, equally weighted windows would tell as much."""
    if not len(weights):
        return 0.0
    kish = float(weights.sum() ** 2 / (weights @ weights))
    if sample.clusters is None:
        return kish
    _, index = np.unique(np.asarray(sample.clusters), return_inverse=True)
    count = int(index.max()) + 1
    residuals = np.bincount(index, weights * (sample.events - share)) / weights.sum()
    variance = float(residuals @ residuals) * count / max(count - 1, 1)
    return min(kish, share * (1 - share) / variance if variance > 0 else count)


def _beta_draws(share: _Share, generator: np.random.Generator) -> Draws:
    """The estimate itself, then draws from its posterior: float [1 + DRAWS]."""
    hits, others = share.effective_n * share.estimate, share.effective_n * (1 - share.estimate)
    return np.concatenate([[share.estimate], generator.beta(hits + 0.5, others + 0.5, DRAWS)])


def _lacking(windows: int, judged: int, least: int, what: str) -> list[str]:
    """What is missing before a stratum's share may be used; nothing where the stratum is empty."""
    short = least - judged if windows else 0
    return [f"{short} more judged {what}{'s' if short > 1 else ''}"] if short > 0 else []


def _rate(part: Draws, whole: Draws, n: int, lacking: list[str], of: str) -> Rate:
    """A share of `whole`, estimate first; `of` says what the whole consists of."""
    if lacking:
        return _not_enough(n, f"{' and '.join(lacking)} needed")
    if whole[0] <= 0:
        return _not_enough(n, f"no {of} so far")
    shares = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    value, low, high = _interval(shares)
    words = f"{100 * value:.1f} % (95 % interval {100 * low:.1f} % to {100 * high:.1f} %, {n} labels)"
    return Rate(value, low, high, n, True, words)


def _false_alarms_per_hour(hours: float, alerts: AlertCounts, generator: np.random.Generator) -> Rate:
    judged = alerts.judged_true + alerts.judged_false
    lacking = _lacking(alerts.raised, judged, min(LEAST_VERDICTS, max(alerts.raised, 1)), "alert")
    if lacking:
        return _not_enough(judged, f"{lacking[0]} needed")
    if hours < LEAST_HOURS:
        return _not_enough(judged, f"{60 * (LEAST_HOURS - hours):.0f} more minutes of watching needed")
    value = alerts.raised * alerts.judged_false / max(judged, 1) / hours
    low, high = (
        float(np.quantile(_false_alarm_draws(alerts, added, generator), tail)) / hours
        for added, tail in ((0.5, TAIL), (1.0, 1 - TAIL))
    )
    low, high = min(low, value), max(high, value)
    words = f"{value:.2f} an hour (95 % interval {low:.2f} to {high:.2f}, {judged} judged alerts)"
    return Rate(value, low, high, judged, True, words)


def _false_alarm_draws(alerts: AlertCounts, added: float, generator: np.random.Generator) -> Draws:
    """Posterior draws of the expected number of false alarms, under a prior worth `added` false alarms."""
    false_share = generator.beta(alerts.judged_false + added, alerts.judged_true + 0.5, DRAWS)
    return false_share * generator.gamma(alerts.raised + added, size=DRAWS)


def _interval(values: Draws) -> tuple[float, float, float]:
    """The estimate and the percentiles of its draws; an estimate at the edge, such as 0, belongs to its interval."""
    value = float(values[0])
    low, high = np.quantile(values[1:], [TAIL, 1 - TAIL])
    return value, min(float(low), value), max(float(high), value)


def _not_enough(n: int, why: str) -> Rate:
    return Rate(None, None, None, n, False, f"not enough labels yet: {why}")
