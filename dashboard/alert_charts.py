"""Alerts over time, and a head's estimates around one alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from dashboard.figures import Drawing
from training.active_learning.review.look import GREEN, PURPLE, Look

ALERTS, AROUND, LASTED, THRESHOLD = "alerts", "around", "lasted", "threshold"
"""Names of data."""

OPEN = "no verdict"
VERDICTS = ("true alarm", "false alarm", "unsure", OPEN)


MINUTE_MS = 60_000

_WHEN = "timeFormat(datum.value, hours(datum.value) || minutes(datum.value) ? '%H:%M' : '%-d %b')"
"""Days by their date, what lies between them by the hour, on the 24-hour clock that all pages use."""


def course_rows(course: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Alerts per stretch of time and verdict; times in Unix seconds."""
    return [
        {"from": entry["start"], "to": entry["start"] + course["width_s"], "verdict": entry["verdict"] or OPEN,
         "task": entry["task"], "alerts": entry["alerts"]}
        for entry in course["bins"]
    ]  # fmt: skip


def course_drawing(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Bars of alerts per stretch of time, stacked by verdict."""
    values = [
        {**row, "from": 1000 * row["from"], "to": 1000 * (row["from"] + 0.92 * (row["to"] - row["from"])),
         "order": VERDICTS.index(row["verdict"])}
        for row in rows
    ]  # fmt: skip
    return Drawing(course_chart, (), {ALERTS: values})


def course_chart(look: Look) -> Any:
    """The same without data."""
    scale = alt.Scale(domain=list(VERDICTS), range=[GREEN, look.second, PURPLE, look.quiet])
    legend = alt.Legend(title=None, orient="top", direction="horizontal", symbolType="square")
    return (
        alt.Chart(alt.NamedData(ALERTS), height=185)
        .transform_aggregate(alerts="sum(alerts)", groupby=["from", "to", "verdict", "order"])
        .transform_stack(stack="alerts", as_=["low", "high"], groupby=["from"], sort=[alt.SortField("order")])
        .mark_rect()
        .encode(
            x=alt.X(
                "from:T",
                title=None,
                axis=alt.Axis(grid=False, labelOverlap=True, labelExpr=_WHEN, tickMinStep=MINUTE_MS),
            ),
            x2="to:T",
            y=alt.Y("low:Q", title="alerts", axis=alt.Axis(tickCount=4, format="d")),
            y2="high:Q",
            color=alt.Color("verdict:N", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("from:T", title="from", format="%d %b %H:%M"),
                alt.Tooltip("verdict:N"),
                alt.Tooltip("alerts:Q"),
            ],
        )
    )


def around_rows(alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The head's estimates in the windows from around an alert, by minutes from its start."""
    return [
        {"minute": (entry["end"] - alert["start"]) / 60, "probability": entry["probability"]}
        for entry in alert["around"]
    ]


def around_drawing(alert: Mapping[str, Any]) -> Drawing:
    """The event's probability in the windows from around an alert, its threshold, and how long it lasted."""
    end = alert["end"] if alert["end"] is not None else max(entry["end"] for entry in alert["around"])
    lasted = [{"from": 0, "to": (end - alert["start"]) / 60}]
    return Drawing(
        around_chart, (), {AROUND: around_rows(alert), LASTED: lasted, THRESHOLD: [{"y": alert["threshold"]}]}
    )


def around_chart(look: Look) -> Any:
    """The same without data."""
    minutes = alt.X("minute:Q", title="minutes from the alert", axis=alt.Axis(grid=False, tickCount=10))
    share = alt.Y("probability:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=4))
    base = alt.Chart(alt.NamedData(AROUND), height=170).encode(x=minutes, y=share)
    lasted = alt.Chart(alt.NamedData(LASTED)).mark_rect(color=look.second, opacity=0.14).encode(x="from:Q", x2="to:Q")
    rule = alt.Chart(alt.NamedData(THRESHOLD)).mark_rule(color=look.soft, strokeDash=[4, 3])
    line = base.mark_line(color=look.point, strokeWidth=1.2, opacity=0.5)
    dots = base.mark_point(filled=True, size=34, color=look.point, opacity=1).encode(
        tooltip=[alt.Tooltip("minute:Q", format="+.1f"), alt.Tooltip("probability:Q", format=".0%")]
    )
    return lasted + rule.encode(y="y:Q") + line + dots
