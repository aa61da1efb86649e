"""Before and after each update: every rate of a version beside its predecessor's, and whether they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from dashboard.rate_charts import RATES, Rate, estimate
from dashboard.wording import PER_HOUR, quantity
from training.active_learning.review.markup import Html, joined, muted, pill, stacked, table, tag
from training.evaluation.rates import difference, more_labels


def labels_for(rate: Mapping[str, Any], width: float) -> str:
    """How many more labels make a share's interval so wide, in words; empty where that cannot be told."""
    more = more_labels(estimate(rate), width)
    if more is None:
        return ""
    points = f"{100 * width:.0f} points"
    return f"about {more:,} more labels for {points}".replace(",", "\u202f") if more else f"within {points} already"


def updates(versions: Sequence[Mapping[str, Any]]) -> Html | None:
    """One row per update, newest first; None before there was one."""
    ordered = sorted(versions, key=lambda row: int(row["model_version"]))
    pairs = list(pairwise(ordered))
    if not pairs:
        return None
    heads = ("Update", *(rate.title for rate in RATES))
    return table(heads, [_row(before, after) for before, after in reversed(pairs)])


def _row(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[object]:
    name = f"v{before['model_version']} to v{after['model_version']}"
    return [tag("b", name), *(_cell(rate, before[rate.key], after[rate.key]) for rate in RATES)]


def _cell(rate: Rate, before: Mapping[str, Any], after: Mapping[str, Any]) -> Html:
    apart = difference(estimate(after), estimate(before))
    if apart is None:
        return muted("not enough labels on both sides")
    moved = f"{quantity(rate.key, before['value'])} to {quantity(rate.key, after['value'])}"
    _, low, high = apart
    tone, word = ("good", "lower") if high < 0 else ("bad", "higher") if low > 0 else ("quiet", "no difference shown")
    return stacked(moved, joined([pill(tone, word), muted(f" {_span(rate, low, high)}")]))


def _span(rate: Rate, low: float, high: float) -> str:
    if rate.key == PER_HOUR:
        return f"{low:+.1f} to {high:+.1f} / h"
    return f"{100 * low:+.0f} to {100 * high:+.0f} points"
