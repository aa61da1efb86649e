"""Axes, marks and colours of the report's pictures, as SVG text: sharp on paper, small, and drawn in no time.

Colours are Okabe and Ito's, which colour-blind people can tell apart; shape or place says the same once more. They
stand in the text as CSS variables, so that the page can darken them; `standalone` puts the light ones in their place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from training.report.wording import number

LIGHT = {
    "paper": "#ffffff", "ink": "#1d2529", "soft": "#5a6670", "line": "#dcdcd5", "grid": "#ecece7",
    "blue": "#0072b2", "vermillion": "#d55e00", "green": "#007a5a", "grey": "#7d8890",
}  # fmt: skip
DARK = {
    "paper": "#14191c", "ink": "#e4e8ea", "soft": "#9daab2", "line": "#39434a", "grid": "#242c31",
    "blue": "#56b4e9", "vermillion": "#f08a3c", "green": "#2fc79a", "grey": "#8b969d",
}  # fmt: skip
FONT = "'Source Sans 3','Source Sans Pro','Segoe UI','Helvetica Neue',Arial,sans-serif"
SHAPES = ("circle", "diamond", "triangle")

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
MOST_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """Where values lie in a picture.

    Attributes:
        low, high: values at its ends.
        step: between ticks.
        start, end: pixels at its ends.
    """

    low: float
    high: float
    step: float
    start: float = 0.0
    end: float = 1.0

    def over(self, start: float, end: float) -> Axis:
        """The same values over other pixels."""
        return Axis(self.low, self.high, self.step, start, end)

    def at(self, value: float) -> float:
        """Pixels of a value; beyond the ends of the axis, of the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Multiples of the step, from end to end."""
        first, last = round(self.low / self.step), round(self.high / self.step)
        return [round(place * self.step, 6) for place in range(first, last + 1)]


def axis_over(values: Iterable[float], *shown: float, most: int = MOST_TICKS) -> Axis:
    """An axis that holds all finite values, and some in any case, between two of at most so many ticks."""
    known = [value for value in (*values, *shown) if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    steps = (step for step in STEPS if math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9) < most)
    step = next(steps, (high - low) / 4 or 1.0)
    start = math.floor(low / step + 1e-9) * step
    return Axis(start, max(math.ceil(high / step - 1e-9) * step, start + step), step)


def tick(value: float) -> str:
    """A tick without zeros at the end."""
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = "soft", bold: bool = False) -> str:
    """Text on its baseline."""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="var(--{colour})"{weight}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dashed: bool = False) -> str:
    """A straight line."""
    dashes = ' stroke-dasharray="3 3"' if dashed else ""
    look = f'stroke="var(--{colour})" stroke-width="{width:g}"{dashes}'
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" {look}/>'


def mark(x: float, y: float, shape: str, colour: str, hollow: bool = False) -> str:
    """One of `SHAPES`, about nine pixels wide."""
    look = f'fill="var(--{"paper" if hollow else colour})" stroke="var(--{colour})" stroke-width="1.6"'
    if shape == "circle":
        return f'<circle cx="{x:g}" cy="{y:g}" r="3.9" {look}/>'
    points = "-4.8 0 0 -4.8 4.8 0 0 4.8" if shape == "diamond" else "-4.4 3.6 0 -4.4 4.4 3.6"
    return f'<polygon transform="translate({x:g} {y:g})" points="{points}" {look}/>'


def drawing(width: float, height: float, parts: Iterable[str], says: str) -> str:
    """A whole picture, for the page."""
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(says)}" font-size="12">{inside}</svg>'
    )


def standalone(picture: str) -> str:
    """The same picture as a file of its own, on white."""
    own = f'<svg xmlns="http://www.w3.org/2000/svg" font-family="{FONT}" '
    page = '><rect width="100%" height="100%" fill="var(--paper)"/>'
    filled = picture.replace("<svg ", own, 1).replace(">", page, 1)
    return re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], filled)
