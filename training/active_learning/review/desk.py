"""What a click on the review page does, without Streamlit: nothing taken as stored before the tray says so, and undo.

    shown --click--> stored --undo--> shown again, under a new id
      | click within MIN_LOOK_S: meant for the window before; ignored
      | tray fails: not stored; the same answer goes with the same id, another with a new one: the first may arrive yet

A tray is where windows come from and where answers go: the trainer's queue, or a file.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sentry_proto.errors import SentryError
from sentry_proto.types import Label
from training.active_learning.sheets import Sheet

MIN_LOOK_S = 0.4
"""A click sooner than this after a window appeared is the second half of a double click on the one before."""


MOST_LATER = 40
"""Windows left for later that an address holds."""


@dataclass(frozen=True)
class Waiting:
    """What a rater has still to answer.

    Attributes:
        window_ids: of the next ones, in the order in which to ask.
        left: how many wait in all, those with them.
        given: answers that this rater has given since a moment.
    """

    window_ids: tuple[str, ...]
    left: int
    given: int = 0


class Tray(Protocol):
    """Where windows come from and answers go; every method may raise a SentryError."""

    def tasks(self) -> Sequence[str]:
        """Names of the tasks that can be asked about."""

    def waiting(self, task: str, rater: str, since: float = 0.0) -> Waiting:
        """What this rater has not answered yet, and how much since then (Unix seconds)."""

    def sheet(self, task: str, window_id: str) -> Sheet:
        """One window, to be judged for a task."""

    def put(self, label: Label) -> bool:
        """Keep an answer for good; False if its label id is known already, which changes nothing."""

    def withdraw(self, label_id: str) -> bool:
        """Take an answer back; False if there is none."""

    def pass_over(self, click: Click, pass_id: str) -> None:
        """Keep for good that a rater cannot tell, and why; the window does not come to them again."""

    def take_up_again(self, pass_id: str) -> bool:
        """Forget that; False if there is nothing to forget."""


@dataclass(frozen=True)
class Click:
    """What a rater says about a window."""

    window_id: str
    task: str
    value: str
    rater: str


@dataclass(frozen=True)
class Given:
    """A click that the tray has confirmed as stored: an answer, or why there is none."""

    label_id: str
    click: Click
    passed: bool = False


@dataclass(frozen=True)
class Outcome:
    """A tone of `markup` and what to tell the rater."""

    tone: str
    sentence: str


@dataclass
class Desk:
    """One rater's desk; lives in the browser session. The labels themselves live where the tray puts them."""

    given: list[Given] = field(default_factory=list)
    skipped: set[tuple[str, str]] = field(default_factory=set)
    outcome: Outcome | None = None
    resumed: bool = False
    _sent: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)
    _shown: tuple[str, float] = ("", 0.0)

    def choose(self, window_ids: Sequence[str], task: str, now: float) -> str | None:
        """The window to show: the one that is on the desk while it still waits, else the first not skipped."""
        waiting = [window_id for window_id in window_ids if (task, window_id) not in self.skipped]
        chosen = self._shown[0] if self._shown[0] in waiting else next(iter(waiting), None)
        if chosen is not None and chosen != self._shown[0]:
            self._shown = (chosen, now)
        return chosen

    def label(self, tray: Tray, click: Click, now: float) -> None:
        """Give a label; repeating it stores nothing twice."""
        if click.window_id == self._shown[0] and now - self._shown[1] < MIN_LOOK_S:
            return
        label_id = self._id_for(click)
        label = Label(label_id, click.window_id, click.task, click.value, "observer", click.rater, created=now)
        try:
            fresh = tray.put(label)
        except SentryError as error:
            self.outcome = Outcome("bad", f"Not stored: {error}. Click again once that is mended; it is stored once.")
            return
        if fresh:
            self.given.append(Given(label_id, click))
        self.outcome = Outcome("good", f"Stored: {click.value}, by {click.rater}.")

    def _id_for(self, click: Click) -> str:
        """One for the same answer again; whoever answers otherwise than before says something new."""
        value, own_id = self._sent.get(_whose(click), ("", ""))
        if value != click.value:
            own_id = uuid.uuid4().hex
            self._sent[_whose(click)] = (click.value, own_id)
        return own_id

    @property
    def last(self) -> Given | None:
        """What an undo takes back."""
        return self.given[-1] if self.given else None

    def undo(self, tray: Tray, last: Given | None) -> None:
        """Withdraw the label that was the last one when the button was drawn; clicking twice withdraws one."""
        if last is None or last != self.last:
            return
        try:
            withdrawn = tray.take_up_again(last.label_id) if last.passed else tray.withdraw(last.label_id)
        except SentryError as error:
            self.outcome = Outcome("bad", f"Not withdrawn: {error}.")
            return
        self.given.pop()
        self._sent.pop(_whose(last.click), None)
        self._shown = (last.click.window_id, 0.0)
        words = f"Withdrawn: {last.click.value}." if withdrawn else "It had been withdrawn already."
        self.outcome = Outcome("quiet", f"{words} The window is back on the desk.")

    def pass_over(self, tray: Tray, click: Click, now: float) -> None:
        """Say why there is no answer; `click.value` is the reason. Repeating it stores nothing twice."""
        if click.window_id == self._shown[0] and now - self._shown[1] < MIN_LOOK_S:
            return
        pass_id = self._id_for(click)
        try:
            tray.pass_over(click, pass_id)
        except SentryError as error:
            self.outcome = Outcome("bad", f"Not stored: {error}. Click again once that is mended; it is stored once.")
            return
        self.given.append(Given(pass_id, click, passed=True))
        self.outcome = Outcome("quiet", f"Skipped, {click.value}: noted by {click.rater}, and not asked again.")

    def resume(self, left: str) -> None:
        """Take up what another session has left for later, once; `left` is what `later` said."""
        if not self.resumed:
            pairs = (one.rpartition(":") for one in left.split(","))
            self.skipped.update((task, window_id) for task, _, window_id in pairs if task)
            self.resumed = True

    def later(self) -> str:
        """What was left for later as text for an address, at most `MOST_LATER`."""
        return ",".join(f"{task}:{window_id}" for task, window_id in sorted(self.skipped)[:MOST_LATER])

    def skip(self, task: str, window_id: str) -> None:
        """Leave a window for later."""
        self.skipped.add((task, window_id))
        self.outcome = Outcome("quiet", "Left for later; nothing was stored.")


def _whose(click: Click) -> tuple[str, str, str]:
    return click.rater, click.task, click.window_id
