"""The control API: one method for each entry of docs/control-api.md, called with its parameters by name."""

from __future__ import annotations

import copy
import inspect
import logging
import time
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement

from sentry_proto.control import decode_request, encode_error, encode_result
from sentry_proto.errors import InputError, MalformedMessage, SentryError, StorageError
from sentry_proto.keys import AGENT, AllowList
from sentry_proto.software import SOFTWARE
from sentry_proto.tasks import Task, tasks_to_json
from sentry_proto.types import Stratum
from trainer_service import accounts, alert_views, links, model_card, rates, schema, threshold_advice, veil, views
from trainer_service.account_api import AccountApi
from trainer_service.agreement import AgreementFeed
from trainer_service.audited_feed import AuditedFeed
from trainer_service.expression import UNSAID
from trainer_service.fleet import Fleet, Moment
from trainer_service.judged_feed import JudgedFeed
from trainer_service.looks import Looks
from trainer_service.opinion_api import OpinionApi
from trainer_service.people_api import PeopleApi
from trainer_service.requests import Learning
from trainer_service.roles import LEAST, Actor, Role
from trainer_service.store import Store
from trainer_service.study import Study
from trainer_service.throttle import Throttle
from trainer_service.views import checked_limit as _limit

log = logging.getLogger(__name__)

Json = dict[str, Any]
_WORDS = {str: "text", int: "a whole number", float: "a number", list: "a list", bool: "true or false"}


