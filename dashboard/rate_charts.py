"""The error rates by group, drawn with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import altair as alt

from dashboard.figures import Drawing
from dashboard.wording import PER_HOUR, interval, quantity
from training.active_learning.review.look import Look
from training.evaluation.rates import Rate as Estimate
from training.evaluation.rates import difference

AXES = {"model_version": "model version", "agent": "agent", "participant": "participant", "week": "week from"}
SOURCES = LABELS, CONFIDENCES = "labels", "confidences"
DATA = "rates"
MOST_LEVEL, MOST_COUNTED = 6, 8
"""Groups up to which names stand level, and points up to which each has its n."""


@dataclass(frozen=True)
class Rate:
    """A rate's key in the control API, its title, and what it means."""

    key: str
    title: str
    meaning: str


RATES: tuple[Rate, ...] = (
    Rate("false_positive_rate", "False-positive rate", "of the windows without the event, how many alert"),
    Rate("miss_rate", "Miss rate", "of the windows with the event, how many do not alert"),
    Rate("false_discovery_share", "False-discovery share", "of the windows that alert, how many without the event"),
    Rate(PER_HOUR, "False alarms per hour", "per hour of watching, whoever is watched"),
)


def points(rows: Sequence[Mapping[str, Any]], key: str, by: str = "model_version") -> list[dict[str, Any]]:
    """One row per group that has enough labels for this rate, oldest (or first by name) first."""
    known = [row for row in rows if row[by] and row[key]["enough"]]
    return [_point(row, row[key], key, by) for row in sorted(known, key=lambda row: row[by])]


def implied(rows: Sequence[Mapping[str, Any]], key: str, by: str = "model_version") -> list[dict[str, Any]]:
    """The same for what the heads' own confidences imply; nothing for alarms per hour, which they say nothing of."""
    known = [row for row in rows if row[by] and row["label_free"].get(key, {}).get("enough")]
    return [_point(row, row["label_free"][key], key, by) for row in sorted(known, key=lambda row: row[by])]


def _point(row: Mapping[str, Any], rate: Mapping[str, Any], key: str, by: str) -> dict[str, Any]:
    return {
        "group": f"v{row[by]}" if by == "model_version" else str(row[by]),
        "value": rate["value"],
        "low": rate["low"],
        "high": rate["high"],
        "n": rate["n"],
        "words": f"{quantity(key, rate['value'])}, {interval(key, rate)}",
    }


def table_of(rows: Sequence[Mapping[str, Any]], key: str, by: str) -> list[dict[str, Any]]:
    """What `drawing` shows, for a file: one row per group and source, rates as shares or per hour."""
    return [
        {"group": point["group"], "from": source, **{name: point[name] for name in ("value", "low", "high", "n")}}
        for source, found in zip(SOURCES, (points, implied), strict=True)
        for point in found(rows, key, by)
    ]


def drawing(rows: Sequence[Mapping[str, Any]], key: str, by: str) -> Drawing:
    """Points with error bars by group; beside each, hollow, what the head's own confidences say."""
    named = {source: found(rows, key, by) for source, found in zip(SOURCES, (points, implied), strict=True)}
    values = [{**point, "from": source} for source, found in named.items() for point in found]
    slanted = len(named[LABELS]) > MOST_LEVEL and by != "model_version"
    weeks = _weeks([str(point["group"]) for point in values]) if by == "week" else ()
    return Drawing(chart, (key, by, slanted, len(values) <= MOST_COUNTED, weeks), {DATA: values})


