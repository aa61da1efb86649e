"""What calibrated confidences say of the error rates, before anybody has judged a window.

A calibrated head that gives the event probability q is right about q of the time. So the mean q of a random sample of
the alerting windows estimates the share of them in which the event was there, and the mean q of the quiet ones the
share that was missed: difference of confidences with the difference taken as nought (Guillory et al. 2021, ICCV; Garg
et al. 2022, ICLR, compare it with others). Scaled by the counts of all windows, these give the rates of
`training.evaluation.rates`.

The assumption is that the probabilities are calibrated on these very windows. No unlabelled data can show that: where
people or cameras differ from those that the head was fitted on, it fails, and in which direction cannot be told. So
this estimate stands beside the labelled one, never in its place, and the two are compared as soon as both are there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.evaluation.rates import AlertCounts, JudgedWindows, Rate, TaskCounts, difference, estimate_rates

SHARES = ("false_positive_rate", "miss_rate", "false_discovery_share")


@dataclass(frozen=True)
class LabelFree:
    """The rates that the confidences imply; none per hour, for an alert is raised at a moment and not at random."""

    false_positive_rate: Rate
    miss_rate: Rate
    false_discovery_share: Rate


def estimate_label_free(counts: TaskCounts, alerting: JudgedWindows, quiet: JudgedWindows, seed: int = 0) -> LabelFree:
    """Estimate the rates from the audit stratum's probabilities, labelled or not.

    The intervals count each probability like a label, which is wider than the spread of the probabilities alone.

    Args:
        counts: of all scored windows.
        alerting: the event's probability per alerting audit window, in place of whether it was there.
        quiet: the same for the quiet ones.
        seed: of the Monte Carlo draws.
    """
    found = estimate_rates(counts, alerting, quiet, AlertCounts(0, 0, 0), seed)
    return LabelFree(*(_reworded(getattr(found, name)) for name in SHARES))


def disagreement(labelled: Rate, free: Rate) -> str | None:
    """A warning where labels and confidences differ by more than chance; None where they do not or one is missing."""
    apart = difference(labelled, free)
    if apart is None:
        return None
    gap, low, high = apart
    if low <= 0 <= high:
        return None
    side = "higher" if gap > 0 else "lower"
    return (
        f"labels put it {100 * abs(gap):.0f} points {side} than the head's own confidences do "
        f"(95 % interval of the difference {100 * low:+.0f} to {100 * high:+.0f}): the head is not calibrated here"
    )


def _reworded(rate: Rate) -> Rate:
    words = rate.words.replace("not enough labels yet", "not enough audit windows yet").replace("judged ", "")
    return replace(rate, words=words.replace(" labels)", " audit windows, judged or not)"))
