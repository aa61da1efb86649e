"""The learner's thread: looks when labels have come, runs what is due, publishes what has passed.

    labels, time, "retrain", drift -> due? -> worker: fit, gate, bundle -> rollout: to a canary or to all -> pulse
                               ^          `-> what it waits for                                           |
                               `--------- worker: watch the stream <--------------------------------------'

It is the only one that publishes, so rollbacks and renewed signatures pass through here too. While a version is tried
on canaries (`rollout`), no other is made.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from sentry_proto.errors import InputError, RequestRefused, SentryError, StorageError
from sentry_proto.tasks import Task
from sentry_proto.watchdog import Progress
from trainer_service import policy, registry, schema, stream_feed
from trainer_service.audit import Entry
from trainer_service.canary import BACK, PASS, WAIT
from trainer_service.jobs import Learn, Observe, Outcome, Prepare, Republish
from trainer_service.labels import news
from trainer_service.personal import PersonalOffsets
from trainer_service.policy import BY_HAND, ByTime, Stock
from trainer_service.publisher import Publisher
from trainer_service.registry import BY_CANARY, Decision, Model
from trainer_service.rollout import Rollout
from trainer_service.store import Store
from trainer_service.worker import Worker

log = logging.getLogger(__name__)

DEBOUNCE_S = 0.05
"""Labels that come together are learned from together."""

LOOK_EVERY_S = 60.0
"""How often it looks unasked at the stream, whether the time for a run has come, and whether signatures are fresh."""

TRIAL_LOOK_EVERY_S = 0.5
"""How often while a version is tried."""

PATIENCE_S = 120.0
SIGN_S = 5.0
"""It gives a sign this often while it waits, and hangs if it gave none for so much longer."""

PUBLISH_WAIT_S = 8.0
"""How long somebody who asked for a publication waits for it."""

BY_ROLLBACK = "rollback"
BY_ERROR = "online error"
BY_THRESHOLD = "threshold"
BY_RESTORE = "restore"


@dataclass(frozen=True)
class _Evidence:
    """What is known of one task when the learner looks."""

    task: Task
    stock: Stock
    last_label: int
    trigger: str
    lacking: str
    by_time: ByTime | None


@dataclass(frozen=True)
class _Look:
    by_hand: bool = False


@dataclass(frozen=True)
class _Publish:
    """Something to publish by hand, and where its version or what went wrong goes."""

    work: Callable[[], int]
    done: Future[int]


class _Stop:
    pass


class Learner(threading.Thread):
    """Decides when to learn; see the module."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        worker: Worker,
        tasks: tuple[Task, ...],
        labels_per_run: int,
        on_published: Callable[[], None],
        retrain_every_s: float | None = None,
        rollout: Rollout | None = None,
    ) -> None:
        super().__init__(name="learner", daemon=True)
        self._store = store
        self._publisher = publisher
        self._worker = worker
        self._tasks = tasks
        self._labels_per_run = labels_per_run
        self._on_published = on_published
        self._retrain_every_s = retrain_every_s
        self._look_every_s = min(retrain_every_s or LOOK_EVERY_S, LOOK_EVERY_S)
        self._requests: queue.Queue[_Look | _Publish | _Stop] = queue.Queue()
        self._state = "idle"
        self._stopping = False
        self._waits_for: dict[str, str] = {}
        self._by_time: dict[str, dict[str, Any]] = {}
        self._set_aside = 0
        self._stream: Mapping[str, Any] = {"tasks": {}, "drifts": []}
        self._observed: stream_feed.Extent | None = (0, 0, 0, 0)
        self._drifted: float | None = None
        self._next_renewal = 0.0
        self._renewed = self._outbid = False
        self._progress = Progress(PATIENCE_S)
        worker.on_wait = self._progress.passed
        self.personal = PersonalOffsets(store, tasks)
        self._born = time.time()
        self.rollout = rollout or Rollout(store, publisher)
        self._requests.put(_Look())

    @property
    def model_version(self) -> int:
        """The version for all agents; 0 for none."""
        return self.rollout.live

    def describe(self) -> dict[str, Any]:
        """The control API's word on the learner."""
        table = schema.decisions.c
        with self._store.read() as connection:
            last = connection.execute(select(table.time, table.verdict).order_by(table.row.desc()).limit(1)).first()
        return {
            "state": self._state,
            "last_run": last.time if last else None,
            "last_verdict": last.verdict if last else None,
            "waits_for": self._waits_for,
            "by_time": self._by_time,
            "set_aside": self._set_aside,
            "stream": {**self._stream, "audit_probability": self.audit_probability(time.time())},
            "personal": self.personal.describe(),
        }

    def audit_probability(self, now: float) -> float:
        """How likely agents should send a window at random; 0 wishes for nothing."""
        return policy.audit_probability(now, self._drifted)

    def stalled(self, now: float) -> bool:
        """Whether it hangs, at `now` in monotonic seconds; a job of the worker has its own limit."""
        return self._progress.stalled(now)

    def nudge(self) -> None:
        """Labels have changed."""
        self._requests.put(_Look())

    def retrain(self) -> None:
        """Run now for all tasks that have what a run needs."""
        self._requests.put(_Look(by_hand=True))

    def rollback(self, to: int | None, entry: Entry | None = None) -> int:
        """Publish an old version's heads under a new version, with that entry of the audit log, and return it.

        Raises:
            InputError: if there is no such version, or the current one has no parent.
            RequestRefused: if the learner is too busy.
        """
        return self._publish(lambda: self._roll_back(to, entry))

    def apply_threshold(
        self, task: str, threshold: float, entry: Entry | None = None, version: int | None = None
    ) -> int:
        """Publish the live heads under a new version that alerts from another probability on, likewise.

        Args:
            task: its name.
            threshold: a probability.
            entry: of the audit log.
            version: for which the threshold was chosen; None for whichever is live.

        Raises:
            InputError: if the task has no live head or raises no alerts, or the threshold is none.
            RequestRefused: if another version is live by now, or the learner is too busy.
        """
        return self._publish(lambda: self._apply_threshold(task, threshold, entry, version))

    def _publish(self, work: Callable[[], int]) -> int:
        request = _Publish(work, Future())
        self._requests.put(request)
        try:
            return request.done.result(PUBLISH_WAIT_S)
        except TimeoutError:
            if request.done.cancel():
                raise RequestRefused("the learner is busy; nothing was published, try again later") from None
            raise RequestRefused("the publication is still running; see the list of models") from None

    def stop(self) -> None:
        """End; a run in progress is given up and its labels are learned from after the next start."""
        self._stopping = True
        self._requests.put(_Stop())
        self._worker.close()
        if self.ident is not None:
            self.join()

    def run(self) -> None:
        """Serve requests until stopped."""
        while not self._stopping:
            self._progress.passed()
            self._renew()
            batch = self._next_batch()
            for request in batch:
                if isinstance(request, _Publish) and request.done.set_running_or_notify_cancel():
                    self._settle(request)
            looks = [request for request in batch if isinstance(request, _Look)]
            if looks and not self._stopping:
                self._try(self._look, any(look.by_hand for look in looks))
            self._try(self._outbid_the_lost)
            self._try(self._judge_trial)
            self._try(self.personal.refresh)
            self._try(self._observe)

    def _next_batch(self) -> list[_Look | _Publish | _Stop]:
        """Wait for a request, and take those with it that come within the debounce time."""
        until = time.monotonic() + (TRIAL_LOOK_EVERY_S if self.rollout.trial else self._look_every_s)
        while True:
            self._progress.passed()
            left = until - time.monotonic()
            try:
                batch = [self._requests.get(timeout=min(max(left, 0.0), SIGN_S))]
                break
            except queue.Empty:
                if left <= SIGN_S:
                    return [_Look()] if self._retrain_every_s and not self.rollout.trial else []
        if isinstance(batch[0], _Look):
            time.sleep(DEBOUNCE_S)
        while not self._requests.empty():
            batch.append(self._requests.get_nowait())
        return batch

    def _renew(self) -> None:
        """Sign the repository's state again at start, every day and when the clock was put right, until it succeeds."""
        if time.monotonic() < self._next_renewal:
            return
        self._next_renewal = time.monotonic() + LOOK_EVERY_S
        try:
            if not self._renewed or not self._publisher.fresh(datetime.now(UTC)):
                self._publisher.renew(datetime.now(UTC))
                self._renewed = True
        except (StorageError, OSError) as error:
            self._fail(f"the update repository could not be signed again: {error}")

    def _try(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except (SentryError, OSError) as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("the learner failed")
            self._fail(repr(error))

    def _fail(self, words: str) -> None:
        if not self._stopping:
            log.error("%s", words)
            self._state = f"failed: {words}"

    def _look(self, by_hand: bool) -> None:
        """Run what is due, then say what the rest waits for."""
        stocks = self._take_stock()
        evidence = self._gather(stocks, by_hand)
        due = [known for known in evidence if not known.lacking]
        if by_hand:
            self._record_waiting(known for known in evidence if known.lacking)
        if due:
            self._state = "running"
            self._learn(due)
            evidence = self._gather(stocks, by_hand=False)
        self._waits_for = {known.task.name: known.lacking for known in evidence if known.lacking}
        self._by_time = {known.task.name: vars(known.by_time) for known in evidence if known.by_time}
        self._state = "idle"

    def _observe(self) -> None:
        """Take in what came, in portions, until it is all or somebody wants something; look again if it has drifted."""
        with self._store.read() as connection:
            there = stream_feed.extent(connection)
        behind = there != self._observed
        complaints: Mapping[str, str] = {}
        foreign = False
        while behind and self._requests.empty() and not self._stopping:
            outcome = self._worker.ask(self._observation())
            self._stream, behind, complaints = outcome.stream, outcome.behind, outcome.complaints
            self._observed = None if behind else there
            foreign = outcome.foreign
        if foreign and self.rollout.trial:
            self._step_back(BY_CANARY, "it is for another expression model than the one in force")
            self._requests.put(_Look())
        elif complaints:
            self._step_back(BY_ERROR, "; ".join(f"{task}: {words}" for task, words in complaints.items()))
        drifted = self._newest_drift(self._tasks)
        if drifted is not None and drifted > (self._drifted or 0.0):
            self._requests.put(_Look())
        self._drifted = drifted

    def _observation(self) -> Observe:
        newest = self.rollout.trial.version if self.rollout.trial else self.model_version
        with self._store.read() as connection:
            parent = registry.parent_of(connection, newest)
            return Observe(newest, parent, registry.learned_in(connection, newest))

    def _newest_drift(self, tasks: Iterable[Task]) -> float | None:
        """When something last changed that concerns one of these tasks."""
        concerned = {None, *(task.name for task in tasks)}
        return max((drift["time"] for drift in self._stream["drifts"] if drift["task"] in concerned), default=None)

    def _take_stock(self) -> Mapping[str, Stock]:
        """What there is to learn from; while there is no label, a worker that still starts need not be asked."""
        with self._store.read() as connection:
            labelled = connection.scalar(select(schema.labels.c.row).limit(1)) is not None
        if not labelled:
            return {task.name: policy.stock(task, []) for task in self._tasks}
        outcome = self._worker.ask(Prepare())
        self._set_aside = outcome.set_aside
        return outcome.stocks

    def _gather(self, stocks: Mapping[str, Stock], by_hand: bool) -> list[_Evidence]:
        now = time.time()
        with self._store.read() as connection:
            return [self._weigh(connection, task, stocks[task.name], now, by_hand) for task in self._tasks]

    def _weigh(self, connection: Connection, task: Task, there: Stock, now: float, by_hand: bool) -> _Evidence:
        last_run = registry.last_run(connection, task.name) or self._born
        fresh = news(connection, task.name, registry.last_label_seen(connection, task.name), last_run)
        drift = self._newest_drift([task])
        why = policy.occasion(now, last_run, self._labels_per_run, self._retrain_every_s, drift, by_hand)
        lacking = policy.lacking(there, fresh.count, why.wanted) or self._on_trial()
        by_time = policy.by_time(there, fresh.count, why, last_run, self._retrain_every_s)
        return _Evidence(task, there, fresh.newest, why.trigger, lacking, by_time)

    def _on_trial(self) -> str:
        """What a run waits for while a version is tried, in words."""
        trial = self.rollout.trial
        return f"version {trial.version} to prove itself on {', '.join(trial.agents)}" if trial else ""

    def _learn(self, due: list[_Evidence]) -> None:
        now, parent, version = time.time(), self.model_version, self._next_version()
        outcome = self._worker.ask(Learn(tuple(known.task.name for known in due), version, parent, now))
        looked = {known.task.name: known for known in due}
        parent = outcome.parent
        first = self.rollout.first_agent() if parent and outcome.bundle is not None else None
        passed, where = (registry.PUBLISHED, "") if first is None else (registry.CANARY, f"; {first} tries it first")
        decisions = [
            Decision(
                time=now,
                trigger=looked[finding.task].trigger,
                task=finding.task,
                verdict=passed if finding.passed else registry.REFUSED,
                reason=finding.reason + self._rivalry(finding.task) + (where if finding.passed else ""),
                candidate=version,
                parent=parent,
                version=version if finding.passed else None,
                labels=finding.labels,
                people=finding.people,
                metrics={**finding.metrics, "stream": self._stream["tasks"].get(finding.task)},
                last_label=looked[finding.task].last_label,
            )
            for finding in outcome.findings
        ]
        self._conclude(outcome, version, parent, now, decisions, first)

    def _rivalry(self, task: str) -> str:
        """What the decision says of the online challenger: something only where it is ahead."""
        known = self._stream["tasks"].get(task)
        if not known or not known["challenger_leads"]:
            return ""
        return (
            f"; the online challenger is ahead on {known['compared']} labels as they came "
            f"(balanced accuracy {known['challenger']:.2f} against {known['head']:.2f})"
        )

    def _judge_trial(self) -> None:
        """Ask how the canaries are, and end the trial if that decides it."""
        step = self.rollout.look()
        if step is None or step.kind == WAIT:
            return
        if step.kind == BACK:
            self._step_back(BY_CANARY, step.words)
        elif step.kind == PASS:
            self.rollout.promote(step.words)
        self._on_published()
        self._requests.put(_Look())

    def _settle(self, request: _Publish) -> None:
        try:
            request.done.set_result(request.work())
        except Exception as error:
            request.done.set_exception(error)

    def _roll_back(self, to: int | None, entry: Entry | None) -> int:
        trial = self.rollout.trial
        newest = trial.version if trial else self.model_version
        with self._store.read() as connection:
            source = to if to is not None else registry.parent_of(connection, newest)
            if not source:
                raise InputError("the current model has no parent to go back to")
            registry.bundle_of(connection, source)
        if source == newest:
            raise InputError(f"version {source} is {'tried now' if trial else 'the current one'}")
        words = f"rolled back by hand from version {newest} to the heads of version {source}"
        return self._republish(source, BY_ROLLBACK, words, entry=entry)

    def _apply_threshold(self, name: str, threshold: float, entry: Entry | None, version: int | None) -> int:
        if self.rollout.trial:
            raise RequestRefused(f"this waits for {self._on_trial()}; try again later, or roll back first")
        if version not in (None, self.model_version):
            now = f"version {self.model_version} is in use by now"
            raise RequestRefused(f"the threshold was chosen for version {version}, and {now}; ask for advice on it")
        with self._store.read() as connection:
            live = registry.live_tasks(connection, self.model_version)
        task = next((task for task in self._tasks if task.name == name), None)
        if task is None or name not in live:
            raise InputError(f"task {name[:40]!r} has no live head whose threshold could be set")
        task.with_threshold(threshold)
        words = f"{name}: alerts from {threshold:.2f} on, applied by hand to the heads of version {self.model_version}"
        return self._republish(self.model_version, BY_THRESHOLD, words, {name: threshold}, entry)

    def _step_back(self, trigger: str, complaint: str) -> None:
        """The newest version does worse than its parent would: publish the parent's heads again."""
        trial = self.rollout.trial
        newest = trial.version if trial else self.model_version
        with self._store.read() as connection:
            source = registry.parent_of(connection, newest)
        place = f", tried on {', '.join(trial.agents)}," if trial else ""
        words = f"rolled back by itself from version {newest}{place} to the heads of version {source}: {complaint}"
        log.warning("%s", words)
        self._republish(source, trigger, words)

    def _republish(
        self,
        source: int,
        trigger: str,
        reason: str,
        thresholds: Mapping[str, float] | None = None,
        entry: Entry | None = None,
    ) -> int:
        now, version, before = time.time(), self._next_version(), self.model_version
        with self._store.read() as connection:
            seen = {task.name: registry.last_label_seen(connection, task.name) for task in self._tasks}
        outcome = self._worker.ask(Republish(source, version, now, thresholds or {}))
        decisions = [
            Decision(
                now, trigger, name, registry.PUBLISHED, reason, version, before, version, 0, 0,
                outcome.metrics[name], seen[name],
            )
            for name in thresholds or outcome.live
        ]  # fmt: skip
        self._conclude(outcome, version, source, now, decisions, entry=entry)
        return version

    def _conclude(
        self,
        outcome: Outcome,
        version: int,
        parent: int,
        now: float,
        decisions: Sequence[Decision],
        first: str | None = None,
        entry: Entry | None = None,
    ) -> None:
        """Write down what was decided, and publish the bundle if there is one."""
        if outcome.bundle is None:
            with self._store.write() as connection:
                registry.record(connection, decisions)
            return
        model = Model(version, parent, now, outcome.live, outcome.metrics, outcome.bundle)
        self.rollout.publish(model, decisions, first, entry)
        self._on_published()

    def _outbid_the_lost(self) -> None:
        """After a restore agents may run versions that went with the disk: offer the live heads above their numbers."""
        if self._outbid or self._stopping:
            return
        floor, live = self._publisher.floor(), self.model_version
        if 0 < live <= floor:
            words = f"restored from a backup: the heads of version {live} go on, above the numbers that may be lost"
            self._republish(live, BY_RESTORE, words)
        self._outbid = True

    def _next_version(self) -> int:
        with self._store.read() as connection:
            known = registry.highest_version(connection)
        return max(known, self._publisher.current_version(), self._publisher.floor()) + 1

    def _record_waiting(self, evidence: Iterable[_Evidence]) -> None:
        now = time.time()
        decisions = [
            Decision(
                time=now,
                trigger=BY_HAND,
                task=known.task.name,
                verdict=registry.WAITING,
                reason=f"waits for {known.lacking}",
                candidate=None,
                parent=self.model_version,
                version=None,
                labels=known.stock.labels,
                people=known.stock.people,
                metrics={},
                last_label=0,
            )
            for known in evidence
        ]
        with self._store.write() as connection:
            registry.record(connection, decisions)
