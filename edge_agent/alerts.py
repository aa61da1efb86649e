"""When an alert is raised and when it ends. Pure: time is what the windows say.

    state      input                                             next       event
    QUIET      probability >= threshold                          RISING
    RISING     probability >= threshold for `duration_s`         ALERTING   raised
    RISING     probability < threshold, or no data               QUIET
    ALERTING   probability < release                             COOLING    ended
    ALERTING   no data for `NO_DATA_END_S`                       COOLING    ended (no data)
    COOLING    `cooldown_s` passed                               QUIET, and the input is looked at again

Between release and threshold an alert neither begins nor ends (hysteresis). No data never raises anything, and is never
taken for calm: it interrupts the evidence, and ends an alert only because nobody can say any longer that it holds.

Time is summed up from step to step. A clock that is set back adds nothing, so it can neither end a cooldown nor stretch
it; a gap of more than `GAP_S` interrupts the evidence.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from sentry_proto.tasks import AlertRule, Task
from sentry_proto.types import Alert, Prediction

NO_DATA_END_S = 15.0
GAP_S = 15.0


class State(Enum):
    """Of one task's alert."""

    QUIET = auto()
    RISING = auto()
    ALERTING = auto()
    COOLING = auto()


class Change(Enum):
    """What a step led to."""

    RAISED = auto()
    ENDED = auto()
    LOST = auto()
    """Ended for want of data."""


class AlertMachine:
    """The alert of one task."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.state = State.QUIET
        self._last: float | None = None
        self._held = 0.0  # seconds in this state; in RISING: of evidence
        self._blind = 0.0  # seconds without data

    @property
    def alerting(self) -> bool:
        """Whether the alert is on."""
        return self.state is State.ALERTING

    def step(self, now: float, probability: float | None) -> Change | None:
        """Take in the event's probability at `now`, in Unix seconds; None where there is no data."""
        passed = max(0.0, now - self._last) if self._last is not None else 0.0
        self._last = now
        self._held += passed
        self._blind = self._blind + passed if probability is None else 0.0
        if self.state is State.COOLING and self._held >= self.rule.cooldown_s:
            self._set(State.QUIET)
        if self.state is State.ALERTING:
            return self._alerting(probability)
        if self.state in (State.QUIET, State.RISING):
            return self._listening(passed, probability)
        return None

    def _listening(self, passed: float, probability: float | None) -> Change | None:
        if probability is None or probability < self.rule.threshold:
            self._set(State.QUIET)
            return None
        if self.state is State.QUIET or passed > GAP_S:
            self._set(State.RISING)
        if self._held < self.rule.duration_s:
            return None
        self._set(State.ALERTING)
        return Change.RAISED

    def _alerting(self, probability: float | None) -> Change | None:
        if probability is None:
            if self._blind < NO_DATA_END_S:
                return None
            self._set(State.COOLING)
            return Change.LOST
        if probability >= self.rule.release:
            return None
        self._set(State.COOLING)
        return Change.ENDED

    def _set(self, state: State) -> None:
        self.state = state
        self._held = 0.0


@dataclass(frozen=True)
class Sighting:
    """What an alert record says about the window that raised it."""

    participant: str
    session: str
    model_version: int
    window_id: str
    consent_id: str


class AlertBoard:
    """The alerts of all tasks of one participant's session, as records."""

    def __init__(self) -> None:
        self._machines: dict[str, AlertMachine] = {}
        self._open: dict[str, Alert] = {}
        self._rules: dict[str, tuple[AlertRule, tuple[str, ...]]] = {}

    def set_tasks(self, tasks: Iterable[Task], now: float) -> list[Alert]:
        """Use these tasks; alerts of tasks that are gone or have another rule end.

        A task whose rule is unchanged goes on as it was, so that a new model version does not restart a cooldown.
        """
        rules = {task.name: (task.alert, task.classes) for task in tasks if task.alert is not None}
        gone = [name for name, rule in self._rules.items() if rules.get(name) != rule]
        ended = self._end(gone, now)
        for name in gone:
            del self._machines[name]
        for name, (rule, _) in rules.items():
            self._machines.setdefault(name, AlertMachine(rule))
        self._rules = rules
        return ended

    def step(self, now: float, predictions: Iterable[Prediction], seen: Sighting) -> list[Alert]:
        """Take in the predictions on a window that ends at `now`; returns the alerts that were raised or ended."""
        by_task = {prediction.task: prediction for prediction in predictions}
        return self._step(now, {task: self.probability(prediction) for task, prediction in by_task.items()}, seen)

    def no_data(self, now: float) -> list[Alert]:
        """Nothing is known at `now`; returns the alerts that ended for want of data."""
        return self._step(now, {}, None)

    def _step(self, now: float, probabilities: Mapping[str, float | None], seen: Sighting | None) -> list[Alert]:
        changed = []
        for task, machine in self._machines.items():
            probability = probabilities.get(task)
            change = machine.step(now, probability)
            if change is Change.RAISED and probability is not None and seen is not None:
                alert = _alert(task, machine.rule, now, probability, seen)
                self._open[task] = alert
                changed.append(alert)
            elif change in (Change.ENDED, Change.LOST):
                changed += self._end([task], now)
        return changed

    def probability(self, prediction: Prediction) -> float | None:
        """The summed probability of the event's classes; None for a task without an alert."""
        if prediction.task not in self._rules:
            return None
        rule, classes = self._rules[prediction.task]
        pairs = zip(classes, prediction.probabilities, strict=True)
        return min(1.0, sum(p for name, p in pairs if name in rule.classes))

    def alerting(self, task: str) -> bool:
        """Whether the alert of this task is on."""
        return task in self._machines and self._machines[task].alerting

    def close(self, now: float) -> list[Alert]:
        """The session is over: open alerts end and everything is forgotten but the tasks."""
        ended = self._end(list(self._open), now)
        self._machines = {name: AlertMachine(rule) for name, (rule, _) in self._rules.items()}
        return ended

    def _end(self, tasks: Iterable[str], now: float) -> list[Alert]:
        alerts = [self._open.pop(task) for task in tasks if task in self._open]
        return [replace(alert, end=max(now, alert.start)) for alert in alerts]


def _alert(task: str, rule: AlertRule, now: float, probability: float, seen: Sighting) -> Alert:
    return Alert(
        alert_id=uuid.uuid4().hex,
        participant=seen.participant,
        session=seen.session,
        task=task,
        start=now,
        end=None,
        probability=probability,
        threshold=rule.threshold,
        model_version=seen.model_version,
        window_id=seen.window_id,
        consent_id=seen.consent_id,
    )
