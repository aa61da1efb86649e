"""A verdict on an alert with one click or key, and back: labels and remarks live in the trainer, here is what to undo.

true alarm, false alarm   a label on the alert's window
unsure                    a remark: looked at, cannot be told; nothing is learned from it, and what the rater said
                          before is set aside until it is undone
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sentry_proto.errors import SentryError
from sentry_proto.tasks import FALSE_ALARM, TRUE_ALARM
from training.active_learning.review.desk import Outcome

UNSURE = "unsure"
VERDICTS = {TRUE_ALARM: "T", FALSE_ALARM: "F", UNSURE: "N"}
"""And the key of each."""

Ask = Callable[..., Any]


@dataclass(frozen=True)
class Given:
    """A verdict that the trainer has confirmed as stored."""

    given_id: str
    verdict: str
    alert_id: str
    rater: str


@dataclass
class Bench:
    """One rater's verdicts in this browser session, newest last, and what to say of the last click."""

    given: list[Given] = field(default_factory=list)
    outcome: Outcome | None = None
    _sent: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def judge(self, ask: Ask, alert: Mapping[str, Any], verdict: str, rater: str) -> bool:
        """Store a verdict; clicking twice stores it once. Whether the trainer has confirmed it."""
        given_id = self._id_for(alert["alert_id"], verdict, rater)
        about = {"window_id": alert["window_id"], "task": alert["task"], "rater": rater}
        try:
            if verdict == UNSURE:
                stored = ask("remark", remark_id=given_id, kind=UNSURE, **about)
            else:
                now = time.time()
                stored = ask("label", label_id=given_id, value=verdict, source="observer", created=now, **about)
        except SentryError as error:
            self.outcome = Outcome("bad", f"Not stored: {error}. Click again once that is mended; it is stored once.")
            return False
        if stored["fresh"]:
            self.given.append(Given(given_id, verdict, alert["alert_id"], rater))
        self.outcome = Outcome("good", f"Stored: {verdict}, by {rater}.")
        return True

    def _id_for(self, alert_id: str, verdict: str, rater: str) -> str:
        """One for the same verdict again; whoever comes back to it after another one says something new."""
        said, given_id = self._sent.get((alert_id, rater), ("", ""))
        if said != verdict:
            given_id = uuid.uuid4().hex
            self._sent[alert_id, rater] = (verdict, given_id)
        return given_id

    def undo(self, ask: Ask, last: Given) -> str | None:
        """Take back what was the newest verdict when the button was drawn; clicking twice takes one back.

        Returns the alert it was about, None if nothing was undone.
        """
        if self.given[-1:] != [last]:
            return None
        try:
            if last.verdict == UNSURE:
                ask("withdraw_remark", remark_id=last.given_id)
            else:
                ask("withdraw", label_id=last.given_id)
        except SentryError as error:
            self.outcome = Outcome("bad", f"Not withdrawn: {error}.")
            return None
        self.given.pop()
        self._sent.pop((last.alert_id, last.rater), None)
        self.outcome = Outcome("quiet", f"Withdrawn: {last.verdict}.")
        return last.alert_id
