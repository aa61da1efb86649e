"""Whether the event comes as often as its probability says: the reliability diagram of one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from dashboard.figures import Drawing
from training.active_learning.review.look import Look
from training.active_learning.review.words import percent, plural

DATA = "bins"


def sentence(calibration: Mapping[str, Any]) -> str:
    """The expected calibration error in words."""
    n = sum(one["n"] for one in calibration["bins"])
    if calibration["error"] is None:
        return "no window was judged yet"
    return f"off by {percent(calibration['error'])} on average, from {plural(n, 'judged window')}"


def drawing(bins: Sequence[Mapping[str, Any]]) -> Drawing:
    """Said against seen, with 95 % intervals; on the diagonal, probabilities can be taken as they are."""
    values = [
        {**one, "words": f"{percent(one['was'])} ({percent(one['low'])} to {percent(one['high'])})"} for one in bins
    ]
    return Drawing(chart, (), {DATA: values})


def chart(look: Look) -> Any:
    """The same without data."""
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format="%", tickCount=5)
    said = alt.X("said:Q", scale=scale, axis=axis, title="probability that the head gave")
    low = alt.Y("low:Q", scale=scale, axis=axis, title="how often the event was there")
    even = alt.Chart(alt.Data(values=[{"said": 0, "low": 0}, {"said": 1, "low": 1}]))
    diagonal = even.mark_line(color=look.soft, strokeDash=[4, 3], strokeWidth=1).encode(x=said, y=low)
    tooltip = [
        alt.Tooltip("said:Q", format=".0%"),
        alt.Tooltip("words:N", title="was there"),
        alt.Tooltip("n:Q", title="judged windows"),
    ]
    base = alt.Chart(alt.NamedData(DATA), height=230).encode(x=said, tooltip=tooltip)
    rules = base.mark_rule(color=look.soft, strokeWidth=1.4).encode(y=low, y2="high:Q")
    dots = base.mark_point(filled=True, size=70, color=look.point, opacity=1).encode(y="was:Q")
    counts = base.mark_text(dy=-8, color=look.soft, fontSize=10).encode(y="high:Q", text="n:Q")
    return diagonal + rules + dots + counts
