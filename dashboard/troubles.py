"""What is not as it should be or waits for somebody, in sentences, each with what to do about it; the worst first.

The System page shows the list, the Overview its first sentence: neither says that all is well while the other does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.wording import duration
from sentry_proto.types import CameraState
from training.active_learning.review.words import count, plural

TONES = ("bad", "warn", "quiet")
"""The worst first."""

SPOOL_IS_LONG = 200
"""Windows waiting on an agent; more than a moment's backlog."""

CLOCK_IS_OFF_S = 5.0
"""Between an agent's clock and the trainer's; self-reports are matched to windows by time."""

LEAST_FREE, LITTLE_FREE = 0.05, 0.15
LATELY_S = 3 * 86_400.0
SOON_S, SOON_BY_HAND_S = 3_600.0, 60 * 86_400.0
"""Before a signature runs out: what the trainer renews itself every day, and what takes people with keys."""

FROZEN = "frozen"
"""How an agent begins to say that the signatures which it was given have run out."""


_CAMERA_WORDS = {
    CameraState.NO_FACE: "sees no face",
    CameraState.DARK: "sees a dark picture",
    CameraState.FROZEN: "has a frozen picture",
    CameraState.UNPLUGGED: "is unplugged",
}


@dataclass(frozen=True)
class Trouble:
    """A tone of `markup`, the sentence, and what to do about it."""

    tone: str
    sentence: str
    advice: str


def troubles(
    status: Mapping[str, Any], agents: Sequence[Mapping[str, Any]], system: Mapping[str, Any]
) -> list[Trouble]:
    """Everything that somebody should look at."""
    found = [*_learner(status), *_disk(system), *_signatures(system, status["now"])]
    found += [trouble for agent in agents if agent["seen"] for trouble in _agent(agent)]
    found += [*_unheard(agents), *_unjudged(status), *_drift(status), *_trial(status), *_abstaining(status)]
    return sorted(found, key=lambda trouble: TONES.index(trouble.tone))


def _learner(status: Mapping[str, Any]) -> Iterator[Trouble]:
    state = status["learner"]["state"]
    if state.startswith("failed"):
        yield Trouble("bad", f"The learner {state}.", "The models in use go on. The trainer's log says more.")


def _disk(system: Mapping[str, Any]) -> Iterator[Trouble]:
    if not system["total"]:
        return
    share = system["free"] / system["total"]
    if share < LITTLE_FREE:
        room = f"The trainer's disk has {size(system['free'])} left, {100 * share:.0f} % of it."
        advice = "Delete old data with sentry-trainer retention, or give it a larger disk; full, it takes nothing in."
        yield Trouble("bad" if share < LEAST_FREE else "warn", room, advice)


def _signatures(system: Mapping[str, Any], now: float) -> Iterator[Trouble]:
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
            yield Trouble("bad", words, what)
        elif left < (SOON_BY_HAND_S if by_hand else SOON_S):
            yield Trouble("warn", f"The signature of {role} runs out in {duration(left)}.", what)


def _drift(status: Mapping[str, Any]) -> Iterator[Trouble]:
    for drift in status["learner"].get("stream", {}).get("drifts", []):
        if status["now"] - drift["time"] < LATELY_S:
            about = f" of {drift['task']}" if drift["task"] else ""
            moved = f"{drift['before']:.2f} to {drift['after']:.2f}"
            words = f"The {drift['signal']}{about} moved from {moved}, {duration(status['now'] - drift['time'])} ago."
            advice = "Look for new light, a moved camera or other people; for a while more windows are audited."
            yield Trouble("warn", words, advice)


def _agent(agent: Mapping[str, Any]) -> Iterator[Trouble]:
    name = agent["name"]
    if not agent["alive"]:
        gone = f"{name} has been silent for {duration(agent['silent_s'])}."
        yield Trouble("bad", gone, "Look at its machine and network; what it measures waits in its spool.")
        return
    if agent["error"]:
        yield Trouble("bad", f"{name} reports: {agent['error']}", "sentry-agent doctor on that machine says more.")
    if agent["camera_state"] in _CAMERA_WORDS:
        words = f"The camera of {name} {_CAMERA_WORDS[agent['camera_state']]}."
        yield Trouble("warn", words, "No data is taken for calm.")
    if agent["update_state"].startswith(FROZEN):
        words = f"{name} was given metadata that has run out, and keeps its model: {agent['update_state']}."
        yield Trouble("bad", words, "Check the clocks of both machines and that the trainer signs daily.")
    if agent["dropped"]:
        words = f"{name} has dropped {plural(agent['dropped'], 'record')}, which are lost."
        yield Trouble("warn", words, "Its disk was full or its spool too small.")
    if agent["spooled"] > SPOOL_IS_LONG:
        words = f"{count(agent['spooled'])} records wait in the spool of {name}."
        yield Trouble("warn", words, "It sends them by itself; if the number grows, its network is too slow.")
    if clock_is_off(agent):
        which = "ahead of" if agent["clock_off_s"] > 0 else "behind"
        words = f"The clock of {name} is {duration(abs(agent['clock_off_s']))} {which} the trainer's."
        yield Trouble("warn", words, "Set it: answers of participants are matched to windows by the time.")


def clock_is_off(agent: Mapping[str, Any]) -> bool:
    """Whether an agent that keeps real time shows another one than the trainer."""
    return bool(agent["clock_rate"] == 1) and abs(agent.get("clock_off_s") or 0.0) > CLOCK_IS_OFF_S


def _unheard(agents: Sequence[Mapping[str, Any]]) -> Iterator[Trouble]:
    """Agents that are enrolled and have never called: whom the trainer refuses is silent here, too."""
    silent = [agent["name"] for agent in agents if not agent["seen"]]
    if not agents:
        what = "Enrol one with sentry-keys enroll NAME and start sentry-agent run there."
        yield Trouble("quiet", "No agent is enrolled yet.", what)
    elif silent:
        names = " and ".join([*([", ".join(silent[:-1])] if silent[1:] else []), silent[-1]])
        have = "are enrolled and have" if silent[1:] else "is enrolled and has"
        what = "Start sentry-agent run there with its key file; if it runs, sentry-agent doctor says what is wrong."
        yield Trouble("warn", f"{names} {have} never called.", what)


def _unjudged(status: Mapping[str, Any]) -> Iterator[Trouble]:
    if status["unjudged"]:
        wait = "waits" if status["unjudged"] == 1 else "wait"
        waiting = f"{plural(status['unjudged'], 'alert')} {wait} for a verdict."
        yield Trouble("warn", waiting, "Give it on the Alerts page.")


def _trial(status: Mapping[str, Any]) -> Iterator[Trouble]:
    trial = status["rollout"]
    if trial:
        tried = f"Version {trial['version']} is tried on {', '.join(trial['agents'])} first."
        yield Trouble("quiet", tried, f"The others keep version {status['model_version']} until it has proved itself.")


def _abstaining(status: Mapping[str, Any]) -> Iterator[Trouble]:
    if not status["model_version"]:
        waits = list(status["learner"]["waits_for"].items())[:1]
        then = " ".join(f"{task.capitalize()} waits for {words}." for task, words in waits)
        yield Trouble("quiet", "The heads abstain: they are not calibrated yet, so no alert can come.", then)


def size(amount: float) -> str:
    """Bytes as '1.2 GB'."""
    for step, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if amount >= step:
            return f"{amount / step:.1f} {unit}"
    return f"{amount / 1e3:.0f} kB"
