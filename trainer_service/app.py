"""The trainer: what flows where, from the agents' sockets to the published bundle.

agents --ingest--> Intake --> Store --> Learner --> worker: fit, gate --> Publisher --> repository
  ^                                        ^                                               |
  `--------updates-------------------------+-----------------------------------------------'
dashboard, commands --control--> ControlApi: labels, lists, rates
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import zmq

from sentry_proto.curve import Gatekeeper
from sentry_proto.errors import EnvironmentFault, StorageError
from sentry_proto.keys import AGENT, CONTROL, Endpoints
from sentry_proto.tasks import DEFAULT_TASKS, Task, load_tasks
from sentry_proto.watchdog import watchdog
from trainer_service import keyring
from trainer_service.canary import DEFAULT_SECONDS, Running
from trainer_service.control_api import ControlApi
from trainer_service.database import Database
from trainer_service.enrolment import Enrolment
from trainer_service.expression import names_of
from trainer_service.fleet import Fleet, Moment
from trainer_service.housekeeping import Housekeeping
from trainer_service.ingest import Intake
from trainer_service.keyring import Home
from trainer_service.learner import Learner
from trainer_service.metrics import TrainerCollector, offering
from trainer_service.policy import DEFAULT_PER_RUN
from trainer_service.publisher import Publisher
from trainer_service.repository import approved_model
from trainer_service.rollout import Rollout
from trainer_service.sockets import Context, IngestThread, RequestThread
from trainer_service.store import Store
from trainer_service.study import Study
from trainer_service.update_server import Updates
from trainer_service.worker import Worker

log = logging.getLogger(__name__)
T = TypeVar("T")

CHECK_EVERY_S = 1.0
HANGING_EXIT = 70


@dataclass(frozen=True)
class Settings:
    """What a trainer is started with.

    Attributes:
        home: its folder, made by `sentry-keys init`.
        tasks: what the heads estimate.
        labels_per_run: how many new labels of a task start a run.
        retrain_every_s: seconds after which a single new label starts one; None for never.
        database: the address of a PostgreSQL database; None for the file in the folder.
        metrics: host and port at which Prometheus is answered; None for not at all.
        canary_s: how long one agent runs a new version before the others get it; 0 for not at all.
        study: what it has decided beside its tasks.
    """

    home: Home
    tasks: tuple[Task, ...] = DEFAULT_TASKS
    labels_per_run: int = DEFAULT_PER_RUN
    retrain_every_s: float | None = None
    database: str | None = None
    metrics: tuple[str, int] | None = None
    canary_s: float = DEFAULT_SECONDS
    study: Study = field(default_factory=Study)

    @property
    def where(self) -> Database:
        """Where the store is."""
        return self.database or self.home.database

    @staticmethod
    def of(folder: Path, task_file: Path | None, labels_per_run: int, retrain_every_h: float | None = None) -> Settings:
        """From what was typed."""
        tasks = load_tasks(task_file) if task_file else DEFAULT_TASKS
        return Settings(
            Home(folder), tasks, labels_per_run, None if retrain_every_h is None else 3_600 * retrain_every_h
        )


class Stage(Protocol):
    """A part of the trainer with a thread of its own."""

    name: str

    def is_alive(self) -> bool:
        """Whether its thread lives."""

    def stalled(self, now: float) -> bool:
        """Whether it hangs, at `now` in monotonic seconds."""


@dataclass(frozen=True)
class Trainer:
    """A running trainer: where it listens, the stages it consists of, and what it knows."""

    endpoints: Endpoints
    stages: tuple[Stage, ...]
    store: Store
    fleet: Fleet

    def check(self) -> None:
        """Raise if a thread has died of a bug: better a restart than a trainer that is half deaf."""
        for stage in self.stages:
            if not stage.is_alive():
                raise RuntimeError(f"the thread {stage.name!r} has died")

    def hanging(self, now: float) -> list[str]:
        """The stages that live and no longer go on, at `now` in monotonic seconds."""
        return [stage.name for stage in self.stages if stage.stalled(now)]

    def follow(self) -> None:
        """Look who has called another process on the same database (`ingest_only`)."""
        if not self.store.shared:
            return
        try:
            self.fleet.follow(self.store.last_heartbeats(), _now())
        except StorageError as error:
            log.warning("not known who calls other processes: %s", error)


@contextmanager
def running(settings: Settings) -> Iterator[Trainer]:
    """A trainer that serves until the block ends.

    Raises:
        KeyFileError: if the folder holds no trainer's keys.
        EnvironmentFault: if another trainer runs on the same folder, a restore into it is not complete, or an address
            is taken.
        StorageError: if the store cannot be opened.
    """
    home = settings.home
    if home.restoring.exists():
        raise EnvironmentFault(f"a restore into {home.folder} was interrupted; repeat it before the trainer starts")
    server = keyring.load_server_key(home)
    signers = keyring.load_online_signers(home)
    allowed = Enrolment(home.enrolled)
    with ExitStack() as stack:
        stack.enter_context(
            keyring.hold_lock(home.folder / ".serving.lock", f"a trainer already runs on {home.folder}")
        )
        store = _closing(stack, Store(settings.where, home.folder / "copies"), Store.close)
        fleet = Fleet(store.last_heartbeats())
        context: Context = zmq.Context()
        stack.callback(context.term)
        gatekeeper = _closing(stack, Gatekeeper(context, allowed, (AGENT, CONTROL)), Gatekeeper.close)

        ends, secret = server.endpoints, server.secret
        intake = Intake(
            store, fleet, allowed, settings.tasks, lambda agent: rollout.offered(agent),  # noqa: PLW0108
            lambda now: learner.audit_probability(now),  # noqa: PLW0108 - there is no learner yet
            lambda participant: learner.personal.of(participant),  # noqa: PLW0108
        )  # fmt: skip
        ingest = _closing(stack, IngestThread(context, ends.ingest, secret, intake, allowed), IngestThread.stop)
        publisher = Publisher(home.repository, signers)
        approved = approved_model(home.repository)
        worker = _closing(stack, Worker(settings.where, settings.tasks, approved), Worker.close)
        rollout = Rollout(store, publisher, lambda version: _running(store, fleet, allowed, version), settings.canary_s)
        learner = Learner(
            store, publisher, worker, settings.tasks, settings.labels_per_run, ingest.pulse_now,
            settings.retrain_every_s, rollout,
        )  # fmt: skip
        store.on_labels = learner.nudge
        _closing(stack, learner, Learner.stop)
        served = Updates(home.repository, rollout.is_canary)
        updates = RequestThread("updates", context, ends.updates, secret, AGENT, allowed, served.answer)
        _closing(stack, updates, RequestThread.stop)
        api = ControlApi(
            store, fleet, allowed, settings.tasks, learner, time.time(), home.folder, names_of(approved), settings.study
        )
        control = RequestThread("control", context, ends.control, secret, CONTROL, allowed, api.answer)
        _closing(stack, control, RequestThread.stop)

        housekeeping = Housekeeping(store, home.journal, settings.study.retention_days, learner.nudge)
        _closing(stack, housekeeping, Housekeeping.stop)

        threads = (ingest, updates, control, learner, housekeeping)
        for thread in threads:
            thread.start()
        ahead = threading.Thread(target=api.read_ahead, name="reading ahead")
        ahead.start()
        stack.callback(ahead.join)
        stack.enter_context(offering(settings.metrics, _collector(store, intake, fleet, allowed, learner)))
        yield Trainer(ends, (gatekeeper, *threads), store, fleet)
        log.info("ending; %s", dict(intake.counts) or "no agent called")


def _running(store: Store, fleet: Fleet, allowed: Enrolment, version: int) -> dict[str, Running]:
    """How all enrolled agents stand with a version."""
    elsewhere = store.scored_with(version) if store.shared else None
    return fleet.running(allowed.names(AGENT), version, _now(), elsewhere)


def _now() -> Moment:
    return Moment(time.time(), time.monotonic())


def _collector(store: Store, intake: Intake, fleet: Fleet, allowed: Enrolment, learner: Learner) -> TrainerCollector:
    def agents() -> list[dict[str, Any]]:
        return fleet.describe(allowed.names(AGENT), _now())

    return TrainerCollector(store, intake.counts, agents, lambda: learner.model_version)


def serve(settings: Settings, ended: threading.Event, announce: Callable[[Endpoints], None]) -> None:
    """Run a trainer until `ended` is set; `announce` is called once it is ready."""
    with running(settings) as trainer, closing(watchdog()) as alive:
        announce(trainer.endpoints)
        before: list[str] = []
        while True:
            trainer.check()
            hanging = trainer.hanging(time.monotonic())
            if hanging and before:  # twice: a process that was stopped and goes on has stages that gave no sign, too
                _end_at_once(hanging)
            before = hanging
            trainer.follow()
            alive.passed(time.monotonic())
            if ended.wait(CHECK_EVERY_S):
                break


def _end_at_once(hanging: list[str]) -> None:
    """End without waiting for threads that hang; whoever started the trainer starts it anew, and all is on the disk."""
    log.critical("%s no longer goes on: the trainer ends, to be started anew", ", ".join(hanging))
    logging.shutdown()
    os._exit(HANGING_EXIT)


def _closing(stack: ExitStack, resource: T, close: Callable[[T], None]) -> T:
    stack.callback(close, resource)
    return resource
