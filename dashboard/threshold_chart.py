"""What each threshold would bring: false alarms per hour against the miss rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from dashboard.wording import PER_HOUR, interval, quantity
from training.active_learning.review.look import Look

RATES = {PER_HOUR: "false alarms", "miss_rate": "misses"}
PRESENT, ADVISED, BOTH = "present", "advised", "present and advised"


def table_of(advice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per threshold with both rates and their 95 % intervals, the lowest (the present one) first."""
    return [
        {"threshold": one["threshold"], "is": _mark(advice, one["threshold"]), **_rates(one)} for one in _curve(advice)
    ]


def _curve(advice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = advice["curve"]
    return found


def _mark(advice: Mapping[str, Any], threshold: float) -> str:
    present, advised = threshold == advice["present"]["threshold"], threshold == advice["threshold"]
    return BOTH if present and advised else PRESENT if present else ADVISED if advised else ""


def _rates(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name if part == "value" else f"{name}_{part}": one[name][part]
        for name in RATES
        for part in ("value", "low", "high", "n")
    }


def chart(advice: Mapping[str, Any], look: Look) -> Any:
    """A line through all thresholds; the present and the advised one larger, with their names and intervals."""
    values = [
        {
            **row,
            **{f"{name}_words": f"{quantity(name, one[name]['value'])}, {interval(name, one[name])}" for name in RATES},
            "label": f"{row['threshold']:.2f} {row['is']}",
        }
        for row, one in zip(table_of(advice), _curve(advice), strict=True)
    ]
    tooltip = [alt.Tooltip("threshold:Q", format=".2f")]
    tooltip += [alt.Tooltip(f"{name}_words:N", title=words) for name, words in RATES.items()]
    per_hour = alt.X(f"{PER_HOUR}:Q", title="false alarms per hour", axis=alt.Axis(tickCount=6), scale=_from_nought())
    misses = alt.Y("miss_rate:Q", title="miss rate", axis=alt.Axis(format="%", tickCount=5), scale=_from_nought())
    base = alt.Chart(alt.Data(values=values), height=230).encode(x=per_hour, y=misses, tooltip=tooltip)
    line = base.mark_line(color=look.quiet, strokeWidth=1.4).encode(order="threshold:Q")
    every = base.mark_point(filled=True, size=22, color=look.soft, opacity=1)
    marked = base.transform_filter(alt.datum["is"] != "")
    across = marked.mark_rule(color=look.soft, strokeWidth=1.2).encode(x=f"{PER_HOUR}_low:Q", x2=f"{PER_HOUR}_high:Q")
    along = marked.mark_rule(color=look.soft, strokeWidth=1.2).encode(y="miss_rate_low:Q", y2="miss_rate_high:Q")
    scale = alt.Scale(domain=[PRESENT, ADVISED, BOTH])
    dots = marked.mark_point(filled=True, size=90, color=look.point, opacity=1).encode(
        shape=alt.Shape("is:N", scale=scale, legend=None)
    )
    above, below = (
        marked.transform_filter(which).mark_text(align="left", dx=9, dy=dy, color=look.ink, fontSize=11)
        for which, dy in ((alt.datum["is"] != ADVISED, -9), (alt.datum["is"] == ADVISED, 13))
    )  # the two may lie close to each other
    return line + across + along + every + dots + above.encode(text="label:N") + below.encode(text="label:N")


def _from_nought() -> alt.Scale:
    return alt.Scale(domainMin=0, nice=True)
