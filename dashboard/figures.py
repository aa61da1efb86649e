"""A chart on a page, and the same as a file: SVG for a paper, in light colours on white, and CSV of what is drawn."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import streamlit as st

from dashboard.connection import asking
from training.active_learning.review.look import LIGHT, Look
from training.active_learning.review.markup import browser_look

PRINT_WIDTH = 440
"""Of an SVG, in points: two columns of a page."""

KEPT = 200
"""Charts that are not made anew when their data change: making one takes Altair 50 ms."""


Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Drawing:
    """A chart and its data apart, so that new data need no new chart, in the browser neither.

    Attributes:
        chart: makes the Altair chart, without configuration, of data that only have a name.
        arguments: its first ones; the colours come last.
        data: name -> rows.
    """

    chart: Callable[..., Any]
    arguments: tuple[Hashable, ...]
    data: Mapping[str, Rows]

    def of(self, look: Look) -> Any:
        """The Altair chart with its data."""
        return self.chart(*self.arguments, look).properties(datasets=dict(self.data))

    def specification(self, look: Look) -> dict[str, Any]:
        """The same in Vega-Lite."""
        return {**json.loads(_without_data(self.chart, self.arguments, look)), "datasets": dict(self.data)}


@lru_cache(KEPT)
def _without_data(chart: Callable[..., Any], arguments: tuple[Hashable, ...], look: Look) -> str:
    """As JSON; whether it is valid is a matter of the tests."""
    return json.dumps(chart(*arguments, look).configure(**look.config()).to_dict(validate=False))


def figure(place: str, name: str, drawing: Drawing, rows: Rows) -> None:
    """Draw a chart with a way to save it.

    Args:
        place: where on the page, and nothing else there: the browser keeps the chart while its data change.
        name: of the files.
        drawing: the chart.
        rows: what it shows, for the CSV.
    """
    st.vega_lite_chart(spec=drawing.specification(browser_look()), width="stretch", theme=None, key=f"chart {place}")
    with st.container(horizontal=True, horizontal_alignment="right", gap="small", key=f"save {place}"):
        _save(place, f"{name}.svg", "image/svg+xml", partial(svg, drawing))
        _save(place, f"{name}.csv", "text/csv", partial(table_csv, rows))


def _save(place: str, file: str, mime: str, made: Callable[[str], str]) -> None:
    """Nothing is made before somebody asks for it."""
    kind, data = file.rpartition(".")[2], partial(_stamped, asking(), made)
    st.download_button(kind.upper(), data, file, mime, key=f"{kind} {place}", type="tertiary", on_click="ignore")


def _stamped(call: Callable[..., Any], made: Callable[[str], str]) -> str:
    return made(str(call("study")["purpose"]))


def svg(drawing: Drawing, purpose: str) -> str:
    """The chart as a file for print; a purpose that the study declares stands in its description."""
    made = io.StringIO()
    drawing.of(LIGHT).properties(width=PRINT_WIDTH).configure(**LIGHT.config("white")).save(made, "svg")
    return made.getvalue().replace(">", f"><desc>Declared purpose: {purpose}</desc>", 1) if purpose else made.getvalue()


def table_csv(rows: Rows, purpose: str) -> str:
    """One line per row, the columns of all of them, and the study's declared purpose."""
    made = io.StringIO()
    columns = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(made, [*columns, "purpose"])
    writer.writeheader()
    writer.writerows({**row, "purpose": purpose} for row in rows)
    return made.getvalue()
