"""Plays the rater in the demo: labels windows from the puppet's script, a little at a time.

Only a window that lies within one acted state is labelled, because only there is the script unambiguous, and only one
that has a baseline, because no head looks at the others. Until the first version is published, the rater keeps to the
clear cases, the two ends of a scale. Afterwards every class is labelled, so the first version's false alarms on the
middle ones show up in its error rates and teach the next version; alerts and audit windows come first, because the
rates rest on them, neighbours of confirmed events last, because the puppet's states are not rare, and the pace is
modest.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable
from sentry_proto.tasks import FALSE_ALARM, TRUE_ALARM, Task, tasks_from_json
from sentry_proto.types import Stratum

RATER = "puppet-script"
SOURCE = "import"
NAMESPACE = uuid.UUID("6b0f8f57-6a3b-4d3c-8d0b-6f0a7f1f2c11")
"""For label ids made of what they label: a demo that is started again on its folder stores no label twice."""

TASKS = ("stress",)
"""What is labelled; the other tasks stay with the person who watches, and show what waiting looks like."""

POLL_S = 0.5
LAST = 3
PAGE = 1_000

Truth = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""From a window, as `windows` lists it, to the class of each task, or nothing where the script is ambiguous."""


@dataclass(frozen=True)
class Pace:
    """Labels a second, before and after the first version."""

    before: float = 1.5
    after: float = 0.8


@dataclass(frozen=True)
class Due:
    """A label to give."""

    label_id: str
    window_id: str
    task: str
    value: str


@dataclass(frozen=True, order=True)
class _Waiting:
    urgency: int
    row: int
    clear: bool
    due: Due = field(compare=False)

    @property
    def last(self) -> bool:
        """Whether it waits until no other does."""
        return self.urgency == LAST


@dataclass
class Rater:
    """Decides what to label next; knows neither clock nor socket."""

    truth: Truth
    tasks: Mapping[str, Task]
    pace: Pace = field(default_factory=Pace)
    _waiting: list[_Waiting] = field(default_factory=list)
    _seen: int = 0
    _allowance: float = 0.0
    _since: float | None = None

    @property
    def seen(self) -> int:
        """The last row that was looked at."""
        return self._seen

    def look(self, windows: Iterable[Mapping[str, Any]]) -> None:
        """Take in windows; those that the script is sure about wait to be labelled."""
        for window in sorted(windows, key=lambda w: int(w["row"])):
            self._seen = max(self._seen, int(window["row"]))
            if not window["baseline_seconds"]:
                continue
            for task, value in self.truth(window).items():
                if task in self.tasks:
                    word = self._word(window, task, value)
                    due = Due(_label_id(window["window_id"], task), window["window_id"], task, word)
                    clear = value in (self.tasks[task].classes[0], self.tasks[task].classes[-1])
                    self._waiting.append(_Waiting(_urgency(window), int(window["row"]), clear, due))

    def _word(self, window: Mapping[str, Any], task: str, value: str) -> str:
        """A verdict for a window that alerted on this task, else the class."""
        alerting = any(p["task"] == task and p["alerting"] for p in window["predictions"])
        if not alerting:
            return value
        return TRUE_ALARM if self.tasks[task].is_event(value) else FALSE_ALARM

    def due(self, now: float, model_version: int) -> list[Due]:
        """The labels to give by now, most useful first."""
        elapsed = now - self._since if self._since is not None else 0.0
        self._since = now
        rate = self.pace.after if model_version else self.pace.before
        self._allowance = min(self._allowance + rate * elapsed, 10.0)
        usable = sorted(self._waiting)
        if not model_version:
            usable = sorted((entry for entry in usable if entry.clear), key=lambda entry: (entry.last, entry.row))
        chosen = usable[: int(self._allowance)]
        self._allowance -= len(chosen)
        self._waiting = [entry for entry in self._waiting if entry not in chosen]
        return [entry.due for entry in chosen]


def _urgency(window: Mapping[str, Any]) -> int:
    return {Stratum.ALERT: 0, Stratum.AUDIT: 1, Stratum.NEIGHBOUR: LAST}.get(window["stratum"], 2)


def _label_id(window_id: str, task: str) -> str:
    return uuid.uuid5(NAMESPACE, f"{window_id} {task}").hex


def rate_on(client: ControlClient, truth: Truth, stop: threading.Event, pace: Pace) -> None:
    """Label until `stop` is set; a trainer that is away is waited for."""
    rater: Rater | None = None
    while not stop.wait(POLL_S):
        try:
            status = client.call("status")
            if rater is None:
                rater = Rater(
                    truth, {task.name: task for task in tasks_from_json(status["tasks"]) if task.name in TASKS}, pace
                )
            rater.look(client.call("windows", since=rater.seen, limit=PAGE))
            for due in rater.due(time.monotonic(), status["model_version"]):
                client.call("label", **vars(due), source=SOURCE, rater=RATER, created=time.time())
        except PeerUnreachable:
            continue
