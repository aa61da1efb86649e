"""What a click on the Review page does, without Streamlit: one label id per window shown, nothing taken as stored
before the trainer says so, and undo.

    shown --click--> stored --undo--> shown again, under a new label id
      | click within MIN_LOOK_S: meant for the window before; ignored
      | trainer away: not stored, the same id is sent by the next click
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from sentry_proto.errors import SentryError

MIN_LOOK_S = 0.4
"""A click sooner than this after a window appeared is the second half of a double click on the one before."""

Ask = Callable[..., Any]


@dataclass(frozen=True)
class Click:
    """What a rater says about a window."""

    window_id: str
    task: str
    value: str
    rater: str


@dataclass(frozen=True)
class Given:
    """A click that the trainer has confirmed as stored."""

    label_id: str
    click: Click


@dataclass(frozen=True)
class Outcome:
    """A tone of `markup` and what to tell the rater."""

    tone: str
    sentence: str


@dataclass
class Desk:
    """One rater's desk; lives in the browser session. The labels themselves live in the trainer."""

    given: list[Given] = field(default_factory=list)
    skipped: set[tuple[str, str]] = field(default_factory=set)
    outcome: Outcome | None = None
    _label_ids: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _shown: tuple[str, float] = ("", 0.0)

    def choose(self, queue: list[dict[str, Any]], task: str, now: float) -> dict[str, Any] | None:
        """The window to show: the one that is on the desk while it is still queued, else the first not skipped."""
        waiting = [w for w in queue if (task, w["window_id"]) not in self.skipped]
        on_desk = next((w for w in waiting if w["window_id"] == self._shown[0]), None)
        chosen = on_desk or next(iter(waiting), None)
        if chosen and chosen["window_id"] != self._shown[0]:
            self._shown = (chosen["window_id"], now)
        return chosen

    def label(self, ask: Ask, click: Click, now: float) -> None:
        """Give a label; repeating it stores nothing twice."""
        if click.window_id == self._shown[0] and now - self._shown[1] < MIN_LOOK_S:
            return
        label_id = self._label_ids.setdefault((click.rater, click.task, click.window_id), uuid.uuid4().hex)
        try:
            answer = ask("label", label_id=label_id, source="observer", created=now, **asdict(click))
        except SentryError as error:
            self.outcome = Outcome("bad", f"Not stored: {error}. Click again once that is mended; it is stored once.")
            return
        if answer["fresh"]:
            self.given.append(Given(label_id, click))
            self.outcome = Outcome("good", f"Stored: {click.value}, by {click.rater}.")

    def undo(self, ask: Ask) -> None:
        """Withdraw the label given last."""
        last = self.given[-1]
        try:
            answer = ask("withdraw", label_id=last.label_id)
        except SentryError as error:
            self.outcome = Outcome("bad", f"Not withdrawn: {error}.")
            return
        self.given.pop()
        self._label_ids = {key: label_id for key, label_id in self._label_ids.items() if label_id != last.label_id}
        self._shown = (last.click.window_id, 0.0)
        words = f"Withdrawn: {last.click.value}." if answer["withdrawn"] else "It had been withdrawn already."
        self.outcome = Outcome("quiet", f"{words} The window is back on the desk.")

    def skip(self, task: str, window_id: str) -> None:
        """Leave a window for later."""
        self.skipped.add((task, window_id))
        self.outcome = Outcome("quiet", "Left for later; nothing was stored.")
