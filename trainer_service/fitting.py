"""From labels in the store to a judged bundle: the work of the learner's own process.

Pooled windows are kept by window id (they never change), so a run costs a fit and not a pass over the store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import singledispatchmethod
from typing import Any

import numpy as np
from sqlalchemy import select

from sentry_proto.codec import decode_record
from sentry_proto.layout import N_MODALITIES, N_SECOND
from sentry_proto.tasks import Task
from sentry_proto.types import FeatureWindow, Float32, Window
from trainer_service import registry, schema
from trainer_service.candidate import make_candidate, needed
from trainer_service.expression import names_of, set_aside
from trainer_service.jobs import THRESHOLD, Finding, Job, Learn, Observe, Outcome, Prepare, Republish
from trainer_service.labels import Opinion
from trainer_service.opinions import OpinionFeed
from trainer_service.policy import stock
from trainer_service.probation import complaint, scored_by
from trainer_service.store import Store
from trainer_service.stream_feed import StreamFeed
from training.evaluation.gate import LEAST_WINDOWS
from training.export.state_heads import export_bundle, load_bundle
from training.feature_space import SECOND_SPACE
from training.pooling import pool
from training.trainers.state_heads import TaskHead, fit_head

NOT_YET = "not calibrated yet: no head has passed its gate"
READ_AT_ONCE = 200


class Workbench:
    """Does the learner's jobs, one after another."""

    def __init__(self, store: Store, tasks: Sequence[Task], backbone: str = "") -> None:
        self._store, self._backbone, self._names = store, backbone, names_of(backbone)
        self._tasks = {task.name: task for task in tasks}
        self._feeds = {task.name: OpinionFeed(task.name, self._names) for task in tasks}
        self._pooled: dict[str, Float32] = {}
        self._stream = StreamFeed(store, tasks, self._look_up, self._names)

    def warm_up(self) -> None:
        """Pay for first calls (compilation, thread pools) before a person waits for them."""
        task = next(iter(self._tasks.values()))
        count = 2 * len(task.classes)
        pooled = np.random.default_rng(0).normal(size=(count, SECOND_SPACE.n_pooled)).astype(np.float32)
        allowed = np.eye(len(task.classes), dtype=bool)[np.arange(count) % len(task.classes)]
        head = fit_head(task, pooled, allowed, np.ones(count), [str(i) for i in range(count)])
        export_bundle({task.name: head}, 1, 0, 0.0, {}, {})

    @singledispatchmethod
    def do(self, job: Job) -> Outcome:
        """Do one job."""
        raise TypeError(f"no such job: {job!r}")

    @do.register
    def _(self, job: Prepare) -> Outcome:
        held = self._opinions(self._tasks)
        for opinions in held.values():
            self._fetch(needed(opinions))
        with self._store.read() as connection:
            aside = set_aside(connection, self._names)
        stocks = {name: stock(self._tasks[name], opinions) for name, opinions in held.items()}
        return Outcome(stocks=stocks, set_aside=aside)

    @do.register
    def _(self, job: Observe) -> Outcome:
        behind = self._stream.step()
        foreign = not behind and bool(job.live) and not self._fits(self._backbone_of(job.live))
        complaints = {} if behind or foreign or not job.parent else self._complaints(job)
        return Outcome(stream=self._stream.watch.describe(), behind=behind, complaints=complaints, foreign=foreign)

    @do.register
    def _(self, job: Learn) -> Outcome:
        heads, metrics, backbone = self._live(job.parent)
        parent = job.parent
        if not self._fits(backbone):  # heads on other features are nothing to start from or to be compared with
            heads, metrics, parent = {}, {}, 0
        findings = []
        for name, held in self._opinions(job.tasks).items():
            live = metrics.get(name, {})
            candidate, finding = make_candidate(self._tasks[name], held, self._fetch, heads.get(name), live)
            findings.append(finding)
            if finding.passed:
                kept = {THRESHOLD: live[THRESHOLD]} if THRESHOLD in live else {}
                heads[name], metrics[name] = candidate, {**_of_nobody(finding.metrics), **kept}
        if not any(finding.passed for finding in findings):
            return Outcome(tuple(findings), parent=parent)
        reasons = {finding.task: finding.reason for finding in findings}
        return self._compose(heads, metrics, reasons, job.version, parent, job.now, self._backbone, tuple(findings))

    @do.register
    def _(self, job: Republish) -> Outcome:
        heads, metrics, backbone = self._live(job.source)
        for name, threshold in job.thresholds.items():
            metrics[name] = {**metrics[name], THRESHOLD: threshold}
        return self._compose(heads, metrics, {}, job.version, job.source, job.now, backbone)

    def _complaints(self, job: Observe) -> dict[str, str]:
        with self._store.read() as connection:
            scored = scored_by(connection, job.live)
        if len(scored) < LEAST_WINDOWS:
            return {}
        everything = self._opinions(job.tasks)
        held = {name: [one for one in opinions if one.window_id in scored] for name, opinions in everything.items()}
        if not any(len(some) >= LEAST_WINDOWS for some in held.values()):
            return {}
        (live, *_), (parent, *_) = self._live(job.live), self._live(job.parent)
        found = {}
        for name in [name for name in job.tasks if name in live and name in parent]:
            pooled = self._fetch(held[name])
            said = [heads[name].predict(pooled).mean for heads in (live, parent)]
            if words := complaint(self._tasks[name], held[name], *said):
                found[name] = words
        return found

    def _compose(
        self,
        heads: Mapping[str, TaskHead],
        metrics: Mapping[str, Mapping[str, Any]],
        reasons: Mapping[str, str],
        version: int,
        parent: int,
        now: float,
        backbone: str,
        findings: tuple[Finding, ...] = (),
    ) -> Outcome:
        abstaining = {name: reasons.get(name, NOT_YET) for name in self._tasks if name not in heads}
        applied = {name: replace(head, task=self._task(name, metrics[name])) for name, head in heads.items()}
        bundle = export_bundle(applied, version, parent, now, abstaining, metrics, backbone=backbone)
        return Outcome(findings, bundle, tuple(heads), metrics, parent=parent)

    def _fits(self, backbone: str) -> bool:
        """Whether heads with this in their metadata are for the expression model that is in force."""
        return backbone in self._names

    def _backbone_of(self, version: int) -> str:
        with self._store.read() as connection:
            return load_bundle(registry.bundle_of(connection, version))[0].backbone

    def _live(self, version: int) -> tuple[dict[str, TaskHead], dict[str, Mapping[str, Any]], str]:
        """Heads and metrics of a published version, of those tasks whose classes are still the same; its backbone."""
        if not version:
            return {}, {}, self._backbone
        with self._store.read() as connection:
            metadata, found = load_bundle(registry.bundle_of(connection, version))
        heads = {
            name: replace(head, task=self._tasks[name])
            for name, head in found.items()
            if name in self._tasks and head.task.classes == self._tasks[name].classes
        }
        return heads, {name: metadata.metrics.get(name, {}) for name in heads}, metadata.backbone

    def _task(self, name: str, metrics: Mapping[str, Any]) -> Task:
        """A task as configured, with the threshold that was applied to it since."""
        task = self._tasks[name]
        return task.with_threshold(metrics[THRESHOLD]) if task.alert and THRESHOLD in metrics else task

    def _opinions(self, tasks: Iterable[str]) -> dict[str, list[Opinion]]:
        with self._store.read() as connection:
            return {name: self._feeds[name].read(connection) for name in tasks}

    def _fetch(self, held: Sequence[Opinion]) -> Float32:
        """Pooled windows of these opinions, float32 [N, D]."""
        self._pooled |= self._look_up(list({opinion.window_id for opinion in held}))
        rows_of = [self._pooled[opinion.window_id] for opinion in held]
        return np.stack(rows_of) if rows_of else np.zeros((0, SECOND_SPACE.n_pooled), np.float32)

    def _look_up(self, window_ids: Sequence[str]) -> dict[str, Float32]:
        """Pooled windows by id, from memory where they are kept."""
        found = {window_id: self._pooled[window_id] for window_id in window_ids if window_id in self._pooled}
        missing = [window_id for window_id in window_ids if window_id not in found]
        for first in range(0, len(missing), READ_AT_ONCE):
            some = missing[first : first + READ_AT_ONCE]
            columns = (schema.windows.c.window_id, schema.windows.c.record)
            with self._store.read() as connection:
                rows = connection.execute(select(*columns).where(columns[0].in_(some))).all()
            found |= _pool({row.window_id: row.record for row in rows})
        return found


def _of_nobody(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A decision's metrics as they go to every agent: without the names of doubted raters."""
    raters = {what: value for what, value in metrics["raters"].items() if what != "doubted"}
    return {**metrics, "raters": raters}


def _pool(records: Mapping[str, bytes]) -> dict[str, Float32]:
    """Pool encoded windows, those of equal length together."""
    by_length: defaultdict[int, dict[str, FeatureWindow]] = defaultdict(dict)
    for window_id, data in records.items():
        record = decode_record(data)
        if isinstance(record, Window):
            by_length[len(record.features.values)][window_id] = record.features
    pooled: dict[str, Float32] = {}
    for seconds, windows in by_length.items():
        features = list(windows.values())
        values = np.stack([f.values for f in features]).reshape(-1, seconds, N_SECOND)
        coverage = np.stack([f.coverage for f in features]).reshape(-1, seconds, N_MODALITIES)
        baseline = np.stack([np.stack([f.baseline.centre, f.baseline.scale]) for f in features])
        pooled |= dict(zip(windows, pool(values, coverage, baseline), strict=True))
    return pooled
