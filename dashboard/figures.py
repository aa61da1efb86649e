"""A chart on a page, and the same as a file: SVG for a paper, in light colours on white, and CSV of what is drawn."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import streamlit as st

from training.active_learning.review.look import LIGHT, Look
from training.active_learning.review.markup import browser_look

PRINT_WIDTH = 440
"""Of an SVG, in points: two columns of a page."""

KEPT = 200
"""Charts that are not made anew when a page refreshes itself: making one takes Altair 50 ms."""


def figure(name: str, draw: partial[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a chart with a way to save it.

    Args:
        name: of the files, and of nothing else on the page.
        draw: makes the Altair chart, without configuration, from its arguments and the colours that come last.
        rows: what it shows, for the CSV.
    """
    look = browser_look()
    specification = json.loads(_specification(_Drawing(draw.func, repr(draw.args), look, draw.args)))
    st.vega_lite_chart(spec=specification, width="stretch", theme=None, key=f"chart {name}")
    with st.container(horizontal=True, horizontal_alignment="right", gap="small", key=f"save {name}"):
        _save(name, "svg", "image/svg+xml", partial(svg, draw))
        _save(name, "csv", "text/csv", partial(table_csv, rows))


@dataclass(frozen=True)
class _Drawing:
    """A chart that is wanted; the same function with arguments that read the same makes the same one."""

    function: Callable[..., Any]
    said: str
    look: Look
    arguments: tuple[Any, ...] = field(compare=False)


@lru_cache(KEPT)
def _specification(drawing: _Drawing) -> str:
    """The chart in Vega-Lite, as JSON; whether it is valid is a matter of the tests."""
    look = drawing.look
    return json.dumps(drawing.function(*drawing.arguments, look).configure(**look.config()).to_dict(validate=False))


def _save(name: str, kind: str, mime: str, data: Callable[[], str]) -> None:
    """Nothing is made before somebody asks for it."""
    st.download_button(
        kind.upper(), data, f"{name}.{kind}", mime, key=f"{kind} {name}", type="tertiary", on_click="ignore"
    )


def svg(draw: partial[Any]) -> str:
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
