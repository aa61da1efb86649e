"""Colours and type that every chart shares. Okabe and Ito's, which colour-blind people can tell apart."""

from __future__ import annotations

from typing import Any

INK = "#1d2529"
SOFT = "#5a6670"
POINT = "#0072b2"
SECOND = "#d55e00"

LOOK: dict[str, Any] = {
    "background": "transparent",
    "font": "'Source Sans', 'Source Sans 3', sans-serif",
    "padding": {"left": 0, "right": 8, "top": 6, "bottom": 0},
    "view": {"stroke": None},
    "axis": {
        "gridColor": "#ecece7", "domainColor": "#dcdcd5", "tickColor": "#dcdcd5", "labelColor": SOFT,
        "labelFontSize": 11, "titleColor": SOFT, "titleFontWeight": "normal", "titleFontSize": 12,
    },
    "legend": {"labelColor": SOFT, "labelFontSize": 11.5},
}  # fmt: skip
