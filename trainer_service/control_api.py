"""The control API: one method for each entry of docs/control-api.md, called with its parameters by name."""

from __future__ import annotations

import copy
import inspect
import logging
import time
import typing
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Table, select

from sentry_proto.control import decode_request, encode_error, encode_result
from sentry_proto.errors import InputError, MalformedMessage, RequestRefused, SentryError
from sentry_proto.keys import AGENT, AllowList
from sentry_proto.tasks import Task, tasks_to_json
from sentry_proto.types import Label, Stratum
from trainer_service import (
    accounts,
    agreement,
    alert_views,
    erasure,
    labels,
    rates,
    remarks,
    schema,
    self_reports,
    threshold_advice,
    views,
)
from trainer_service.account_api import AccountApi
from trainer_service.agreement import AgreementFeed
from trainer_service.audit import Entry
from trainer_service.expression import UNSAID
from trainer_service.fleet import Fleet, Moment
from trainer_service.judged_feed import JudgedFeed
from trainer_service.looks import Looks
from trainer_service.people_api import PeopleApi
from trainer_service.remarks import Remark
from trainer_service.roles import LEAST, Actor, Role
from trainer_service.self_reports import Answer, SelfReport
from trainer_service.store import Store
from trainer_service.throttle import Throttle
from trainer_service.views import checked_limit as _limit

log = logging.getLogger(__name__)

Json = dict[str, Any]
SOFTWARE = version("sentry-lab")
_WORDS = {str: "text", int: "a whole number", float: "a number", list: "a list"}


class Rolling(Protocol):
    """What the API needs of the rollout."""

    def offered(self, agent: str) -> int:
        """The version that this agent is offered; 0 for none."""

    def is_canary(self, agent: str) -> bool:
        """Whether it tries that version before the others."""

    def describe(self) -> Json | None:
        """The trial of a version; None while there is none."""


class Learning(Protocol):
    """What the API needs of the learner."""

    @property
    def model_version(self) -> int:
        """The version that agents are offered; 0 for none."""

    @property
    def rollout(self) -> Rolling:
        """Who is offered what."""

    def describe(self) -> Json:
        """State, last run, last verdict and what it waits for."""

    def nudge(self) -> None:
        """Labels have changed."""

    def retrain(self) -> None:
        """Run now."""

    def rollback(self, to: int | None, entry: Entry) -> int:
        """Publish an old version's heads again, with that entry of the audit log; returns the new version."""

    def apply_threshold(self, task: str, threshold: float, entry: Entry) -> int:
        """Publish the live heads with another alert threshold, likewise; returns the new version."""


