"""On the Models page: which agent is offered which version, and which it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.active_learning.review.markup import Html, empty, joined, muted, pill, stacked, table, tag
from training.active_learning.review.words import plural, version


def table_of(agents: Sequence[Mapping[str, Any]]) -> Html:
    """One row per enrolled agent."""
    if not agents:
        return empty("No agent is enrolled.", "On the trainer's machine: sentry-keys enroll NAME --out FILE.")
    return table(("Agent", "Offered", "Runs", "Update"), map(_row, agents))


def summary(agents: Sequence[Mapping[str, Any]]) -> str:
    """How far the rollout has come, in words."""
    behind = sum(bool(agent["seen"]) and not _has_it(agent) for agent in agents)
    silent = sum(not agent["seen"] for agent in agents)
    parts = [f"{plural(behind, 'agent')} behind" if behind else "", f"{silent} never called" if silent else ""]
    return ", ".join(part for part in parts if part) or "every agent runs what it is offered"


def _has_it(agent: Mapping[str, Any]) -> bool:
    return bool(agent["model_version"] == agent["offered_version"])


def _row(agent: Mapping[str, Any]) -> list[object]:
    name = stacked(tag("b", agent["name"]), "tries it before the others" if agent["canary"] else "")
    offered = version(agent["offered_version"])
    if not agent["seen"]:
        return [name, offered, muted("never called"), ""]
    runs = version(agent["model_version"])
    running = pill("good", runs) if _has_it(agent) else pill("warn", runs)
    return [name, offered, joined([running, "" if agent["alive"] else muted(", silent now")]), _update(agent)]


def _update(agent: Mapping[str, Any]) -> Html:
    """In the agent's own words: current, or why not."""
    state = agent["update_state"]
    return muted(state) if state == "current" else pill("warn", state)
