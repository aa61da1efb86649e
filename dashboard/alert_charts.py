"""Alerts over time, and a head's estimates around one alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from training.active_learning.review.look import LOOK, POINT, SECOND, SOFT

OPEN = "no verdict"
COLOURS = {"true alarm": "#009e73", "false alarm": SECOND, "unsure": "#e69f00", OPEN: "#a9b4ba"}
"""By verdict; told apart by people who do not see all colours, and each is named in the legend."""


_WHEN = "timeFormat(datum.value, hours(datum.value) || minutes(datum.value) ? '%H:%M' : '%-d %b')"
"""Days by their date, what lies between them by the hour, on the 24-hour clock that all pages use."""


def course_chart(course: Mapping[str, Any]) -> Any:
    """Bars of alerts per stretch of time, stacked by verdict."""
    width_ms = 1000 * course["width_s"]
    rows = [
        {
            "from": 1000 * entry["start"],
            "to": 1000 * entry["start"] + 0.92 * width_ms,
            "verdict": entry["verdict"] or OPEN,
            "alerts": entry["alerts"],
            "order": list(COLOURS).index(entry["verdict"] or OPEN),
        }
        for entry in course["bins"]
    ]
    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    legend = alt.Legend(title=None, orient="top", direction="horizontal", symbolType="square")
    return (
        alt.Chart(alt.Data(values=rows), height=185)
        .transform_aggregate(alerts="sum(alerts)", groupby=["from", "to", "verdict", "order"])
        .transform_stack(stack="alerts", as_=["low", "high"], groupby=["from"], sort=[alt.SortField("order")])
        .mark_rect()
        .encode(
            x=alt.X("from:T", title=None, axis=alt.Axis(grid=False, labelOverlap=True, labelExpr=_WHEN)),
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
        .configure(**LOOK)
    )


def around_chart(around: Sequence[Mapping[str, Any]], alert: Mapping[str, Any]) -> Any:
    """The event's probability in the windows from around an alert, its threshold, and how long it lasted."""
    rows = [{"minute": (entry["end"] - alert["start"]) / 60, "probability": entry["probability"]} for entry in around]
    end = alert["end"] if alert["end"] is not None else max((entry["end"] for entry in around), default=alert["start"])
    span = alt.Data(values=[{"from": 0, "to": (end - alert["start"]) / 60}])
    minutes = alt.X("minute:Q", title="minutes from the alert", axis=alt.Axis(grid=False, tickCount=10))
    share = alt.Y("probability:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=4))
    base = alt.Chart(alt.Data(values=rows), height=170).encode(x=minutes, y=share)
    lasted = alt.Chart(span).mark_rect(color=SECOND, opacity=0.12).encode(x="from:Q", x2="to:Q")
    rule = alt.Chart(alt.Data(values=[{"y": alert["threshold"]}])).mark_rule(color=SOFT, strokeDash=[4, 3])
    dots = base.mark_point(filled=True, size=34, color=POINT, opacity=1).encode(
        tooltip=[alt.Tooltip("minute:Q", format="+.1f"), alt.Tooltip("probability:Q", format=".0%")]
    )
    return (lasted + rule.encode(y="y:Q") + base.mark_line(color=POINT, strokeWidth=1.2, opacity=0.5) + dots).configure(
        **LOOK
    )
