"""How numbers and times read on every page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

ABSTAINING = "not calibrated yet"
PER_HOUR = "false_alarms_per_hour"


def count(number: float) -> str:
    """12345 -> '12 345', with a narrow space that does not break."""
    return f"{number:,.0f}".replace(",", "\u202f")


def plural(number: int, noun: str) -> str:
    """(1, 'label') -> '1 label'; (3, 'label') -> '3 labels'."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """0.123 -> '12 %', and one decimal below ten percent."""
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def duration(seconds: float) -> str:
    """A span in its largest sensible unit: '12 s', '3 min', '5 h', '2 d'."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def clock(time: float, zone: tzinfo = UTC) -> str:
    """Unix seconds as the time of day."""
    return datetime.fromtimestamp(time, zone).strftime("%H:%M:%S")


def version(number: int | None) -> str:
    """A model version; 0 and None stand for none yet."""
    return f"version {number}" if number else "none yet"


def quantity(name: str, value: float) -> str:
    """One rate's value with its unit."""
    return f"{value:.1f} / h" if name == PER_HOUR else percent(value)


def interval(name: str, rate: Mapping[str, Any]) -> str:
    """The 95 % interval and n of one rate, or how many labels it still needs."""
    if rate["value"] is None:
        return str(rate["words"])
    low, high = quantity(name, rate["low"]), quantity(name, rate["high"])
    return f"{_without_unit(low)} to {high} (95 %), n = {count(rate['n'])}"


def _without_unit(text: str) -> str:
    return text.split(" ", maxsplit=1)[0]
