"""Who gets an accepted version first, and when it may go on to all: rules without socket, file or clock.

A version with a parent is tried on one agent while the others keep what they have. At every look, in this order:

    refused   a canary says that it does not run there                               -> back
    lost      `MOST_LOST` canaries are silent that were heard running it             -> back
    proven    a canary has run it for so many seconds and has scored with it         -> to all
    idle      no canary that is alive scores with it, and patience is over           -> one more canary
    nobody    as idle, but every agent that is alive is one already, and runs it     -> to all
    else      wait

Whether its parent would do better on what it has scored is asked by `probation`, as of every version; that, too, ends a
trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEFAULT_SECONDS = 60.0
LEAST_AGENTS = 2
"""With one agent alone there is nobody to spare."""

MOST_LOST = 2
PATIENCE_S = 30.0
"""How long a canary may take, at least, before another one is asked too."""

REFUSAL_S = 5.0
"""An agent that is told of a version may still speak of the one before for so long."""

WAIT, MORE, PASS, BACK = "wait", "more", "pass", "back"


@dataclass(frozen=True)
class Running:
    """How an agent stands with a version, from its last heartbeat.

    Attributes:
        alive: whether it was heard within `limits.PEER_DEAD_S`.
        version: that it runs.
        update_state: in its words.
        scored: windows that it has scored with the version that was asked about.
    """

    alive: bool
    version: int
    update_state: str
    scored: int


GONE = Running(alive=False, version=0, update_state="", scored=0)

Fleet = Mapping[str, Running]


@dataclass(frozen=True)
class Step:
    """What to do now, and why in words; `agent` is who gets the version too, where one more is asked."""

    kind: str
    words: str
    agent: str = ""


def first_agent(fleet: Fleet, labelled: Mapping[str, int]) -> str | None:
    """The agent that is alive and of whose windows most were labelled lately; None if there are too few agents.

    Its windows are the ones that can tell soonest whether the version errs more.
    """
    alive = [name for name, agent in fleet.items() if agent.alive]
    return _most_labelled(alive, labelled) if len(alive) >= LEAST_AGENTS else None


def _most_labelled(names: Sequence[str], labelled: Mapping[str, int]) -> str:
    return min(names, key=lambda name: (-labelled.get(name, 0), name))


class Trial:
    """One version on its way; every method takes `now` in monotonic seconds.

    Attributes:
        version: that is tried.
        agents: the canaries, in the order in which they were asked; replaced whole.
    """

    def __init__(self, version: int, agents: Sequence[str], seconds: float, now: float) -> None:
        self.version = version
        self.agents = tuple(agents)
        self._seconds = seconds
        self._asked = dict.fromkeys(agents, now)
        self._ran: dict[str, float] = {}

    def add(self, agent: str, now: float) -> None:
        """One more canary."""
        self._asked[agent] = now
        self.agents = (*self.agents, agent)

    def look(self, fleet: Fleet, labelled: Mapping[str, int], now: float) -> Step:
        """What to do now; see the module.

        Args:
            fleet: all enrolled agents.
            labelled: agent -> how many of its windows were labelled lately.
            now: monotonic seconds.
        """
        canaries = {name: fleet.get(name, GONE) for name in self.agents}
        for name, agent in canaries.items():
            if agent.alive and agent.version == self.version:
                self._ran.setdefault(name, now)
        lost = [name for name, agent in canaries.items() if name in self._ran and not agent.alive]
        refusing = [name for name, agent in canaries.items() if self._refuses(name, agent, now)]
        proven = [name for name in self._at_length(canaries, now) if canaries[name].scored]
        if refusing:
            return Step(BACK, f"{refusing[0]} does not run it: {canaries[refusing[0]].update_state}")
        if len(lost) >= MOST_LOST:
            return Step(BACK, f"{' and '.join(lost)} fell silent while they ran it")
        if proven:
            name = proven[0]
            return Step(PASS, f"{name} has run it for {self._seconds:g} s and scored {canaries[name].scored} windows")
        if any(self._promising(name, agent, now) for name, agent in canaries.items()):
            return Step(WAIT, f"tried on {', '.join(self.agents)}")
        return self._one_more(fleet, labelled, canaries, now)

    def _one_more(self, fleet: Fleet, labelled: Mapping[str, int], canaries: Fleet, now: float) -> Step:
        others = [name for name, agent in fleet.items() if agent.alive and name not in canaries]
        if others:
            return Step(MORE, "no canary scores with it", _most_labelled(others, labelled))
        if self._at_length(canaries, now):
            return Step(PASS, "every agent that is alive runs it")
        return Step(WAIT, f"tried on {', '.join(self.agents)}; none of them runs it")

    def _at_length(self, canaries: Fleet, now: float) -> list[str]:
        return [name for name, since in self._ran.items() if canaries[name].alive and now - since >= self._seconds]

    def _promising(self, name: str, agent: Running, now: float) -> bool:
        patient = now - self._asked[name] < max(PATIENCE_S, self._seconds)
        return agent.alive and (patient or (name in self._ran and agent.scored > 0))

    def _refuses(self, name: str, agent: Running, now: float) -> bool:
        told = now - self._asked[name] >= REFUSAL_S
        return agent.alive and told and agent.version != self.version and agent.update_state.startswith("refused")
