"""What a rater sees of a window: a few curves over its seconds, with gaps where nothing was seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

import altair as alt

from sentry_proto.types import CAMERA_STATES
from training.active_learning.review.look import ORANGE, PURPLE, SKY, VERMILION, Look
from training.active_learning.sheets import CURVES, Curve, Series

SEEN, CAMERA = "seen", "camera"
HEIGHT = 52
INSIDE = {"padding": 2, "offset": 0, "labelLimit": 260}

STATE_OF = {letter: str(state) for state, letter in CAMERA_STATES.items()}
STATE_COLOURS = {
    "several faces": SKY, "no face": ORANGE, "dark": "#5a6670", "frozen": PURPLE, "unplugged": VERMILION,
}  # fmt: skip

SHARES = ("Smile", "Brow", "Expression, probability")
"""Panels whose axis is always 0 to 1, so that a rater can compare one window with the next."""


def points(curves: Mapping[str, Series]) -> list[dict[str, float | str | None]]:
    """All curves as rows of panel, line, second and value; value is None in a second in which it was not seen."""
    return [
        {"panel": curve.panel, "line": curve.line, "second": second + 0.5, "value": value}
        for curve in CURVES
        for second, value in enumerate(curves.get(curve.name, ()))
    ]


def runs(camera_states: str) -> list[dict[str, float | str]]:
    """Stretches of one camera state, as start and end seconds."""
    stretches: list[dict[str, float | str]] = []
    second = 0
    for letter, members in groupby(camera_states):
        length = len(list(members))
        stretches.append({"from": second, "to": second + length, "state": STATE_OF.get(letter, "unknown")})
        second += length
    return stretches


def specification(curves: Mapping[str, Series], camera_states: str, look: Look) -> dict[str, Any]:
    """All panels above one another over the same seconds, the camera's state at the bottom, in Vega-Lite.

    Windows differ in their data only, so that a browser draws the next one without making the chart anew.
    """
    stretches = runs(camera_states)
    present = tuple(dict.fromkeys(str(run["state"]) for run in stretches))
    made: dict[str, Any] = json.loads(_panels(max(len(camera_states), 1), present, look))
    return {**made, "datasets": {SEEN: points(curves), CAMERA: stretches}}


@lru_cache(64)
def _panels(length: int, present: tuple[str, ...], look: Look) -> str:
    return json.dumps(chart(length, present, look).to_dict())


def chart(length: int, present: tuple[str, ...], look: Look) -> Any:
    """The same without data, which are called `SEEN` and `CAMERA`.

    Args:
        length: seconds.
        present: camera states, in the order of the legend.
        look: the colours.
    """
    panels = [_panel(name, list(lines), length, look) for name, lines in groupby(CURVES, lambda curve: curve.panel)]
    return (
        alt.vconcat(*panels, _states(present, length, look), spacing=4)
        .resolve_scale(color="independent")
        .configure(**look.config())
    )


def _panel(name: str, drawn: list[Curve], length: int, look: Look) -> Any:
    lines = [curve.line for curve in drawn]
    axis = alt.Axis(labels=False, ticks=False, title=None)
    seconds = alt.X("second:Q", scale=alt.Scale(domain=[0, length], nice=False), axis=axis)
    legend = (
        alt.Legend(
            title=None,
            orient="top-right",
            direction="horizontal",
            symbolType="stroke",
            fillColor=f"{look.paper}d9",
            **INSIDE,
        )
        if lines[1:]
        else None
    )
    colour = alt.Color(
        "line:N", scale=alt.Scale(domain=lines, range=[look.point, look.second][: len(lines)]), legend=legend
    )
    value = alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=2, minExtent=34), scale=_scale(name))
    tooltip = [alt.Tooltip("line:N", title=name), alt.Tooltip("value:Q", format=".2f"), alt.Tooltip("second:Q")]
    return (
        alt.Chart(alt.NamedData(SEEN), height=HEIGHT, width="container", title=_title(name, look))
        .transform_filter(alt.datum.panel == name)
        .mark_line(interpolate="monotone", strokeWidth=1.8, invalid="break-paths-show-domains", clip=True)
        .encode(x=seconds, y=value, color=colour, tooltip=tooltip)
    )


def _states(present: tuple[str, ...], length: int, look: Look) -> Any:
    scale = alt.Scale(domain=list(present), range=[STATE_COLOURS.get(state, look.quiet) for state in present])
    axis = alt.Axis(title=None, grid=False, labelExpr="datum.label + ' s'")
    return (
        alt.Chart(alt.NamedData(CAMERA), height=12, width="container", title=_title("Camera", look))
        .mark_rect()
        .encode(
            x=alt.X("from:Q", scale=alt.Scale(domain=[0, length], nice=False), axis=axis),
            x2="to:Q",
            color=alt.Color(
                "state:N",
                scale=scale,
                legend=alt.Legend(title=None, orient="bottom", direction="horizontal"),
            ),
            tooltip=["state:N", "from:Q", "to:Q"],
        )
    )


def _scale(name: str) -> Any:
    return alt.Scale(domain=[0, 1]) if name in SHARES else alt.Scale(zero=name.startswith("Head"), nice=True)


def _title(name: str, look: Look) -> Any:
    return alt.Title(name, anchor="start", frame="group", fontSize=12, fontWeight=500, color=look.ink, offset=3)
