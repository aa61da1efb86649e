"""What each threshold would bring: a line through all of them, over one of three pairs of rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from dashboard.figures import Drawing
from dashboard.wording import PER_HOUR, interval, quantity
from training.active_learning.review.look import Look

DATA = "thresholds"
PRESENT, ADVISED, BOTH = "present", "advised", "present and advised"
RATES = {
    PER_HOUR: "false alarms",
    "miss_rate": "misses",
    "false_positive_rate": "false-positive rate",
    "false_discovery_share": "false discoveries",
}


@dataclass(frozen=True)
class Axis:
    """One rate, or what is left of it to 1.

    Attributes:
        rate: of `RATES`.
        title: beside the axis.
        rest: whether it shows 1 - rate.
    """

    rate: str
    title: str
    rest: bool = False

    def of(self, one: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Value and interval under this name, of one threshold."""
        found = one[self.rate]
        value, low, high = found["value"], found["low"], found["high"]
        if self.rest:
            value, low, high = 1 - value, 1 - high, 1 - low
        return {name: value, f"{name}_low": low, f"{name}_high": high}

    def ticks(self) -> alt.Axis:
        """In percent, but for what is counted per hour."""
        return alt.Axis(tickCount=6) if self.rate == PER_HOUR else alt.Axis(format="%", tickCount=5)


@dataclass(frozen=True)
class View:
    """What lies along and what upwards, and whether the curve rises: names stand on the side where it does not go."""

    x: Axis
    y: Axis
    rises: bool = False


RECALL = Axis("miss_rate", "events detected (recall)", rest=True)
VIEWS: Mapping[str, View] = {
    "Alarms and misses": View(Axis(PER_HOUR, "false alarms per hour"), Axis("miss_rate", "miss rate")),
    "ROC": View(Axis("false_positive_rate", "false-positive rate"), RECALL, rises=True),
    "Precision and recall": View(RECALL, Axis("false_discovery_share", "precision", rest=True)),
}


def table_of(advice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per threshold with all rates and their 95 % intervals, the lowest (the present one) first."""
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


def drawing(advice: Mapping[str, Any], view: str) -> Drawing:
    """A line through all thresholds; the present and the advised one larger, with their names and intervals.

    Args:
        advice: what the control API says of a wish.
        view: of `VIEWS`. Thresholds at which one of its rates is not known are left out.
    """
    x, y = VIEWS[view].x, VIEWS[view].y
    values = [
        _point(advice, one, x, y)
        for one in _curve(advice)
        if one[x.rate]["value"] is not None and one[y.rate]["value"] is not None
    ]
    return Drawing(chart, (view,), {DATA: values})


def chart(view: str, look: Look) -> Any:
    """The same without data."""
    x, y, rises = VIEWS[view].x, VIEWS[view].y, VIEWS[view].rises
    tooltip = [alt.Tooltip("threshold:Q", format=".2f")]
    tooltip += [alt.Tooltip(f"{name}_words:N", title=words) for name, words in RATES.items()]
    along = alt.X("x:Q", title=x.title, axis=x.ticks(), scale=_from_nought())
    upwards = alt.Y("y:Q", title=y.title, axis=y.ticks(), scale=_from_nought())
    base = alt.Chart(alt.NamedData(DATA), height=230).encode(x=along, y=upwards, tooltip=tooltip)
    line = base.mark_line(color=look.quiet, strokeWidth=1.4).encode(order="threshold:Q")
    every = base.mark_point(filled=True, size=22, color=look.soft, opacity=1)
    marked = base.transform_filter(alt.datum["is"] != "")
    reaches = marked.mark_rule(color=look.soft, strokeWidth=1.2)
    across, up = reaches.encode(x="x_low:Q", x2="x_high:Q"), reaches.encode(y="y_low:Q", y2="y_high:Q")
    scale = alt.Scale(domain=[PRESENT, ADVISED, BOTH])
    dots = marked.mark_point(filled=True, size=90, color=look.point, opacity=1).encode(
        shape=alt.Shape("is:N", scale=scale, legend=None)
    )
    high, low = -9, 13
    here, there = (high, low) if rises else (low, high)  # the present threshold is the last on the right
    present = marked.transform_filter(alt.datum["is"] != ADVISED).mark_text(
        align="right", dx=-9, dy=here, color=look.ink, fontSize=11
    )
    advised = marked.transform_filter(alt.datum["is"] == ADVISED).mark_text(
        align="left", dx=9, dy=there, color=look.ink, fontSize=11
    )
    return line + across + up + every + dots + present.encode(text="label:N") + advised.encode(text="label:N")


def _point(advice: Mapping[str, Any], one: Mapping[str, Any], x: Axis, y: Axis) -> dict[str, Any]:
    mark = _mark(advice, one["threshold"])
    words = {f"{name}_words": _words(name, one[name]) for name in RATES}
    return {
        "threshold": one["threshold"], "is": mark, "label": f"{one['threshold']:.2f} {mark}", **x.of(one, "x"),
        **y.of(one, "y"), **words,
    }  # fmt: skip


def _words(name: str, rate: Mapping[str, Any]) -> str:
    said = interval(name, rate)
    return said if rate["value"] is None else f"{quantity(name, rate['value'])}, {said}"


def _from_nought() -> alt.Scale:
    return alt.Scale(domainMin=0, nice=True)
