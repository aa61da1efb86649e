"""A chart on a page, and the same as a file: SVG for a paper, in light colours on white, and CSV of what is drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from training.active_learning.review.look import LIGHT, Look
from training.active_learning.review.markup import browser_look

PRINT_WIDTH = 440
"""Of an SVG, in points: two columns of a page."""

Draw = Callable[[Look], Any]


def figure(name: str, draw: Draw, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a chart with a way to save it.

    Args:
        name: of the files, and of nothing else on the page.
        draw: makes the Altair chart, without configuration, in the given colours.
        rows: what it shows, for the CSV.
    """
    look = browser_look()
    st.altair_chart(draw(look).configure(**look.config()), width="stretch", theme=None, key=f"chart {name}")
    with st.container(horizontal=True, horizontal_alignment="right", gap="small", key=f"save {name}"):
        _save(name, "svg", "image/svg+xml", partial(svg, draw))
        _save(name, "csv", "text/csv", partial(table_csv, rows))


def _save(name: str, kind: str, mime: str, data: Callable[[], str]) -> None:
    """Nothing is made before somebody asks for it."""
    st.download_button(
        kind.upper(), data, f"{name}.{kind}", mime, key=f"{kind} {name}", type="tertiary", on_click="ignore"
    )


def svg(draw: Draw) -> str:
    """The chart as a file for print."""
    made = io.StringIO()
    draw(LIGHT).properties(width=PRINT_WIDTH).configure(**LIGHT.config("white")).save(made, "svg")
    return made.getvalue()


def table_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per row, the columns of all of them."""
    made = io.StringIO()
    writer = csv.DictWriter(made, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()
