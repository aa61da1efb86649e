"""The Rates page: how often the model errs, with n and 95 % intervals, and which threshold would change that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from dashboard import calibration, ranking_chart
from dashboard.agreement import agreement
from dashboard.connection import ask, live
from dashboard.figures import Rows, figure
from dashboard.filters import remembered
from dashboard.rate_charts import RATES, Rate, drawing, headline, implied, points, table_of
from dashboard.threshold import advice
from dashboard.updates import labels_for, updates
from dashboard.wording import PER_HOUR, interval, quantity
from training.active_learning.review.markup import Html, empty, heading, joined, muted, note, panel, stacked, table, tag
from training.active_learning.review.words import count, version

REFRESH_S = 4.0
GOOD_S = 0.9 * REFRESH_S
RANKING_GOOD_S = 20.0
EVERYONE = "everyone"
EVERYWHERE = "all agents"
CHOSEN = {"rates participant": EVERYONE, "rates agent": EVERYWHERE}
WIDTHS = (0.05, 0.1, 0.2)
GROUPS = {"model_version": "Model version", "agent": "Agent", "participant": "Participant", "week": "Week"}
ALL = {"model_version": "all versions", "agent": "all agents", "participant": "everyone", "week": "all weeks"}


@dataclass(frozen=True)
class _Options:
    """What can be chosen above, and what the learner waits for."""

    tasks: list[str]
    people: list[str]
    agents: list[str]
    waits_for: Mapping[str, str]


def page() -> None:
    """Draw the page."""
    live(_page, REFRESH_S)


def _page() -> None:
    options, trouble = remembered("rates options", _options, GOOD_S)
    if not options.tasks:
        panel("Rates", empty("No task raises alerts.", "Give a task an alert rule in the trainer's task file."))
        return
    chosen = _filters(options)
    if trouble is not None:
        raise trouble
    by = str(st.session_state.get("rates by", "model_version"))
    rows, trouble = remembered(f"rates of {chosen}", partial(ask, "rates", **chosen), GOOD_S)
    if trouble is not None:
        raise trouble
    _rates(options, chosen, rows, by, rows if by == "model_version" else ask("rates", by=by, **chosen))
    live(advice, None)
    agreement(chosen["task"])


def _options() -> _Options:
    status, people, agents = ask("status"), ask("people"), ask("agents")
    return _Options(
        [task["name"] for task in status["tasks"] if task["alert"]],
        sorted(person["participant"] for person in people),
        [agent["name"] for agent in agents],
        status["learner"]["waits_for"],
    )


def _filters(options: _Options) -> dict[str, str]:
    first, second, third, fourth, fifth = st.columns([4, 2, 2, 2, 2], gap="small", vertical_alignment="bottom")
    task = first.segmented_control(
        "Task", options.tasks, default=options.tasks[0], key="rates task", required=True, format_func=str.capitalize
    )
    person = second.selectbox("Participant", [EVERYONE, *options.people], key="rates participant")
    agent = third.selectbox("Agent", [EVERYWHERE, *options.agents], key="rates agent")
    fourth.selectbox("Table by", list(GROUPS), key="rates by", format_func=GROUPS.__getitem__)
    fifth.selectbox(
        "Wanted interval", WIDTHS, index=1, key="rates width", format_func=lambda w: f"{100 * w:.0f} points"
    )
    chosen = {"task": str(task)}
    if person != EVERYONE:
        chosen["participant"] = person
    if agent != EVERYWHERE:
        chosen["agent"] = agent
    return chosen


def _rates(options: _Options, chosen: Mapping[str, str], rows: Rows, by: str, grouped: Rows) -> None:
    versions = [row for row in rows if row["model_version"]]
    if not versions:
        _none(options)
        return
    said = headline(versions)
    if said is not None:
        note(*said)
    latest = max(versions, key=lambda row: row["model_version"])
    _warn(latest)
    for column, rate in zip(st.columns(len(RATES), gap="small"), RATES, strict=True):
        with column.container(border=True, key=f"rate {rate.key}"):
            st.html(_figure(rate, latest))
            if points(grouped, rate.key, by) or implied(grouped, rate.key, by):
                name = f"sentry-{latest['task']}-{rate.key.replace('_', '-')}"
                figure(rate.key, name, drawing(grouped, rate.key, by), table_of(grouped, rate.key, by))
            else:
                st.html(tag("div", "A point and its interval appear here.", "s-nochart"))
    title = f"{latest['task'].capitalize()} by {GROUPS[by].lower()}"
    panel(title, _table(grouped, by), "value, 95 % interval, n")
    moved = updates(versions)
    if moved is not None:
        panel("Before and after each update", moved, "difference and its 95 % interval")
    _calibration(latest)
    _ranking(latest, chosen)
    st.html(tag("p", HOW, "s-how"))


def _calibration(row: Mapping[str, Any]) -> None:
    """Of the newest version: an estimate without labels is only as good as this."""
    bins = row["calibration"]["bins"]
    with st.container(border=True, key="window-calibration"):
        heading(f"Calibration of {version(row['model_version'])}", calibration.sentence(row["calibration"]))
        if bins:
            figure("calibration", f"sentry-{row['task']}-calibration", calibration.drawing(bins), bins)
        else:
            st.html(empty("Nothing to compare yet.", "Label windows on the Review page."))


def _ranking(row: Mapping[str, Any], chosen: Mapping[str, str]) -> None:
    """Of the newest version, for whoever is chosen above."""
    asked = {**chosen, "model_version": row["model_version"]}
    found, _ = remembered(f"ranking of {asked}", partial(ask, "ranking", **asked), RANKING_GOOD_S)
    with st.container(border=True, key="window-ranking"):
        heading(f"Windows that {version(row['model_version'])} tells apart", ranking_chart.sentence(found))
        if not found["curve"]:
            st.html(empty("No curve yet.", "Label audit windows and alerts on the Review page."))
            return
        for column, which in zip(st.columns(2, gap="medium"), ranking_chart.AXES, strict=True):
            with column:
                name = f"sentry-{row['task']}-{which}"
                figure(which, name, ranking_chart.drawing(found, which), ranking_chart.table_of(found))
        st.html(tag("p", ranking_chart.HOW, "s-how"))


def _none(options: _Options) -> None:
    """No version has scored anything of what was chosen."""
    wait = " ".join(f"{name.capitalize()}: {words}." for name, words in options.waits_for.items())
    if any(st.session_state.get(key) not in (None, all_of) for key, all_of in CHOSEN.items()):
        panel("No rates here", empty("No head has scored a window of this choice.", "Choose everyone and all agents."))
        return
    what = "The heads abstain so far, so there is nothing that could err."
    panel("No rates yet", empty(what, wait or "Label windows on the Review page until a first version is published."))


HOW = (
    "False alarms are counted from judged alerts and alerting windows. Misses are counted from audit windows, drawn at "
    "random and weighted by one over that probability; windows chosen for being uncertain are left out. "
    "Without labels, drawn hollow: what the head's own confidences in audit windows imply, if they are calibrated. "
    "Where a participant has a personal offset it decides, and the generic head is counted beside it, on the same "
    "windows."
)


def _warn(row: Mapping[str, Any]) -> None:
    """Say where labels and confidences contradict each other."""
    for rate in RATES:
        warning = row["label_free"].get(rate.key, {}).get("warning")
        if warning:
            note("bad", f"{rate.title}:", f"{warning}.")
            return


def _figure(rate: Rate, row: Mapping[str, Any]) -> Html:
    found = row[rate.key]
    known = found["value"] is not None
    value = (
        tag("p", quantity(rate.key, found["value"]), "s-value") if known else tag("p", "Not enough labels yet", "s-few")
    )
    beside = interval(rate.key, found).removeprefix("not enough labels yet: ")  # which stands above
    where = f"in {version(row['model_version'])}"
    if known and rate.key != PER_HOUR:
        where += f"; {labels_for(found, st.session_state.get('rates width', WIDTHS[1]))}"
    parts = [tag("h3", rate.title), tag("p", rate.meaning), value, tag("p", beside), tag("p", where)]
    free = row["label_free"].get(rate.key)
    if free is not None:
        said = interval(rate.key, free) if free["value"] is None else _without_labels(rate, free)
        parts.append(tag("p", f"Without labels: {said}"))
    return tag("div", joined(parts), "s-rate")


def _without_labels(rate: Rate, free: Mapping[str, Any]) -> str:
    return f"{quantity(rate.key, free['value'])}, {interval(rate.key, free)}"


def _table(rows: Sequence[Mapping[str, Any]], by: str) -> Html:
    heads = (GROUPS[by], "Windows", "Alerts", "Judged", "Audited", *(rate.title for rate in RATES))
    shown = [row for row in rows if row[by] != 0]  # version 0: the heads abstained
    rows_of = [line for row in shown for line in (_row(row, by), *_beside(row))]
    return table(heads, rows_of, frozenset({1, 2, 3, 4}))


def _beside(row: Mapping[str, Any]) -> list[list[object]]:
    """Of a group with personal offsets: the windows in which they decided, and the generic head on the same."""
    both = row["beside"] or {}
    return [
        [muted(words), count(both[head]["windows"]), "", "", "", *(_share(rate, both[head]) for rate in RATES)]
        for head, words in (("personal", "with personal offsets"), ("generic", "the same without"))
        if head in both
    ]


def _share(rate: Rate, found: Mapping[str, Any]) -> Html:
    return _cell(rate, found[rate.key]) if rate.key in found else muted("not counted")


def _row(row: Mapping[str, Any], by: str) -> list[object]:
    group = row[by]
    name = ALL[by] if group is None else version(group) if by == "model_version" else group
    counts = (row["windows"], row["alerts"], row["labelled_alerts"], row["labelled_audit"])
    return [tag("b", name), *map(count, counts), *(_cell(rate, row[rate.key]) for rate in RATES)]


def _cell(rate: Rate, found: Mapping[str, Any]) -> Html:
    if found["value"] is None:
        return muted(found["words"])
    return stacked(quantity(rate.key, found["value"]), interval(rate.key, found))
