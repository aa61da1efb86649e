"""Colours and type that every chart shares, for light and dark pages.

Marks are Okabe and Ito's colours (2008, Color Universal Design), which colour-blind people can tell apart; on dark
paper the lighter ones of the same set. Nothing is told by colour alone: each has a word or a place, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GREEN, ORANGE, SKY, PURPLE, VERMILION = "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#d55e00"


@dataclass(frozen=True)
class Look:
    """Colours of a chart.

    Attributes:
        paper: behind it.
        ink, soft: of words, and of words and marks of second rank.
        line, grid: of axes.
        point, second: of the two series that matter.
        quiet: of a series that stands back.
    """

    paper: str
    ink: str
    soft: str
    line: str
    grid: str
    point: str
    second: str
    quiet: str

    def config(self, background: str = "transparent") -> dict[str, Any]:
        """Vega-Lite's configuration."""
        axis = {
            "gridColor": self.grid, "domainColor": self.line, "tickColor": self.line, "labelColor": self.soft,
            "labelFontSize": 11, "titleColor": self.soft, "titleFontWeight": "normal", "titleFontSize": 12,
        }  # fmt: skip
        return {
            "background": background,
            "font": "'Source Sans', 'Source Sans 3', sans-serif",
            "padding": {"left": 0, "right": 8, "top": 6, "bottom": 0},
            "view": {"stroke": None},
            "axis": axis,
            "legend": {"labelColor": self.soft, "labelFontSize": 11.5, "titleColor": self.soft},
        }


LIGHT = Look("#ffffff", "#1d2529", "#5a6670", "#dcdcd5", "#ecece7", "#0072b2", VERMILION, "#a9b4ba")
DARK = Look("#1c2226", "#e8ebe9", "#a3aeb5", "#3a444b", "#2b3338", SKY, "#f0883e", "#66727a")
