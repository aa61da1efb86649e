"""The learner with its real worker process, on invented windows with a known truth."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError, RequestRefused, StorageError
from sentry_proto.layout import SECOND_FEATURES
from sentry_proto.tasks import DEFAULT_TASKS, AlertRule
from sentry_proto.types import Window
from tests.e2e.study import eventually
from tests.e2e.wire_agent import windows_of_states
from tests.trainer_service.conftest import arrival, hex_id, label
from trainer_service import keyring, labels, registry, views
from trainer_service import learner as learner_module
from trainer_service.jobs import Prepare, Republish
from trainer_service.keyring import Home
from trainer_service.learner import Learner
from trainer_service.publisher import Publisher
from trainer_service.rollout import Rollout
from trainer_service.store import Store
from trainer_service.worker import LearnerFailed, Worker
from training.export.state_heads import export_bundle, load_bundle

pytestmark = pytest.mark.slow


@dataclass
class School:
    """A store full of unlabelled windows, and a learner."""

    store: Store
    publisher: Publisher
    worker: Worker
    learner: Learner
    truth: list[tuple[str, str]]
    published: threading.Event
    given: int = field(default=0)

    def teach(self, count: int, flip: Callable[[str], str] = str) -> None:
        """Label so many further windows in one transaction."""
        with self.store.write() as connection:
            for window_id, state in self.truth[self.given : self.given + count]:
                self.given += 1
                labels.put(connection, label(self.given, window_id, flip(state)), time.time())
        self.learner.nudge()

    def decisions(self) -> list[dict[str, Any]]:
        """Newest first."""
        with self.store.read() as connection:
            return views.decisions(connection, 100)

    def models(self) -> dict[int, str]:
        """Version -> status."""
        with self.store.read() as connection:
            return {model["version"]: model["status"] for model in views.models(connection)}

    def decided(self, count: int) -> list[dict[str, Any]]:
        """The decisions, once there are so many."""
        return eventually(lambda: self.decisions() if len(self.decisions()) >= count else None, 60, "a decision")


@pytest.fixture
def school(home: Home, store: Store) -> Iterator[School]:
    pairs = list(windows_of_states(6, 40, effect=2.0))
    by_turns = [pairs[person * 40 + n] for n in range(40) for person in range(6)]
    store.ingest([arrival(window, n) for n, (window, _) in enumerate(by_turns, 1)], 0.0)
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    worker, published = Worker(store.database, DEFAULT_TASKS), threading.Event()
    learner = Learner(store, publisher, worker, DEFAULT_TASKS, 10, published.set)
    learner.start()
    truth = [(window.window_id, state) for window, state in by_turns]
    yield School(store, publisher, worker, learner, truth, published)
    learner.stop()


def test_from_abstaining_over_a_first_version_to_a_rollback(school: School) -> None:
    school.teach(9)
    waits = "1 more label and 17 more labelled windows of held-out people"
    eventually(lambda: school.learner.describe()["waits_for"].get("stress") == waits, 30, "it says what it waits for")
    school.teach(60)
    (decision,) = school.decided(1)
    assert (decision["verdict"], decision["version"], decision["parent"]) == ("published", 1, 0)
    assert (decision["trigger"], decision["labels"], decision["people"]) == ("labels", 69, 6)
    assert school.published.wait(5)
    eventually(lambda: school.models() == {1: "current"}, 5, "version 1 is settled")
    with school.store.read() as connection:
        shipped = load_bundle(registry.bundle_of(connection, 1))[0].metrics["stress"]
    assert set(shipped["raters"]) == {"count", "largest_share"}, "who was doubted is no business of the agents"
    assert decision["metrics"]["raters"] == {**shipped["raters"], "doubted": []}
    assert school.learner.model_version == school.publisher.current_version() == 1

    school.learner.retrain()
    second = school.decided(2 + len(DEFAULT_TASKS) - 1)
    assert {entry["verdict"] for entry in second if entry["task"] != "stress"} == {"waiting"}
    eventually(lambda: school.learner.describe()["state"] == "idle", 30, "the run by hand ends")
    (again,) = [entry for entry in second if entry["task"] == "stress" and entry["trigger"] == "by hand"]
    assert "not worse than the incumbent" in again["reason"], "the same labels make the same head"
    with pytest.raises(InputError, match="version 2 is the current one"):
        school.learner.rollback(2)
    with pytest.raises(InputError, match="no model version 99"):
        school.learner.rollback(99)


def test_a_learner_that_waits_for_labels_names_the_time_at_which_it_runs_all_the_same(school: School) -> None:
    school.learner._retrain_every_s = 3_600.0
    school.teach(69)
    (first,) = school.decided(1)
    school.teach(3)
    eventually(
        lambda: school.learner.describe()["waits_for"].get("stress") == "7 more labels", 30, "it has seen the three"
    )
    by_time = school.learner.describe()["by_time"]["stress"]
    assert by_time == {"time": pytest.approx(first["time"] + 3_600), "labels": 0}


def test_a_rollback_publishes_the_old_heads_under_a_new_number(school: School) -> None:
    school.teach(69)
    eventually(lambda: school.models() == {1: "current"}, 60, "version 1")
    school.teach(140)
    eventually(lambda: school.models() == {1: "superseded", 2: "current"}, 60, "version 2")
    assert school.learner.rollback(None) == 3
    assert school.models() == {1: "superseded", 2: "rolled back", 3: "current"}
    assert school.publisher.current_version() == school.learner.model_version == 3
    with school.store.read() as connection:
        (_, first), (metadata, third) = (load_bundle(registry.bundle_of(connection, n)) for n in (1, 3))
    assert (metadata.version, metadata.parent) == (3, 1)
    assert (first["stress"].weights == third["stress"].weights).all()
    assert school.decisions()[0]["trigger"] == "rollback"


def test_a_threshold_is_published_kept_by_the_next_version_and_undone_by_a_rollback(school: School) -> None:
    def rule(version: int) -> AlertRule:
        with school.store.read() as connection:
            metadata, _ = load_bundle(registry.bundle_of(connection, version))
        (task,) = metadata.tasks
        assert task.alert is not None
        return task.alert

    with pytest.raises(InputError, match="'stress' has no live head"):
        school.learner.apply_threshold("stress", 0.8)
    school.teach(69)
    eventually(lambda: school.models() == {1: "current"}, 60, "version 1")
    with pytest.raises(InputError, match="above 0 and at most 1"):
        school.learner.apply_threshold("stress", 1.5)
    assert school.learner.apply_threshold("stress", 0.3, version=1) == 2
    with pytest.raises(RequestRefused, match="chosen for version 1, and version 2 is in use by now"):
        school.learner.apply_threshold("stress", 0.4, version=1)
    assert school.models() == {1: "superseded", 2: "current"}
    assert (rule(1).threshold, rule(2).threshold, rule(2).release) == (0.6, 0.3, 0.3)
    with school.store.read() as connection:
        first, second = (load_bundle(registry.bundle_of(connection, n))[1]["stress"] for n in (1, 2))
    assert (first.weights == second.weights).all()
    decision = school.decisions()[0]
    assert (decision["trigger"], decision["task"], decision["verdict"]) == ("threshold", "stress", "published")
    assert "alerts from 0.30 on" in decision["reason"]
    school.teach(140)
    eventually(lambda: school.models().get(3) == "current", 60, "version 3")
    assert rule(3).threshold == 0.3
    assert school.learner.rollback(1) == 4
    assert rule(4).threshold == 0.6


def test_wrong_labels_are_refused_with_the_reason(school: School) -> None:
    scrambled = {"calm": "stressed", "mildly stressed": "calm", "stressed": "mildly stressed"}
    turns = iter(range(10_000))
    school.teach(120, lambda state: scrambled[state] if next(turns) % 2 else state)
    (decision,) = school.decided(1)
    assert decision["verdict"] == "refused"
    assert "not shown to be better than a constant forecast" in decision["reason"]
    assert (decision["candidate"], decision["version"]) == (1, None)
    eventually(lambda: school.learner.describe()["state"] == "idle", 10, "the run ends")
    assert (school.publisher.current_version(), school.models()) == (0, {})


def test_a_bundle_of_the_current_tasks_only(school: School) -> None:
    school.teach(120)
    eventually(school.publisher.current_version, 60, "version 1")
    with school.store.read() as connection:
        metadata, heads = load_bundle(registry.bundle_of(connection, 1))
    assert list(heads) == ["stress"]
    assert set(metadata.abstaining) == {"focus", "anxiety", "depression"}
    assert metadata.metrics["stress"]["improvement"] > 0


def test_a_dead_worker_is_replaced(school: School) -> None:
    school.teach(3)
    school.worker._process.kill()
    school.worker._process.join()
    school.teach(120)
    eventually(school.publisher.current_version, 60, "version 1 in spite of the death")


def test_a_failed_job_is_told_and_the_next_one_works(school: School) -> None:
    worker = Worker(school.store.database, DEFAULT_TASKS)  # the learner's own is for the learner alone
    with pytest.raises(LearnerFailed, match="no model version 5"):
        worker.ask(Republish(5, 6, 0.0))
    assert worker.ask(Prepare()).bundle is None
    worker.close()


def test_one_withdrawn_label_is_learned_from_when_its_time_has_come(school: School) -> None:
    school.teach(120)
    school.decided(1)
    school.learner.stop()
    worker = Worker(school.store.database, DEFAULT_TASKS)
    timed = Learner(school.store, school.publisher, worker, DEFAULT_TASKS, 10, school.published.set, 1.0)
    timed.start()
    time.sleep(2.5)
    assert len(school.decisions()) == 1, "without news there is nothing to learn"
    with school.store.write() as connection:
        labels.withdraw(connection, hex_id(7), time.time())
    newest, _ = school.decided(2)
    assert (newest["trigger"], newest["labels"]) == ("time", 119)
    timed.stop()


def test_a_drift_raises_the_audit_and_makes_one_label_enough(school: School) -> None:
    school.teach(120)
    school.decided(1)
    assert school.learner.audit_probability(time.time()) == 0.0
    dark = [darker(window) for window, _ in windows_of_states(3, 50, seed=9)]
    school.store.ingest([arrival(window, 1_000 + n) for n, window in enumerate(dark)], time.time())
    school.teach(1)
    newest, _ = school.decided(2)
    assert (newest["trigger"], newest["labels"]) == ("drift", 121)
    stream = school.learner.describe()["stream"]
    assert {drift["signal"] for drift in stream["drifts"]} == {"feature brightness_mean.level"}
    assert stream["audit_probability"] == pytest.approx(0.2, rel=0.05)
    assert newest["metrics"]["stream"]["labels"] == stream["tasks"]["stress"]["labels"] == 121


def test_a_version_that_errs_more_than_its_parent_would_goes_back_by_itself(school: School) -> None:
    school.teach(69)
    eventually(lambda: school.models() == {1: "current"}, 60, "version 1")
    school.learner.stop()
    publish_inverted(school)
    seen = [(dataclasses.replace(window, model_version=2), state) for window, state in windows_of_states(3, 12, seed=5)]
    school.store.ingest([arrival(window, 2_000 + n) for n, (window, _) in enumerate(seen)], time.time())
    with school.store.write() as connection:
        for number, (window, state) in enumerate(seen, 500):
            labels.put(connection, label(number, window.window_id, state), time.time())
    worker = Worker(school.store.database, DEFAULT_TASKS)
    watchful = Learner(school.store, school.publisher, worker, DEFAULT_TASKS, 1_000, school.published.set)
    watchful.start()
    newest = school.decided(3)[0]
    assert (newest["trigger"], newest["version"], newest["parent"]) == ("online error", 3, 2)
    assert "rolled back by itself from version 2 to the heads of version 1: stress: on 36 labels" in newest["reason"]
    eventually(lambda: school.models() == {1: "superseded", 2: "rolled back", 3: "current"}, 10, "version 3")
    with school.store.read() as connection:
        (_, first), (_, third) = (load_bundle(registry.bundle_of(connection, n)) for n in (1, 3))
    assert (first["stress"].weights == third["stress"].weights).all()
    time.sleep(1)
    assert len(school.decisions()) == 3, "and stays there"
    watchful.stop()


def test_a_trial_of_heads_for_another_expression_model_ends_with_a_decision(school: School) -> None:
    school.teach(69)
    eventually(lambda: school.models() == {1: "current"}, 60, "version 1")
    school.learner.stop()
    with school.store.read() as connection:
        metadata, heads = load_bundle(registry.bundle_of(connection, 1))
    bundle = export_bundle(heads, 2, 1, time.time(), metadata.abstaining, metadata.metrics)
    model = registry.Model(2, 1, time.time(), ("stress",), metadata.metrics, bundle)
    decision = registry.Decision(time.time(), "labels", "stress", registry.CANARY, "", 2, 1, 2, 69, 6, {}, 69)
    rollout = Rollout(school.store, school.publisher, seconds=60.0)
    rollout.publish(model, [decision], first="away")
    worker = Worker(school.store.database, DEFAULT_TASKS, "ab" * 32)
    learner = Learner(
        school.store, school.publisher, worker, DEFAULT_TASKS, 10, school.published.set,
        rollout=Rollout(school.store, school.publisher, seconds=60.0),
    )  # fmt: skip
    assert learner.rollout.trial is not None
    learner.start()
    newest = school.decided(3)[0]
    assert (newest["trigger"], newest["version"]) == ("canary", 3)
    assert "it is for another expression model than the one in force" in newest["reason"]
    eventually(lambda: school.models().get(3) == "current", 10, "the heads before it are for all again")
    eventually(lambda: learner.describe()["set_aside"] == 69, 20, "the labelled windows are counted")
    assert learner.rollout.trial is None
    learner.stop()


def publish_inverted(school: School) -> None:
    """A second version that says the opposite of the first, as if its gate had been deceived."""
    now = time.time()
    with school.store.read() as connection:
        metadata, heads = load_bundle(registry.bundle_of(connection, 1))
    worse = dataclasses.replace(heads["stress"], weights=-heads["stress"].weights)
    bundle = export_bundle({"stress": worse}, 2, 1, now, metadata.abstaining, metadata.metrics)
    decision = registry.Decision(now, "labels", "stress", registry.PUBLISHED, "", 2, 1, 2, 69, 6, {}, 69)
    with school.store.write() as connection:
        registry.announce(connection, registry.Model(2, 1, now, ("stress",), metadata.metrics, bundle))
        registry.record(connection, [decision])
        school.publisher.publish(2, bundle, datetime.now(UTC))
        registry.settle(connection, 2, now)


def darker(window: Window) -> Window:
    column = [feature.name for feature in SECOND_FEATURES].index("brightness_mean")
    values = window.features.values.copy()
    values[:, column] = 0.9
    return dataclasses.replace(window, features=dataclasses.replace(window.features, values=values))


def test_labels_of_a_run_that_was_cut_off_are_learned_from_after_the_restart(school: School) -> None:
    school.learner.stop()
    school.teach(120)
    worker = Worker(school.store.database, DEFAULT_TASKS)
    again = Learner(school.store, school.publisher, worker, DEFAULT_TASKS, 10, school.published.set)
    again.start()
    eventually(school.publisher.current_version, 60, "version 1 after the restart")
    again.stop()


def test_signatures_of_a_wrong_clock_are_renewed_soon_and_a_renewal_that_failed_is_tried_again(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner_module, "LOOK_EVERY_S", 0.2)
    full = threading.Event()

    def write(path: Path, data: bytes) -> None:
        if full.is_set():
            raise StorageError("the disk is full")
        write_durable(path, data)

    publisher = Publisher(home.repository, keyring.load_online_signers(home), write)
    worker = Worker(store.database, DEFAULT_TASKS)
    learner = Learner(store, publisher, worker, DEFAULT_TASKS, 10, lambda: None)
    learner.start()
    try:
        eventually(lambda: publisher.fresh(datetime.now(UTC)), 30, "it signs at its start")
        for wrong in (timedelta(days=730), timedelta(days=-730)):
            full.set()
            time.sleep(0.5)  # the learner must not sign in the same moment as this test
            Publisher(home.repository, keyring.load_online_signers(home)).renew(datetime.now(UTC) + wrong)
            eventually(lambda: "disk is full" in learner.describe()["state"], 30, "it cannot sign")
            assert not publisher.fresh(datetime.now(UTC))
            full.clear()
            eventually(lambda: publisher.fresh(datetime.now(UTC)), 30, "it signs once there is room")
    finally:
        learner.stop()


def test_a_job_that_takes_too_long_ends_the_process_and_the_next_is_done_by_another(store: Store) -> None:
    worker, waited = Worker(store.database, DEFAULT_TASKS), []
    worker.ask(Prepare())
    worker.on_wait = lambda: waited.append(time.monotonic())
    worker._patience_s = 3.0
    os.kill(worker._process.pid or 0, signal.SIGSTOP)
    with pytest.raises(LearnerFailed, match="gave no answer in 3 s and was ended"):
        worker.ask(Prepare())
    assert len(waited) >= 2
    worker._patience_s = 60.0
    assert worker.ask(Prepare()).stocks
    worker.close()
