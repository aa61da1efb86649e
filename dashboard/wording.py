"""How spans and rates read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from training.active_learning.review.words import count, percent

PER_HOUR = "false_alarms_per_hour"


def duration(seconds: float) -> str:
    """A span in its largest sensible unit: '12 s', '3 min', '5 h', '2 d'."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def day_and_time(seconds: float, zone: tzinfo) -> str:
    """Unix seconds as '21 Nov, 14:05'."""
    return datetime.fromtimestamp(seconds, zone).strftime("%-d %b, %H:%M")


def day(seconds: float, zone: tzinfo) -> str:
    """Unix seconds as '21 Nov'."""
    return datetime.fromtimestamp(seconds, zone).strftime("%-d %b")


def feature_name(name: str) -> str:
    """A feature of the layout as a reader sees it: 'blendshape_browDown_mean' -> 'brow down'."""
    plain = name.removeprefix("blendshape_").removesuffix("_mean").replace("_", " ")
    return re.sub(r"([a-z])([A-Z])", lambda found: f"{found[1]} {found[2].lower()}", plain)


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


def waits(learner: Mapping[str, Any], task: str, now: float, zone: tzinfo) -> str:
    """What the learner waits for in one task: '3 more labels, or 14:05'."""
    words, by_time = str(learner["waits_for"][task]), learner.get("by_time", {}).get(task)
    if by_time is None:
        return words
    until = datetime.fromtimestamp(by_time["time"], zone)
    today = until.date() == datetime.fromtimestamp(now, zone).date()
    when = until.strftime("%H:%M") if today else day_and_time(by_time["time"], zone)
    return f"{words}, or {'one after ' if by_time['labels'] else ''}{when}"
