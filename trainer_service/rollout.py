"""Which agents are offered which version: publications, trials on canaries, and their end.

The learner's thread is the only one that changes anything here; the sockets' threads ask who is offered what.
Everything is in the update repository before an agent hears of it, so that a trainer that is killed at any moment goes
on from there; only the seconds that a canary has run begin anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from trainer_service import audit, canary, registry
from trainer_service.audit import Entry
from trainer_service.canary import MORE, PASS, Step, Trial
from trainer_service.publisher import Publisher
from trainer_service.registry import Decision, Model
from trainer_service.store import Store

log = logging.getLogger(__name__)

Agents = Callable[[int], canary.Fleet]
"""How all enrolled agents stand with a version."""


class Rollout:
    """The state of the rollout.

    Args:
        store: where models and canaries are written down.
        publisher: of the update repository.
        agents: how the agents are.
        seconds: how long a canary must run a version before the others get it; 0 switches trials off.

    Attributes:
        live: the version for all agents, 0 for none.
        trial: of another version; None for none.
    """

    def __init__(self, store: Store, publisher: Publisher, agents: Agents = lambda _: {}, seconds: float = 0.0) -> None:
        self._store, self._publisher = store, publisher
        self._agents, self._seconds = agents, seconds
        self.live = 0
        self.trial: Trial | None = None
        self._since, self._words = 0.0, ""
        self._settle()

    def offered(self, agent: str) -> int:
        """The version that this agent is offered; 0 for none."""
        trial = self.trial
        return trial.version if trial is not None and agent in trial.agents else self.live

    def is_canary(self, agent: str) -> bool:
        """Whether this agent is offered what is tried."""
        trial = self.trial
        return trial is not None and agent in trial.agents

    def describe(self) -> dict[str, Any] | None:
        """The control API's word on the trial; None while there is none."""
        trial = self.trial
        if trial is None:
            return None
        return {
            "version": trial.version,
            "agents": list(trial.agents),
            "since": self._since,
            "seconds": self._seconds,
            "words": self._words,
        }

    def first_agent(self) -> str | None:
        """Who should try the next version before the others; None where it goes to all at once.

        A first version goes to all: there is nothing to go back to, and before it nobody gets estimates at all.
        """
        if not self._seconds or not self.live:
            return None
        with self._store.read() as connection:
            labelled = registry.labelled_lately(connection)
        return canary.first_agent(self._agents(self.live), labelled)

    def publish(
        self, model: Model, decisions: Sequence[Decision], first: str | None = None, entry: Entry | None = None
    ) -> None:
        """Write down what was decided, and by whom if by hand, and offer the model to all agents, or to a first one."""
        with self._store.write() as connection:
            registry.announce(connection, model)
            registry.record(connection, decisions)
            if entry is not None:
                audit.put(connection, entry)
        try:
            if first is None:
                self._publisher.publish(model.version, model.bundle, datetime.now(UTC))
            else:
                self._publisher.ask({first: time.time()})
                self._publisher.try_out(model.version, model.bundle, datetime.now(UTC))
        finally:
            self._settle()
        log.info("version %d is published%s", model.version, f" to {first} first" if first else "")

    def look(self) -> Step | None:
        """What to do about the trial; one more canary is asked here already. None while there is no trial."""
        if self.trial is None:
            return None
        if not self._seconds:
            return Step(PASS, "trials are switched off")
        with self._store.read() as connection:
            labelled = registry.labelled_lately(connection)
        step = self.trial.look(self._agents(self.trial.version), labelled, time.monotonic())
        self._words = step.words
        if step.kind == MORE:
            self._publisher.ask({**self._publisher.canaries(), step.agent: time.time()})
            self.trial.add(step.agent, time.monotonic())
            log.info("version %d is tried on %s too: %s", self.trial.version, step.agent, step.words)
        return step

    def promote(self, words: str) -> None:
        """Offer to all agents what was tried."""
        if self.trial is None:
            return
        version, now = self.trial.version, time.time()
        with self._store.write() as connection:
            decisions = [
                Decision(
                    now, registry.BY_CANARY, task, registry.PUBLISHED,
                    f"{task}: version {version} goes from {', '.join(self.trial.agents)} to all agents; {words}",
                    version, self.live, version, 0, 0, {}, registry.last_label_seen(connection, task),
                )
                for task in registry.learned_in(connection, version)
            ]  # fmt: skip
            registry.record(connection, decisions)
        try:
            self._publisher.promote()
        finally:
            self._settle()
        log.info("version %d goes to all agents: %s", version, words)

    def _settle(self) -> None:
        """Follow what the update repository offers."""
        live, tried = self._publisher.current_version(), self._publisher.tried_version()
        with self._store.write() as connection:
            registry.settle(connection, live, time.time(), tried)
        self.live = live
        if not tried:
            self.trial = None
        elif self.trial is None or self.trial.version != tried:
            canaries = self._publisher.canaries()
            self._since, self._words = min(canaries.values()), "just offered"
            self.trial = Trial(tried, list(canaries), self._seconds, time.monotonic())
