"""The error rates by model version, drawn with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from dashboard.wording import PER_HOUR, interval, quantity
from training.active_learning.review.look import LOOK, POINT, SOFT


@dataclass(frozen=True)
class Rate:
    """A rate's key in the control API, its title, and what it means."""

    key: str
    title: str
    meaning: str


RATES: tuple[Rate, ...] = (
    Rate("false_positive_rate", "False-positive rate", "of the windows without the event, how many alert"),
    Rate("miss_rate", "Miss rate", "of the windows with the event, how many do not alert"),
    Rate("false_discovery_share", "False-discovery share", "of the alerts, how many are false"),
    Rate(PER_HOUR, "False alarms per hour", "per hour of watching, whoever is watched"),
)


def points(rows: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """One row per version that has enough labels for this rate, oldest first."""
    known = sorted(
        (row for row in rows if row["model_version"] and row[key]["enough"]), key=lambda r: r["model_version"]
    )
    return [
        {
            "version": f"v{row['model_version']}",
            "value": row[key]["value"],
            "low": row[key]["low"],
            "high": row[key]["high"],
            "n": f"n = {row[key]['n']}",
            "words": f"{quantity(key, row[key]['value'])}, {interval(key, row[key])}",
        }
        for row in known
    ]


def chart(rows: Sequence[Mapping[str, Any]], key: str) -> Any | None:
    """Points with error bars by version, or None while no version has enough labels."""
    values = points(rows, key)
    if not values:
        return None
    form = "~f" if key == PER_HOUR else "%"
    axis = alt.Axis(format=form, tickCount=5, title=None)
    versions = alt.X("version:N", sort=None, title="model version", axis=alt.Axis(labelAngle=0))
    tooltip = [alt.Tooltip("version:N"), alt.Tooltip("words:N", title="rate")]
    base = alt.Chart(alt.Data(values=values), height=190).encode(x=versions, tooltip=tooltip)
    low = alt.Y("low:Q", axis=axis, scale=alt.Scale(domainMin=0, nice=True))
    rules = base.mark_rule(color=SOFT, strokeWidth=1.4).encode(y=low, y2="high:Q")
    caps = base.mark_tick(color=SOFT, size=12, thickness=1.4)
    dots = base.mark_point(filled=True, size=75, color=POINT, opacity=1).encode(y="value:Q")
    counts = base.mark_text(dy=-9, color=SOFT, fontSize=11).encode(y="high:Q", text="n:N")
    return (rules + caps.encode(y="low:Q") + caps.encode(y="high:Q") + dots + counts).configure(**LOOK)


def change(rows: Sequence[Mapping[str, Any]], rate: Rate) -> str | None:
    """Before and after the latest model update in one sentence; None before two versions have enough labels.

    Two intervals that do not overlap show a difference; two that do leave it open.
    """
    known = points(rows, rate.key)
    if len(known) < 2:
        return None
    before, after = known[-2], known[-1]
    verb = "fell" if after["value"] < before["value"] else "rose" if after["value"] > before["value"] else "stayed"
    moved = f"from {quantity(rate.key, before['value'])} to {quantity(rate.key, after['value'])}"
    apart = after["high"] < before["low"] or after["low"] > before["high"]
    sure = "The intervals do not overlap." if apart else "The intervals overlap, so more labels must confirm it."
    title = f"{rate.title[:1].lower()}{rate.title[1:]}"
    return f"From {before['version']} to {after['version']} the {title} {verb} {moved}. {sure}"
