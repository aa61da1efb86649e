"""What a head knows of single windows: its ROC and its precision-recall curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from dashboard.figures import Drawing
from training.active_learning.review.look import Look
from training.active_learning.review.words import count, percent

DATA = "curve"
ROC, PRECISION = "roc", "precision"
AXES = {
    ROC: (("false_positive_rate", "false-positive rate"), ("detected", "windows with the event detected")),
    PRECISION: (("detected", "windows with the event detected"), ("precision", "precision")),
}
"""Of each curve what lies along and what upwards, with titles."""

HOW = (
    "One window at a time, before the alert rule asks for several in a row: what the head knows, not what the alerts "
    "do. From judged alerting and audit windows, each weighed by one over the chance that it was drawn; point at the "
    "line for its thresholds. The dashed line is a head that guesses."
)


def sentence(found: Mapping[str, Any]) -> str:
    """The area under the ROC curve with interval and n, or what is lacking."""
    if found["area"] is None:
        return f"not enough labels yet: {found['words']}"
    spread = f"{percent(found['low'])} to {percent(found['high'])} (95 %)"
    judged = f"n = {count(found['n'])}, {count(found['events'])} with the event"
    return f"the window with the event gets the higher probability in {percent(found['area'])}, {spread}, {judged}"


def table_of(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """For a file: one row per threshold."""
    rows: Sequence[Mapping[str, Any]] = found["curve"]
    return rows


def drawing(found: Mapping[str, Any], which: str) -> Drawing:
    """One of `AXES`, from its highest threshold to its lowest."""
    upwards = AXES[which][1][0]
    values = [one for one in table_of(found) if one[upwards] is not None]
    base = min((one["precision"] for one in values if one["threshold"] == 0), default=0.0)
    guess = [{"x": 0, "y": 0}, {"x": 1, "y": 1}] if which == ROC else [{"x": 0, "y": base}, {"x": 1, "y": base}]
    return Drawing(chart, (which,), {DATA: values, "guess": guess})


def chart(which: str, look: Look) -> Any:
    """The same without data."""
    (along, below), (upwards, beside) = AXES[which]
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format="%", tickCount=5)
    guess = alt.Chart(alt.NamedData("guess")).mark_line(color=look.soft, strokeDash=[4, 3], strokeWidth=1)
    tooltip = [
        alt.Tooltip("threshold:Q", format=".2f"),
        alt.Tooltip("detected:Q", format=".0%"),
        alt.Tooltip("false_positive_rate:Q", title="false-positive rate", format=".1%"),
        alt.Tooltip("precision:Q", format=".0%"),
    ]
    x = alt.X(f"{along}:Q", title=below, scale=scale, axis=axis)
    y = alt.Y(f"{upwards}:Q", title=beside, scale=scale, axis=axis)
    base = alt.Chart(alt.NamedData(DATA), height=230).encode(x=x, y=y, tooltip=tooltip, order="threshold:Q")
    line = base.mark_line(color=look.point, strokeWidth=1.8)
    dots = base.mark_point(filled=True, size=16, color=look.point, opacity=1)
    return guess.encode(x="x:Q", y="y:Q") + line + dots
