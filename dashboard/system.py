"""The System page: what is wrong and what to do, the disk, the queue, the agents' spools, and drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard.connection import ask, live
from dashboard.troubles import size, troubles
from dashboard.wording import day_and_time, duration, feature_name, waits
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
from training.active_learning.review.words import count, version

REFRESH_S = 5.0


def page() -> None:
    """Draw the page."""
    live(_page, REFRESH_S)


def _page() -> None:
    status, agents, system = ask("status"), ask("agents"), ask("system")
    found = troubles(status, agents, system)
    for trouble in found:
        note(trouble.tone, trouble.sentence, trouble.advice)
    if not found:
        note("good", "Nothing needs attention.", "Disk, signatures, agents and learner are as they should be.")
    st.html(_facts(status, system))
    left, right = st.columns([5, 4], gap="small")
    with left:
        panel("Agents", _agents(agents), "what waits, what was lost, and how updates stand")
        panel("Drift", _drifts(status), "the newest changes in what comes in")
    with right:
        panel("Signatures of the update repository", _signatures(system, status["now"]), "agents refuse what ran out")
        panel("The learner", _learner(status), "")


def _facts(status: Mapping[str, Any], system: Mapping[str, Any]) -> Html:
    of_all = muted(f"of {size(system['total'])}")
    free = joined([size(system["free"]), " ", of_all]) if system["total"] else "not known"
    store = size(system["database"]) if system["database"] is not None else "PostgreSQL"
    return facts(
        [
            ("Disk free", free),
            ("Database", store),
            ("Windows stored", count(status["windows"])),
            ("Alerts without verdict", count(status["unjudged"])),
            ("Trainer up for", duration(status["now"] - status["started"])),
            ("Software", status["software"]),
        ]
    )


def _agents(agents: Sequence[Mapping[str, Any]]) -> Html:
    seen = [agent for agent in agents if agent["seen"]]
    if not seen:
        return empty("No agent has called.", "On the trainer's machine: sentry-keys enroll NAME --out FILE.")
    rows = (
        [
            stacked(tag("b", agent["name"]), agent["software"]),
            pill("good", "alive") if agent["alive"] else pill("bad", f"silent for {duration(agent['silent_s'])}"),
            count(agent["sent"]),
            count(agent["acked"]),
            count(agent["spooled"]),
            count(agent["dropped"]),
            stacked(version(agent["model_version"]), agent["update_state"]),
        ]
        for agent in seen
    )
    heads = ("Agent", "State", "Sent", "Stored here", "Spooled", "Dropped", "Updates")
    return table(heads, rows, frozenset({2, 3, 4, 5}))


def _drifts(status: Mapping[str, Any]) -> Html:
    drifts = status["learner"].get("stream", {}).get("drifts", [])
    if not drifts:
        return empty("None was seen.", "Errors, uncertainty and every feature are watched as windows and labels come.")
    zone = browser_zone()
    rows = (
        [day_and_time(one["time"], zone), feature_name(one["signal"]), one["task"] or muted("all"),
         f"{one['before']:.2f}", f"{one['after']:.2f}"]
        for one in reversed(drifts)
    )  # fmt: skip
    return table(("When", "What", "Task", "Before", "After"), rows, frozenset({3, 4}))


def _signatures(system: Mapping[str, Any], now: float) -> Html:
    if not system["expires"]:
        return empty("Not known.", "The trainer was started without a folder.")
    rows = ([tag("b", role), _left(expires - now)] for role, expires in system["expires"].items())
    return table(("Role", "Runs out in"), rows)


def _left(seconds: float) -> Html:
    return pill("good", duration(seconds)) if seconds > 0 else pill("bad", f"ran out {duration(-seconds)} ago")


def _learner(status: Mapping[str, Any]) -> Html:
    learner = status["learner"]
    last = f"{duration(status['now'] - learner['last_run'])} ago" if learner["last_run"] else "never"
    audit = learner.get("stream", {}).get("audit_probability", 0)
    said = ((task, waits(learner, task, status["now"], browser_zone())) for task in learner["waits_for"])
    rows = [
        ["State", pill("bad" if learner["state"].startswith("failed") else "good", learner["state"])],
        ["Last run", f"{last}{', ' + learner['last_verdict'] if learner['last_verdict'] else ''}"],
        ["Audit windows asked for", f"{100 * audit:.0f} % of all" if audit else "as the agents are set"],
        *([f"{task.capitalize()} waits for", words] for task, words in said),
    ]
    return table(("", ""), rows)