class ControlApi(AccountApi, PeopleApi):
    """Answers requests; every public method whose name stands in `METHODS` can be called from outside."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        allowed: AllowList,
        tasks: tuple[Task, ...],
        learner: Learning,
        started: float,
        folder: Path | None = None,
        seen_by: tuple[str, ...] = UNSAID,
    ) -> None:
        """`seen_by` are the names of the expression model in force, see `expression.names_of`."""
        self._store = store
        self._fleet = fleet
        self._allowed = allowed
        self._tasks = {task.name: task for task in tasks}
        self._learner = learner
        self._started = started
        self._folder = folder
        self._throttle = Throttle()
        self._looks = Looks()
        self._judged = {task.name: JudgedFeed(task) for task in tasks}
        self._agreement = {task.name: AgreementFeed(task, seen_by) for task in tasks}

    def answer(self, data: bytes, key: str = "control") -> bytes | None:
        """The reply to a request under a key of this name, or None where the bytes are none; errors are replies too."""
        try:
            request_id, method, params = decode_request(data)
        except (MalformedMessage, RecursionError) as error:
            log.warning("a control request was dropped: %s", error)
            return None
        try:
            return encode_result(request_id, self._call(method, params, key))
        except SentryError as error:
            return encode_error(request_id, error)
        except Exception:
            log.exception("a control request failed")
            return encode_error(request_id, SentryError("the trainer failed at this request; its log says how"))

    def _call(self, method: str, params: Json, key: str) -> Any:
        if method not in METHODS:
            raise InputError(f"there is no method {method[:40]!r}; there are {', '.join(METHODS)}")
        asked = copy.copy(self)  # knows who asks, for as long as it takes to answer
        asked._actor = self._who(params.pop("token", None), key)
        asked._actor.may(method)
        function: Callable[..., Any] = getattr(asked, method)
        check_params(method, function, params)
        return function(**params)

    def _who(self, token: object, key: str) -> Actor:
        """Who asks: without a token the holder of the key, with an empty one nobody."""
        if token is None:
            return Actor(f"key {key}", Role.KEY)
        if not token or not isinstance(token, str):
            return Actor("", Role.GUEST)
        with self._store.read() as connection:
            return accounts.who(connection, token, time.time())

    def status(self) -> Json:
        """The trainer at a glance."""
        with self._store.read() as connection:
            totals = {**views.totals(connection), "unjudged": alert_views.unjudged(connection, self._tasks)}
        return {
            "software": SOFTWARE,
            "started": self._started,
            "now": time.time(),
            "tasks": tasks_to_json(tuple(self._tasks.values())),
            "model_version": self._learner.model_version,
            "rollout": self._learner.rollout.describe(),
            **totals,
            "learner": self._learner.describe(),
        }

    def agents(self) -> list[Json]:
        """Every enrolled agent, also the silent ones."""
        enrolled = [
            name for name, entry in self._allowed.entries.items() if entry["role"] == AGENT and entry["revoked"] is None
        ]
        rollout = self._learner.rollout
        return [
            {**agent, "offered_version": rollout.offered(agent["name"]), "canary": rollout.is_canary(agent["name"])}
            for agent in self._fleet.describe(enrolled, Moment(time.time(), time.monotonic()))
        ]

    def windows(
        self,
        participant: str | None = None,
        agent: str | None = None,
        stratum: str | None = None,
        unlabelled: str | None = None,
        since: int | None = None,
        limit: int = 100,
    ) -> list[Json]:
        """Stored windows, newest first."""
        table = schema.windows.c
        if stratum is not None and stratum not in set(Stratum):
            raise InputError(f"stratum must be one of {', '.join(Stratum)}, not {stratum[:40]!r}")
        if unlabelled is not None:
            self._task(unlabelled)
        conditions = [
            *([table.participant == participant] if participant is not None else []),
            *([table.agent == agent] if agent is not None else []),
            *([table.stratum == stratum] if stratum is not None else []),
            *([views.unlabelled(unlabelled)] if unlabelled is not None else []),
            *([table.row > since] if since is not None else []),
        ]
        with self._store.read() as connection:
            return views.windows(connection, conditions, _limit(limit))

    def window(self, window_id: str) -> Json:
        """One window with its features."""
        with self._store.read() as connection:
            return views.window(connection, window_id)

    def queue(self, task: str, rater: str, limit: int = 20) -> list[Json]:
        """Windows for this rater to review."""
        self._task(task)
        with self._store.read() as connection:
            return views.queue(connection, task, rater, _limit(limit), self._looks)

    def alerts(
        self,
        task: str | None = None,
        participant: str | None = None,
        agent: str | None = None,
        model_version: int | None = None,
        limit: int = 100,
    ) -> list[Json]:
        """Alerts with their verdicts, newest first."""
        where = self._alerts_where(task, participant, agent, model_version)
        with self._store.read() as connection:
            return alert_views.listed(connection, self._tasks, where, _limit(limit))

    def alert_course(
        self,
        task: str | None = None,
        participant: str | None = None,
        agent: str | None = None,
        model_version: int | None = None,
    ) -> Json:
        """How many alerts there were when, by task and verdict."""
        where = self._alerts_where(task, participant, agent, model_version)
        with self._store.read() as connection:
            return alert_views.course(connection, self._tasks, where)

    def alert(self, alert_id: str) -> Json:
        """One alert with its window and what was around it."""
        with self._store.read() as connection:
            return alert_views.one(connection, self._tasks, alert_id)

    def label(
        self,
        label_id: str,
        window_id: str,
        task: str,
        value: str,
        source: str,
        rater: str,
        confidence: float = 1.0,
        created: float | None = None,
    ) -> Json:
        """Store one label, once."""
        now = time.time()
        given = now if created is None else float(created)
        label = Label(label_id, window_id, task, value, source, rater, float(confidence), given)
        labels.check(label, self._tasks)
        self._actor.may_speak_as(rater)
        with self._store.write() as connection:
            fresh = labels.put(connection, label, now)
            if fresh:
                whom, _ = remarks.about(connection, window_id)
                self._note(connection, "label", label_id, whom, f"{task}: {value}, by {rater}")
        if fresh:
            self._learner.nudge()
        return {"stored": True, "fresh": fresh}

    def withdraw(self, label_id: str) -> Json:
        """Take a label back."""
        with self._store.write() as connection:
            self._may_take_back(connection, "withdraw", schema.labels, label_id)
            withdrawn = labels.withdraw(connection, label_id, time.time())
        self._learner.nudge()
        return {"withdrawn": withdrawn}

    def remark(
        self,
        remark_id: str,
        kind: str,
        task: str,
        rater: str,
        window_id: str | None = None,
        participant: str | None = None,
        moment: float | None = None,
        words: str = "",
    ) -> Json:
        """Store what a rater says that is no label, once."""
        now = time.time()
        with self._store.write() as connection:
            if window_id is not None:
                participant, moment = remarks.about(connection, window_id)
            elif participant is None or moment is None:
                raise InputError("a remark is about a window, or about a participant at a time")
            remark = Remark(remark_id, kind, task, participant, float(moment), rater, now, window_id, words)
            remarks.check(remark, self._tasks)
            self._actor.may_speak_as(rater)
            fresh = remarks.put(connection, remark, now)
            if fresh:
                self._note(connection, "remark", remark_id, participant, f"{task}: {kind}, by {rater}")
        return {"stored": True, "fresh": fresh}

    def remarks(self, kind: str | None = None, participant: str | None = None, limit: int = 100) -> list[Json]:
        """What raters have said that is no label, newest first."""
        where = [schema.remarks.c[name] == value for name, value in _given(kind=kind, participant=participant).items()]
        with self._store.read() as connection:
            return remarks.listed(connection, where, _limit(limit))

    def withdraw_remark(self, remark_id: str) -> Json:
        """Take a remark back."""
        with self._store.write() as connection:
            self._may_take_back(connection, "withdraw_remark", schema.remarks, remark_id)
            return {"withdrawn": remarks.withdraw(connection, remark_id, time.time())}

    def _may_take_back(self, connection: Connection, action: str, table: Table, given_id: str) -> None:
        """Whether a label or remark may be withdrawn, which is then written down."""
        columns = (table.c.rater, table.c.participant, table.c.task, table.c.withdrawn)
        own_id = table.c.label_id if table is schema.labels else table.c.remark_id
        found = connection.execute(select(*columns).where(own_id == given_id)).first()
        if found is not None and found.withdrawn is None:
            self._actor.may_take_back(found.rater)
            self._note(connection, action, given_id, found.participant, f"{found.task}, by {found.rater}")

    def agreement(self, task: str) -> Json:
        """How far raters agree; names are for admins."""
        feed = self._agreement[self._task(task).name]
        with self._store.read() as connection:
            weighing = feed.read(connection)
        return agreement.describe(task, weighing, self._actor)

    def import_labels(self, text: str, rater: str = "") -> Json:
        """Store a whole file of labels, or nothing of it."""
        with self._store.write() as connection:
            done = labels.put_file(connection, text, self._tasks, time.time(), rater)
            self._note(connection, "import_labels", "a file", details=f"{done.stored} labels stored")
        self._learner.nudge()
        return done._asdict()

    def self_report(
        self,
        report_id: str,
        participant: str,
        task: str | None = None,
        value: str | None = None,
        instrument: str | None = None,
        answers: list[int] | None = None,
        created: float | None = None,
    ) -> Json:
        """Store one answer of a participant, once."""
        now = time.time()
        answer = self._answer(task, value, instrument, answers)
        report = SelfReport(report_id, participant, now if created is None else float(created), answer)
        self_reports.check(report)
        with self._store.write() as connection:
            for why in erasure.refused(connection, [participant]).values():
                raise RequestRefused(why)
            fresh = self_reports.put(connection, report, now)
            if fresh:
                self._note(connection, "self_report", report_id, participant, answer.instrument or answer.task)
        if fresh:
            self._learner.nudge()
        return {"stored": True, "fresh": fresh}

    def self_reports(self, participant: str | None = None, before: int | None = None, limit: int = 100) -> list[Json]:
        """What participants have said of themselves, newest first."""
        if participant is None:
            self._actor.may("windows")  # a participant's page asks for that participant only
        with self._store.read() as connection:
            return self_reports.listed(connection, participant, before, _limit(limit))

    def rates(
        self,
        task: str | None = None,
        participant: str | None = None,
        agent: str | None = None,
        model_version: int | None = None,
        week: str | None = None,
        by: str = "model_version",
    ) -> list[Json]:
        """Error rates of the alerts, per task and group."""
        chosen = list(self._judged.values()) if task is None else [self._judged[self._task(task).name]]
        where = _given(participant=participant, agent=agent, model_version=model_version, week=week)
        with self._store.read() as connection:
            return rates.describe(connection, chosen, where, by)

    def threshold_advice(
        self, task: str, most_false_alarms_per_hour: float | None = None, most_misses: float | None = None
    ) -> Json:
        """The alert threshold that fulfils a wish."""
        wish = threshold_advice.wish(most_false_alarms_per_hour, most_misses)
        with self._store.read() as connection:
            return threshold_advice.describe(connection, self._task(task), self._learner.model_version, wish)

    def apply_threshold(self, task: str, threshold: float) -> Json:
        """Publish the live heads with another alert threshold."""
        entry = self._entry("apply_threshold", self._task(task).name, details=f"alerts from {float(threshold):.3f} on")
        return {"version": self._learner.apply_threshold(task, float(threshold), entry)}

    def models(self) -> list[Json]:
        """All published models, newest first."""
        with self._store.read() as connection:
            return views.models(connection)

    def decisions(self, limit: int = 100) -> list[Json]:
        """The learner's decisions, newest first."""
        with self._store.read() as connection:
            return views.decisions(connection, _limit(limit))

    def retrain(self) -> Json:
        """Ask the learner to run now."""
        with self._store.write() as connection:
            self._note(connection, "retrain", "")
        self._learner.retrain()
        return {"queued": True}

    def rollback(self, version: int | None = None) -> Json:
        """Publish the heads of an older version again."""
        entry = self._entry("rollback", "the parent" if version is None else f"version {version}")
        return {"version": self._learner.rollback(version, entry)}

    def people(self) -> list[Json]:
        """Participants and which side of the holdout they stand on."""
        with self._store.read() as connection:
            return views.people(connection)

    def _after_erasure(self) -> None:
        self._looks = Looks()
        self._learner.nudge()

    def _answer(self, task: str | None, value: str | None, instrument: str | None, answers: list[int] | None) -> Answer:
        if task is not None and value is not None and instrument is None and answers is None:
            return self_reports.class_answer(task, value, self._tasks)
        if instrument is not None and answers is not None and task is None and value is None:
            return self_reports.questionnaire_answer(instrument, answers, self._tasks)
        raise InputError("a self-report is either a task with its value or an instrument with its answers")

    def _alerts_where(
        self, task: str | None, participant: str | None, agent: str | None, model_version: int | None
    ) -> list[ColumnElement[bool]]:
        if task is not None:
            self._task(task)
        where = _given(task=task, participant=participant, agent=agent, model_version=model_version)
        return [schema.alerts.c[name] == value for name, value in where.items()]

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            raise InputError(f"task {name[:40]!r} is not configured; known are {', '.join(self._tasks)}")
        return self._tasks[name]


METHODS = tuple(LEAST)


def check_params(method: str, function: Callable[..., Any], params: Mapping[str, Any]) -> None:
    """Compare parameters with a function's signature and annotations.

    Raises:
        InputError: if one is missing, superfluous or of the wrong type.
    """
    expected = inspect.signature(function).parameters
    missing = [name for name, p in expected.items() if p.default is p.empty and name not in params]
    superfluous = [name for name in params if name not in expected]
    if missing:
        raise InputError(f"{method} needs the parameter {missing[0]}")
    if superfluous:
        takes = f"takes {', '.join(expected)}" if expected else "takes none"
        raise InputError(f"{method} knows no parameter {superfluous[0][:40]!r}; it {takes}")
    hints = typing.get_type_hints(function)
    for name, value in params.items():
        options = typing.get_args(hints[name]) or (hints[name],)
        kinds = tuple(typing.get_origin(option) or option for option in options)
        if isinstance(value, bool) or not isinstance(value, (*kinds, int) if float in kinds else kinds):
            raise InputError(f"{method}: {name} must be {_WORDS[kinds[0]]}")


def _given(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}
