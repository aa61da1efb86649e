"""`sentry-trainer ingest`: one more process that takes in what agents send, beside a trainer on the same PostgreSQL.

    agents --ingest--> Intake --> Store, shared with the trainer
      ^                  ^
      `---- pulses ------'-- Offers: asked of the trainer, through its control socket

It has the trainer's folder, and so the trainer's key: agents cannot tell the two apart and may change between them,
behind a TCP balancer or by the address in their key file. It learns nothing and publishes nothing. While the trainer is
away it stores and acknowledges as before, and offers what was offered last. The trainer sees the agents that call here
by the heartbeats in the database (`Fleet.follow`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import zmq

from sentry_proto.control import ControlClient
from sentry_proto.curve import Gatekeeper
from sentry_proto.errors import SentryError
from sentry_proto.keys import AGENT
from sentry_proto.tasks import DEFAULT_TASKS, Task
from sentry_proto.types import Offset
from sentry_proto.watchdog import watchdog
from trainer_service import keyring
from trainer_service.enrolment import Enrolment
from trainer_service.fleet import Fleet
from trainer_service.ingest import Intake
from trainer_service.keyring import Home
from trainer_service.sockets import Context, IngestThread
from trainer_service.store import Store

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
HANGING_EXIT = 70
SAVE_EVERY_S = 0.5
"""The trainer looks once a second who was heard here, and calls an agent gone after `limits.PEER_DEAD_S`."""


@dataclass(frozen=True)
class Settings:
    """What the process is started with.

    Attributes:
        home: the trainer's folder.
        database: the PostgreSQL that the trainer uses too.
        listen: host and port for agents.
        tasks: those of the trainer.
    """

    home: Home
    database: str
    listen: tuple[str, int]
    tasks: tuple[Task, ...] = DEFAULT_TASKS


class Offers:
    """What the trainer offers to each agent, as it said last; `ask` in one thread, all else in any."""

    def __init__(self) -> None:
        self._versions: Mapping[str, int] = {}
        self._audit = 0.0
        self._personal: Mapping[str, Mapping[str, Mapping[str, Any]]] = {}

    def version(self, agent: str) -> int:
        """The model version for this agent; 0 for none."""
        return self._versions.get(agent, 0)

    def audit_probability(self, _now: float) -> float:
        """How likely agents should send a window at random."""
        return self._audit

    def offsets(self, participant: str) -> tuple[Offset, ...]:
        """A person's offsets that are in force."""
        found = self._personal.get(participant, {})
        return tuple(Offset(participant, task, tuple(one["logits"])) for task, one in found.items() if one["used"])

    def ask(self, call: Callable[[str], Any]) -> bool:
        """Ask the trainer through its control API; returns whether agents are to be told at once."""
        before, learner = self._versions, call("status")["learner"]
        self._audit, self._personal = learner["stream"]["audit_probability"], learner["personal"]
        self._versions = {agent["name"]: agent["offered_version"] for agent in call("agents")}
        return before != self._versions


def serve(settings: Settings, ended: threading.Event, announce: Callable[[str], None]) -> None:
    """Take in what agents send until `ended` is set; `announce` is called with the address once it is ready.

    Raises:
        KeyFileError: if the folder holds no trainer's keys.
        EnvironmentFault: if the address is taken.
        StorageError: if the store cannot be opened.
    """
    offers, trainer = Offers(), ControlClient(keyring.load_control_key(settings.home))
    with closing(trainer), _ingesting(settings, offers) as ingest, closing(watchdog()) as alive:
        announce("tcp://{}:{}".format(*settings.listen))
        away, hanging = "", False
        while True:
            if not ingest.is_alive():
                raise RuntimeError("the thread that takes in records has died")
            before, hanging = hanging, ingest.stalled(time.monotonic())
            if before and hanging:  # twice: after a stop of the whole process it has given no sign either
                log.critical("the thread that takes in records no longer goes on: this process ends")
                os._exit(HANGING_EXIT)
            alive.passed(time.monotonic())
            away = _ask(offers, trainer, ingest, away)
            if ended.wait(ASK_EVERY_S):
                break


def _ask(offers: Offers, trainer: ControlClient, ingest: IngestThread, away: str) -> str:
    """Follow the trainer; returns why that does not succeed, which is logged when it changes."""
    try:
        if offers.ask(trainer.call):
            ingest.pulse_now()
        words = ""
    except SentryError as error:
        words = str(error)
    if words != away:
        log.info("%s", words or "the trainer answers")
    return words


@contextmanager
def _ingesting(settings: Settings, offers: Offers) -> Iterator[IngestThread]:
    server, allowed = keyring.load_server_key(settings.home), Enrolment(settings.home.enrolled)
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(settings.database, settings.home.folder / "copies")))
        context: Context = zmq.Context()
        stack.callback(context.term)
        stack.enter_context(closing(Gatekeeper(context, allowed, (AGENT,))))
        intake = Intake(
            store, Fleet({}), allowed, settings.tasks, offers.version, offers.audit_probability, offers.offsets
        )
        address = "tcp://{}:{}".format(*settings.listen)
        ingest = IngestThread(context, address, server.secret, intake, allowed, SAVE_EVERY_S)
        stack.callback(ingest.stop)
        ingest.start()
        yield ingest
        log.info("ending; %s", dict(intake.counts) or "no agent called")
