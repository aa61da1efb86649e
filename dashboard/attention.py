"""The one sentence at the top: what needs a person's attention first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.wording import duration
from sentry_proto.types import CameraState
from training.active_learning.review.words import plural

SPOOL_IS_LONG = 200
"""Windows waiting on an agent; more than a moment's backlog."""

CLOCK_IS_OFF_S = 5.0
"""Between an agent's clock and the trainer's; self-reports are matched to windows by time."""

_CAMERA_WORDS = {
    CameraState.NO_FACE: "sees no face",
    CameraState.DARK: "sees a dark picture",
    CameraState.FROZEN: "has a frozen picture",
    CameraState.UNPLUGGED: "is unplugged",
}


@dataclass(frozen=True)
class Attention:
    """A tone of `markup`, the sentence, and what to do about it."""

    tone: str
    sentence: str
    advice: str


def attention(status: Mapping[str, Any], agents: Sequence[Mapping[str, Any]], open_alerts: int) -> Attention:
    """The most urgent thing, or that all is well."""
    return next(_concerns(status, agents, open_alerts))


def _concerns(status: Mapping[str, Any], agents: Sequence[Mapping[str, Any]], open_alerts: int) -> Iterator[Attention]:
    if status["learner"]["state"].startswith("failed"):
        yield Attention("bad", f"The learner {status['learner']['state']}.", "The models in use are not affected.")
    seen = [agent for agent in agents if agent["seen"]]
    concerns = [concern for agent in seen for concern in _agent_concerns(agent)]
    yield from sorted(concerns, key=lambda concern: concern.tone != "bad")
    if not seen:
        what = "An agent is enrolled but has never called." if agents else "No agent is enrolled yet."
        yield Attention("quiet", what, "Enrol one with sentry-keys enroll NAME and start sentry-agent run there.")
    if open_alerts:
        wait = "waits" if open_alerts == 1 else "wait"
        yield Attention("warn", f"{plural(open_alerts, 'alert')} {wait} for a verdict.", "Give it on the Alerts page.")
    if not status["model_version"]:
        yield Attention("quiet", "The heads abstain: they are not calibrated yet, so no alert can come.", _next(status))
    alive = plural(len(seen), "agent")
    yield Attention("good", "Nothing needs attention.", f"{alive} alive, model version {status['model_version']}.")


def _agent_concerns(agent: Mapping[str, Any]) -> Iterator[Attention]:
    name, camera = agent["name"], agent["camera_state"]
    if not agent["alive"]:
        silent = duration(agent["silent_s"])
        yield Attention(
            "bad", f"{name} has been silent for {silent}.", "What it measures meanwhile waits in its spool."
        )
    elif agent["error"]:
        yield Attention("bad", f"{name} reports: {agent['error']}", "")
    elif camera in _CAMERA_WORDS:
        yield Attention("warn", f"The camera of {name} {_CAMERA_WORDS[camera]}.", "No data is taken for calm.")
    elif clock_is_off(agent):
        off = agent["clock_off_s"]
        which = "ahead of" if off > 0 else "behind"
        advice = "Set it: answers of participants are matched to windows by the time."
        yield Attention("warn", f"The clock of {name} is {duration(abs(off))} {which} the trainer's.", advice)
    elif agent["dropped"] or agent["spooled"] > SPOOL_IS_LONG:
        lost = f"{plural(agent['dropped'], 'record')} dropped, {agent['spooled']} waiting in its spool"
        yield Attention("warn", f"{name} cannot send fast enough.", f"{lost}.")


def clock_is_off(agent: Mapping[str, Any]) -> bool:
    """Whether an agent that keeps real time shows another one than the trainer."""
    return bool(agent["clock_rate"] == 1) and abs(agent.get("clock_off_s") or 0.0) > CLOCK_IS_OFF_S


def _next(status: Mapping[str, Any]) -> str:
    waits = status["learner"]["waits_for"]
    return " ".join(f"{task.capitalize()} waits for {words}." for task, words in list(waits.items())[:1])


def acted(agents: Sequence[Mapping[str, Any]], declared: bool = False) -> str | None:
    """What to say when what is seen was acted, because that was declared or an agent runs its own clock; else None."""
    rate = max((agent["clock_rate"] for agent in agents if agent["seen"]), default=1.0)
    if rate == 1.0 and not declared:
        return None
    pace = f", at {rate:.3g} times real time" if rate != 1.0 else ""
    return f"A puppet acts what you see{pace}. No psychological state was measured."
