"""Whether the loop learns: balanced accuracy on people held out, by version and task."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from dashboard.figures import Drawing
from training.active_learning.review.look import GREEN, ORANGE, PURPLE, Look
from training.active_learning.review.words import count

DATA = "versions"
FIGURE = "balanced_accuracy"
CHANCE = 0.5
"""Of two classes; the axis begins here, or lower where a version was."""

THIS, BEFORE = "this version", "the version before, on the same windows"
_JUDGED = (FIGURE, "brier", "n", "people")


def table_of(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per version and task that was measured, oldest first, and one for what it was compared with, if any.

    A head that a version took over from its parent was not judged anew, so beside it there is nothing to compare.
    """
    known = {model["version"]: model["metrics"] for model in models}
    rows = []
    for model in sorted(models, key=lambda model: int(model["version"])):
        before = known.get(model["parent"], {})
        for task, found in model["metrics"].items():
            taken_over = [found.get(name) for name in _JUDGED] == [before.get(task, {}).get(name) for name in _JUDGED]
            incumbent = None if taken_over else found.get("incumbent")
            rows += [
                {
                    "task": task, "version": model["version"], "of": of, FIGURE: measured[FIGURE],
                    "n": found.get("n"), "people": found.get("people"),
                }
                for of, measured in ((THIS, found), (BEFORE, incumbent))
                if measured and FIGURE in measured
            ]  # fmt: skip
    return rows


def sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """What to mind when versions were judged on different windows; empty if they were not."""
    judged: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row["n"] is not None:
            judged[row["task"]].append(row["n"])
    grown = {task: (min(n), max(n)) for task, n in judged.items() if min(n) < max(n)}
    if not grown:
        return ""
    spans = ", ".join(f"{task} {count(low)} to {count(high)}" for task, (low, high) in grown.items())
    hollow = any(row["of"] == BEFORE for row in rows)
    fair = "; a hollow point is the version before on the same windows, so compare with that one" if hollow else ""
    return f"The holdout grows, so versions were judged on different windows ({spans}){fair}."


def drawing(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """A line per task; hollow, the version before on the windows of this one."""
    values = [{**row, "label": f"v{row['version']}"} for row in rows]
    lowest = min((math.floor(10 * row[FIGURE]) / 10 for row in rows), default=CHANCE)
    return Drawing(chart, (tuple(dict.fromkeys(row["task"] for row in rows)), min(lowest, CHANCE)), {DATA: values})


def chart(tasks: tuple[str, ...], lowest: float, look: Look) -> Any:
    """The same without data; the axis begins at `lowest`."""
    colours = [look.point, look.second, GREEN, PURPLE, ORANGE]
    told = alt.Color("task:N", sort=list(tasks), scale=alt.Scale(domain=list(tasks), range=colours), legend=_legend())
    shape = alt.Shape("task:N", sort=list(tasks), scale=alt.Scale(domain=list(tasks)), legend=_legend())
    axis = alt.Axis(format="%", tickCount=5, title="balanced accuracy")
    high = alt.Y(f"{FIGURE}:Q", axis=axis, scale=alt.Scale(domain=(lowest, 1.0)))
    names = alt.X("label:N", sort=None, title="model version", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    tooltip = [
        alt.Tooltip("task:N"),
        alt.Tooltip("label:N", title="version"),
        alt.Tooltip("of:N"),
        alt.Tooltip(f"{FIGURE}:Q", title="balanced accuracy", format=".1%"),
        alt.Tooltip("n:Q", title="windows held out"),
        alt.Tooltip("people:Q", title="people held out"),
    ]
    beside = alt.XOffset("task:N", sort=list(tasks), scale=alt.Scale(paddingOuter=1))
    base = alt.Chart(alt.NamedData(DATA), height=200).encode(x=names, xOffset=beside, color=told, tooltip=tooltip)
    this = base.transform_filter(alt.datum.of == THIS)
    lines = this.mark_line(strokeWidth=1.2, opacity=0.5).encode(y=high)
    hollow = base.transform_filter(alt.datum.of == BEFORE).mark_point(size=48, fill=look.paper, strokeWidth=1.4)
    dots = this.mark_point(filled=True, size=75, opacity=1).encode(y=high, shape=shape)
    return lines + hollow.encode(y=high, shape=shape) + dots


def _legend() -> alt.Legend:
    return alt.Legend(
        orient="top", title=None, symbolOpacity=1, labelExpr="upper(slice(datum.label, 0, 1)) + slice(datum.label, 1)"
    )