class ControlApi(AccountApi, OpinionApi, PeopleApi):
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
        study: Study | None = None,
    ) -> None:
        """`seen_by` are the names of the expression model in force, see `expression.names_of`."""
        self._store = store
        self._fleet = fleet
        self._allowed = allowed
        self._tasks = {task.name: task for task in tasks}
        self._learner = learner
        self._started = started
        self._folder = folder
        self._study = study or Study()
        self._throttle = Throttle()
        self._looks = Looks()
        self._feeds = {task.name: (JudgedFeed(task), AuditedFeed(task)) for task in tasks}
        self._agreement = {task.name: AgreementFeed(task, seen_by) for task in tasks}

    def read_ahead(self) -> None:
        """Read the labels that there are, so that the first question about rates or agreement need not wait for it."""
        try:
            with self._store.read() as connection:
                for name in self._tasks:
                    judged, audited = self._feeds[name]
                    judged.read(connection)
                    audited.read(connection, {})
                    self._agreement[name].read(connection)
        except StorageError as error:
            log.warning("labels are read when somebody asks: %s", error)

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
        """Who asks: without a token the holder of the key, with an empty one nobody, with a link's a participant."""
        if token is None:
            return Actor(f"key {key}", Role.KEY)
        if not token or not isinstance(token, str):
            return Actor("", Role.GUEST)
        with self._store.read() as connection:
            if token.startswith(links.PREFIX):
                return links.who(connection, token)
            return accounts.who(connection, token, time.time())

    def status(self) -> Json:
        """The trainer at a glance; who is no viewer learns only what is asked about."""
        asked = {"software": SOFTWARE, "tasks": tasks_to_json(tuple(self._tasks.values()))}
        if self._actor.role < Role.VIEWER:
            return asked
        with self._store.read() as connection:
            totals = {**views.totals(connection), "unjudged": alert_views.unjudged(connection, self._tasks)}
        return {
            **asked,
            "started": self._started,
            "now": time.time(),
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
            found = views.windows(connection, conditions, _limit(limit))
        return [veil.window(self._actor, window) for window in found]

    def window(self, window_id: str) -> Json:
        """One window with its features."""
        with self._store.read() as connection:
            return veil.window(self._actor, views.window(connection, window_id))

    def queue(self, task: str, rater: str, limit: int = 20) -> list[Json]:
        """Windows for this rater to review."""
        self._task(task)
        with self._store.read() as connection:
            found = views.queue(connection, task, rater, _limit(limit), self._looks)
        return [veil.window(self._actor, window) for window in found]

    def progress(self, task: str, rater: str, since: float = 0.0) -> Json:
        """How far this rater has come."""
        self._task(task)
        with self._store.read() as connection:
            return views.progress(connection, task, rater, since)

    def alerts(
        self,
        task: str | None = None,
        participant: str | None = None,
        agent: str | None = None,
        model_version: int | None = None,
        since: float | None = None,
        until: float | None = None,
        before: int | None = None,
        unjudged: bool = False,
        limit: int = 100,
    ) -> list[Json]:
        """Alerts with their verdicts, newest first."""
        where = self._alerts_where(task, participant, agent, model_version, since, until)
        older = [schema.alerts.c.row < before] if before is not None else []
        with self._store.read() as connection:
            return alert_views.listed(connection, self._tasks, [*where, *older], _limit(limit), unjudged)

    def alert_course(
        self,
        task: str | None = None,
        participant: str | None = None,
        agent: str | None = None,
        model_version: int | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Json:
        """How many alerts there were when, by task and verdict."""
        where = self._alerts_where(task, participant, agent, model_version, since, until)
        with self._store.read() as connection:
            return alert_views.course(connection, self._tasks, where)

    def alert(self, alert_id: str) -> Json:
        """One alert with its window and what was around it."""
        with self._store.read() as connection:
            found = alert_views.one(connection, self._tasks, alert_id)
        window = found["window"] and veil.window(self._actor, found["window"])
        return {**found, "window": window, "remarks": veil.opinions(self._actor, found["remarks"])}

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
        chosen = list(self._feeds.values()) if task is None else [self._feeds[self._task(task).name]]
        where = _given(participant=participant, agent=agent, model_version=model_version, week=week)
        with self._store.read() as connection:
            return rates.describe(connection, chosen, where, by)

    def ranking(
        self,
        task: str,
        participant: str | None = None,
        agent: str | None = None,
        model_version: int | None = None,
    ) -> Json:
        """How well the head tells windows with the event from those without."""
        judged, audited = self._feeds[self._task(task).name]
        version = self._learner.model_version if model_version is None else model_version
        where = _given(participant=participant, agent=agent, model_version=version)
        with self._store.read() as connection:
            return {"task": task, "model_version": version, **rates.ranked(connection, judged, audited, where)}

    def threshold_advice(
        self, task: str, most_false_alarms_per_hour: float | None = None, most_misses: float | None = None
    ) -> Json:
        """The alert threshold that fulfils a wish."""
        wish = threshold_advice.wish(most_false_alarms_per_hour, most_misses)
        with self._store.read() as connection:
            return threshold_advice.describe(connection, self._task(task), self._learner.model_version, wish)

    def apply_threshold(self, task: str, threshold: float, model_version: int | None = None) -> Json:
        """Publish the live heads with another alert threshold."""
        entry = self._entry("apply_threshold", self._task(task).name, details=f"alerts from {float(threshold):.3f} on")
        return {"version": self._learner.apply_threshold(task, float(threshold), entry, model_version)}

    def models(self) -> list[Json]:
        """All published models, newest first."""
        with self._store.read() as connection:
            return views.models(connection)

    def card(self, version: int) -> Json:
        """One published version for a reader, in Markdown."""
        with self._store.read() as connection:
            made_on = rates.describe(connection, self._feeds.values(), {"model_version": version})
            return {
                "version": version,
                "markdown": model_card.card(connection, self._tasks, version, made_on, self._study.purpose),
            }

    def decisions(self, limit: int = 100) -> list[Json]:
        """The learner's decisions, newest first."""
        with self._store.read() as connection:
            found = views.decisions(connection, _limit(limit))
        return [{**one, "metrics": veil.metrics(self._actor, one["metrics"])} for one in found]

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
        self._looks.forget()
        self._learner.nudge()

    def _alerts_where(
        self,
        task: str | None,
        participant: str | None,
        agent: str | None,
        model_version: int | None,
        since: float | None,
        until: float | None,
    ) -> list[ColumnElement[bool]]:
        if task is not None:
            self._task(task)
        where = _given(task=task, participant=participant, agent=agent, model_version=model_version)
        start = schema.alerts.c.start
        return [
            *(schema.alerts.c[name] == value for name, value in where.items()),
            *([start >= since] if since is not None else []),
            *([start < until] if until is not None else []),
        ]


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
        taken = (*kinds, int) if float in kinds else kinds
        if not isinstance(value, taken) or (isinstance(value, bool) and bool not in kinds):
            raise InputError(f"{method}: {name} must be {_WORDS[kinds[0]]}")


def _given(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}
