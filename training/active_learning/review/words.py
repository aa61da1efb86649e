"""How numbers and times read on every page."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

ABSTAINING = "not calibrated yet"
FACELESS = "The agent made the face unrecognisable before anything was stored or sent."
"""Below stills."""


def count(number: float) -> str:
    """12345 -> '12 345', with a narrow space that does not break."""
    return f"{number:,.0f}".replace(",", "\u202f")


def plural(number: int, noun: str) -> str:
    """(1, 'label') -> '1 label'; (3, 'label') -> '3 labels'."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """0.123 -> '12 %', and one decimal below ten percent."""
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def clock(time: float, zone: tzinfo = UTC) -> str:
    """Unix seconds as the time of day."""
    return datetime.fromtimestamp(time, zone).strftime("%H:%M:%S")


def version(number: int | None) -> str:
    """A model version; 0 and None stand for none yet."""
    return f"version {number}" if number else "none yet"
