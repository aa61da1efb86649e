"""The Overview page: what needs attention, who is alive, what the learner does, what was raised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import streamlit as st

from dashboard.attention import attention
from dashboard.connection import ask, live
from dashboard.filters import remembered
from dashboard.story import Chapter, story
from dashboard.troubles import clock_is_off
from dashboard.wording import day_and_time, duration, waits
from training.active_learning.review.markup import (
    Html,
    browser_zone,
    empty,
    facts,
    joined,
    muted,
    note,
    panel,
    pill,
    stacked,
    table,
    tag,
)
from training.active_learning.review.words import ABSTAINING, count, percent, plural, version

REFRESH_S = 2.0
SYSTEM_GOOD_S = 10.0
"""A disk does not fill, nor a signature run out, faster than that."""

SHOWN_ALERTS = 8

_CAMERA_TONES = {"ok": "good", "several faces": "warn", "no face": "warn"}
VERDICT_TONES = {"true alarm": "good", "false alarm": "bad", "unsure": "warn"}


def page() -> None:
    """Draw the page."""
    live(_overview, REFRESH_S)


def _overview() -> None:
    status, agents, decisions = ask("status"), ask("agents"), ask("decisions", limit=50)
    alerts = ask("alerts", limit=SHOWN_ALERTS)
    system, _ = remembered("system", partial(ask, "system"), SYSTEM_GOOD_S)
    said = attention(status, agents, system)
    note(said.tone, said.sentence, said.advice)
    st.html(_facts(status))
    left, right = st.columns([5, 3], gap="small")
    with left:
        panel("Agents", _agents(agents), "each beats once a second")
        panel("Last alerts", _alerts(alerts, status), "newest first, in event time")
    with right:
        panel("What the learner waits for", _waits(status))
        panel("Decisions of the gate", _story(story(decisions, status["started"]), status["now"]), "newest first")


def _facts(status: Mapping[str, Any]) -> Html:
    number = status["model_version"]
    open_alerts = muted(f"{count(status['unjudged'])} without verdict")
    raised = joined([count(status["alerts"]), " ", open_alerts]) if status["alerts"] else "0"
    return facts(
        [
            ("Model in use", version(number).capitalize() if number else ABSTAINING.capitalize()),
            ("Windows received", count(status["windows"])),
            ("Labels given", count(status["labels"])),
            ("Alerts raised", raised),
            ("People seen", count(status["people"])),
        ]
    )


def _agents(agents: Sequence[Mapping[str, Any]]) -> Html:
    if not agents:
        return empty("No agent is enrolled.", "On the trainer's machine: sentry-keys enroll NAME --out FILE.")
    heads = ("Agent", "State", "Camera", "Frames / s", "Model", "Spool", "Clock")
    return table(heads, map(_agent_row, agents), frozenset({3, 5}))


def _agent_row(agent: Mapping[str, Any]) -> list[object]:
    if not agent["seen"]:
        return [tag("b", agent["name"]), pill("quiet", "never called"), "", "", "", "", ""]
    alive = pill("good", "alive") if agent["alive"] else pill("bad", f"silent for {duration(agent['silent_s'])}")
    camera = pill(_CAMERA_TONES.get(agent["camera_state"], "bad"), agent["camera_state"])
    who = f"{agent['participant']}, {agent['session']}"
    pace = f"clock x {agent['clock_rate']:g}" if agent["clock_rate"] != 1 else ""
    return [
        stacked(tag("b", agent["name"]), who),
        stacked(alive, agent["error"]),
        camera,
        stacked(f"{agent['fps']:.1f}", pace),
        stacked(version(agent["model_version"]), agent["update_state"]),
        _spool(agent),
        _clock(agent),
    ]


def _spool(agent: Mapping[str, Any]) -> Html:
    """What waits, and where the rest of what was ever sent is; it must add up in every state of the agent's file."""
    sent, acked, dropped = (agent[name] for name in ("sent", "acked", "dropped"))
    if sent != acked + agent["spooled"] + dropped:
        return pill("bad", f"{count(sent)} sent, and they do not add up")
    return stacked(count(agent["spooled"]), f"of {count(sent)}: {count(acked)} stored, {count(dropped)} dropped")


def _clock(agent: Mapping[str, Any]) -> Html:
    off = float(agent.get("clock_off_s") or 0.0)
    if clock_is_off(agent):
        return pill("warn", f"{duration(abs(off))} {'ahead' if off > 0 else 'behind'}")
    return pill("good", "right") if agent["alive"] and "clock_off_s" in agent else muted("not known")


def _waits(status: Mapping[str, Any]) -> Html:
    learner = status["learner"]
    state = pill("bad" if learner["state"].startswith("failed") else "good", learner["state"])
    last = f"last run {duration(status['now'] - learner['last_run'])} ago" if learner["last_run"] else "has not run yet"
    line = joined([state, " ", muted(f"{last}{', ' + learner['last_verdict'] if learner['last_verdict'] else ''}")])
    zone = browser_zone()
    said = ((task, waits(learner, task, status["now"], zone)) for task in learner["waits_for"])
    ordered = sorted(said, key=itemgetter(1))
    rows = [[tag("b", ", ".join(t for t, _ in same)), words] for words, same in groupby(ordered, key=itemgetter(1))]
    aside = plural(learner["set_aside"], "labelled window")
    words = f"Set aside: {aside}, which another expression model saw than the one in force."
    note = tag("p", words, "s-muted") if learner["set_aside"] else ""
    return joined([tag("p", line, "s-line"), note, table(("Task", "Waits for"), rows) if rows else ""])


def _story(chapters: Sequence[Chapter], now: float) -> Html:
    def entry(chapter: Chapter) -> Html:
        age = tag("time", f"{duration(now - chapter.time)} ago")
        words = joined([age, tag("b", chapter.headline), tag("div", chapter.detail, "s-muted")])
        return tag("li", words, f"s-{chapter.tone}")

    return tag("ol", joined(map(entry, chapters)), "s-story")


def _alerts(alerts: Sequence[Mapping[str, Any]], status: Mapping[str, Any]) -> Html:
    if not alerts:
        why = "No alert comes before a head has passed its gate; label windows on the Review page."
        return empty("No alert yet.", why if not status["model_version"] else "The model in use has raised none.")
    zone = browser_zone()
    heads = ("Start", "Task", "Who", "Lasted", "Probability", "Model", "Verdict")
    return table(heads, (_alert_row(alert, zone) for alert in alerts), frozenset({3, 4}))


def _alert_row(alert: Mapping[str, Any], zone: tzinfo) -> list[object]:
    lasted = duration(alert["end"] - alert["start"]) if alert["end"] else "still on"
    verdict = alert["verdict"]
    return [
        day_and_time(alert["start"], zone),
        alert["task"],
        f"{alert['participant']} at {alert['agent']}",
        lasted,
        joined([percent(alert["probability"]), " ", muted(f"from {percent(alert['threshold'])}")]),
        version(alert["model_version"]),
        pill(VERDICT_TONES[verdict], verdict) if verdict else pill("quiet", "not judged"),
    ]