def _weeks(dates: Sequence[str]) -> tuple[str, ...]:
    """All weeks from the first to the last, also those of which nothing is known: time must not shrink."""
    if not dates:
        return ()
    first, last = date.fromisoformat(min(dates)), date.fromisoformat(max(dates))
    return tuple((first + timedelta(days=7 * n)).isoformat() for n in range((last - first).days // 7 + 1))


def chart(key: str, by: str, slanted: bool, counted: bool, weeks: tuple[str, ...], look: Look) -> Any:
    """The same without data.

    Args:
        key: of the rate.
        by: the grouping.
        slanted: whether the groups' names are.
        counted: whether each point has its n.
        weeks: all that there is room for; empty where the groups are those of the data.
        look: the colours.
    """
    form = "~f" if key == PER_HOUR else "%"
    axis = alt.Axis(format=form, tickCount=5, title=None)
    names = alt.Axis(labelAngle=-40 if slanted else 0, labelOverlap=True)
    room = {"scale": alt.Scale(domain=list(weeks))} if weeks else {}
    groups = alt.X("group:N", sort=None, title=AXES[by], axis=names, **room)
    beside = alt.XOffset("from:N", sort=list(SOURCES), scale=alt.Scale(domain=list(SOURCES)))
    tooltip = [alt.Tooltip("group:N", title=AXES[by]), alt.Tooltip("from:N"), alt.Tooltip("words:N", title="rate")]
    base = alt.Chart(alt.NamedData(DATA), height=190).encode(x=groups, xOffset=beside, tooltip=tooltip)
    low = alt.Y("low:Q", axis=axis, scale=alt.Scale(domainMin=0, nice=True))
    rules = base.mark_rule(color=look.soft, strokeWidth=1.4).encode(y=low, y2="high:Q")
    said = base.transform_filter(alt.datum["from"] == LABELS)
    dots = said.mark_point(filled=True, size=75, color=look.point, opacity=1).encode(y="value:Q")
    hollow = base.transform_filter(alt.datum["from"] != LABELS).mark_point(size=48, color=look.soft, fill=look.paper)
    layers = rules + hollow.encode(y="value:Q") + dots
    if counted:
        layers += base.mark_text(dy=-8, color=look.soft, fontSize=10).encode(y="high:Q", text="n:N")
    return layers


@dataclass(frozen=True)
class Change:
    """What the latest model update did to a rate; quiet in tone if it may be chance."""

    tone: str
    update: str
    words: str


def change(rows: Sequence[Mapping[str, Any]], rate: Rate) -> Change | None:
    """Before and after the latest model update; None before two versions have enough labels."""
    known = sorted((row for row in rows if row["model_version"] and row[rate.key]["enough"]), key=_version)
    if len(known) < 2:
        return None
    before, after = (row[rate.key] for row in known[-2:])
    verb = "fell" if after["value"] < before["value"] else "rose" if after["value"] > before["value"] else "stayed"
    moved = f"from {quantity(rate.key, before['value'])} to {quantity(rate.key, after['value'])}"
    apart = difference(estimate(after), estimate(before))
    tone = "quiet" if apart is None else "good" if apart[2] < 0 else "bad" if apart[1] > 0 else "quiet"
    update = f"From v{_version(known[-2])} to v{_version(known[-1])}"
    return Change(tone, update, f"the {_low(rate)} {verb} {moved}")


def headline(versions: Sequence[Mapping[str, Any]]) -> tuple[str, str, str] | None:
    """What the latest update did to all rates: tone, every change beyond chance (the worse first), and how sure it is.

    Good news only where nothing got worse. None before any rate can be compared.
    """
    changes = {rate: found for rate in RATES if (found := change(versions, rate)) is not None}
    shown = sorted((one for one in changes.values() if one.tone != "quiet"), key=lambda one: one.tone != "bad")
    if shown:
        sure = "These differences are beyond chance." if shown[1:] else "The difference is beyond chance."
        unknown = ", ".join(f"the {_low(rate)}" for rate in RATES if rate not in changes)
        return shown[0].tone, _told(shown), f"{sure} Not enough labels yet to compare {unknown}." if unknown else sure
    if changes:
        return "quiet", _told(list(changes.values())[:1]), "The difference may be chance; more labels will tell."
    return None


def _told(changes: Sequence[Change]) -> str:
    """A sentence for each update, with all that it changed."""
    told = groupby(changes, lambda one: one.update)
    return " ".join(f"{update} {', '.join(one.words for one in same)}." for update, same in told)


def _low(rate: Rate) -> str:
    return f"{rate.title[:1].lower()}{rate.title[1:]}"


def _version(row: Mapping[str, Any]) -> int:
    return int(row["model_version"])


def estimate(rate: Mapping[str, Any]) -> Estimate:
    """A rate of the control API as `training.evaluation` takes it."""
    return Estimate(*(rate[name] for name in ("value", "low", "high", "n", "enough", "words")))
