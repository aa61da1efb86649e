"""What is not as it should be, in sentences, each with what to do about it; the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dashboard.attention import SPOOL_IS_LONG, Attention, clock_is_off
from dashboard.wording import duration
from training.active_learning.review.words import count, plural

LEAST_FREE, LITTLE_FREE = 0.05, 0.15
LATELY_S = 3 * 86_400.0
SOON_S, SOON_BY_HAND_S = 3_600.0, 60 * 86_400.0
"""Before a signature runs out: what the trainer renews itself every day, and what takes people with keys."""

FROZEN = "frozen"
"""How an agent begins to say that the signatures which it was given have run out."""


def troubles(
    status: Mapping[str, Any], agents: Sequence[Mapping[str, Any]], system: Mapping[str, Any]
) -> list[Attention]:
    """Everything that somebody should look at."""
    found = [*_learner(status), *_disk(system), *_signatures(system, status["now"]), *_drift(status)]
    found += [trouble for agent in agents if agent["seen"] for trouble in _agent(agent)]
    return sorted(found, key=lambda trouble: ("bad", "warn", "quiet").index(trouble.tone))


def _learner(status: Mapping[str, Any]) -> Iterator[Attention]:
    state = status["learner"]["state"]
    if state.startswith("failed"):
        yield Attention("bad", f"The learner {state}.", "The models in use go on. The trainer's log says more.")


def _disk(system: Mapping[str, Any]) -> Iterator[Attention]:
    if not system["total"]:
        return
    share = system["free"] / system["total"]
    if share < LITTLE_FREE:
        room = f"The trainer's disk has {size(system['free'])} left, {100 * share:.0f} % of it."
        advice = "Delete old data with sentry-trainer retention, or give it a larger disk; full, it takes nothing in."
        yield Attention("bad" if share < LEAST_FREE else "warn", room, advice)


def _signatures(system: Mapping[str, Any], now: float) -> Iterator[Attention]:
    for role, expires in system["expires"].items():
        left = expires - now
        by_hand = role in ("root", "targets")
        what = (
            "It takes the offline keys: sentry-keys rotate root."
            if by_hand
            else "The trainer signs daily; see its log."
        )
        if left < 0:
            words = f"The signature of {role} ran out {duration(-left)} ago: agents take up no new model."
            yield Attention("bad", words, what)
        elif left < (SOON_BY_HAND_S if by_hand else SOON_S):
            yield Attention("warn", f"The signature of {role} runs out in {duration(left)}.", what)


def _drift(status: Mapping[str, Any]) -> Iterator[Attention]:
    for drift in status["learner"].get("stream", {}).get("drifts", []):
        if status["now"] - drift["time"] < LATELY_S:
            about = f" of {drift['task']}" if drift["task"] else ""
            moved = f"{drift['before']:.2f} to {drift['after']:.2f}"
            words = f"The {drift['signal']}{about} moved from {moved}, {duration(status['now'] - drift['time'])} ago."
            advice = "Look for new light, a moved camera or other people; for a while more windows are audited."
            yield Attention("warn", words, advice)


def _agent(agent: Mapping[str, Any]) -> Iterator[Attention]:
    name = agent["name"]
    if not agent["alive"]:
        gone = f"{name} has been silent for {duration(agent['silent_s'])}."
        yield Attention("bad", gone, "Look at its machine and network; what it measures waits in its spool.")
        return
    if agent["error"]:
        yield Attention("bad", f"{name} reports: {agent['error']}", "sentry-agent doctor on that machine says more.")
    if agent["update_state"].startswith(FROZEN):
        words = f"{name} was given metadata that has run out, and keeps its model: {agent['update_state']}."
        yield Attention("bad", words, "Check the clocks of both machines and that the trainer signs daily.")
    if agent["dropped"]:
        words = f"{name} has dropped {plural(agent['dropped'], 'record')}, which are lost."
        yield Attention("warn", words, "Its disk was full or its spool too small.")
    if agent["spooled"] > SPOOL_IS_LONG:
        words = f"{count(agent['spooled'])} records wait in the spool of {name}."
        yield Attention("warn", words, "It sends them by itself; if the number grows, its network is too slow.")
    if clock_is_off(agent):
        words = f"The clock of {name} is {duration(abs(agent['clock_off_s']))} off."
        yield Attention("warn", words, "Set it: answers of participants are matched to windows by the time.")


def size(amount: float) -> str:
    """Bytes as '1.2 GB'."""
    for step, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if amount >= step:
            return f"{amount / step:.1f} {unit}"
    return f"{amount / 1e3:.0f} kB"
