"""What `sentry-agent run` makes of windows: heads, alerts and selection, and from there into the spool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from edge_agent.consent import Permit
from edge_agent.loop import UNPLUGGED_S, Consumer
from edge_agent.observer import Observer, scorable
from edge_agent.outbox import Scored
from edge_agent.sources import Frame
from edge_agent.state import State
from edge_agent.stills import Stills
from perception.chain import FrameResult
from sentry_proto.types import FeatureWindow, Record, Window

Spool = Callable[[list[Record], list[Scored]], None]
Shelve = Callable[[Window], None]


class Trial(Protocol):
    """Who keeps account of which model versions prove themselves, as `edge_agent.slots.Slots` does."""

    def trying(self, version: int) -> None: ...

    def confirm(self, version: int) -> None: ...


class NoTrial:
    """Keeps no account."""

    def trying(self, version: int) -> None:
        """As it may be."""

    def confirm(self, version: int) -> None:
        """As it may be."""


def discard(*_: object) -> None:
    """Without a trainer nothing is kept."""


class Watch(Consumer):
    """Judges each window with the heads of that moment.

    Args:
        observer: window to records.
        state: names the running heads and the participant's offsets.
        permit: under which consent this is done.
        spool: takes records and counts.
        trial: told the model versions that are about to score a window, and that have.
        shelve: takes the windows that are not sent.
        stills: takes pictures for those that are; None for none.
    """

    def __init__(
        self,
        observer: Observer,
        state: State,
        permit: Permit,
        spool: Spool,
        trial: Trial,
        shelve: Shelve = discard,
        stills: Stills | None = None,
    ) -> None:
        self._observer, self._state, self._permit, self._stills = observer, state, permit, stills
        self._spool, self._trial, self._shelve = spool, trial, shelve

    def looked(self, frame: Frame, seen: FrameResult) -> None:
        """Take a picture of it, if pictures are wanted and one is due."""
        if self._stills:
            self._stills.look(frame.image, seen)

    def window(self, window: FeatureWindow) -> None:
        """Judge it, and spool what comes of it."""
        heads = self._state.heads  # the updater may replace it any time
        if heads and scorable(window):
            self._trial.trying(heads.version)
        outcome = self._observer.window(window, heads, self._permit.consent_id, self._state.offsets)
        records = [self._stills.attached(record) for record in outcome.records] if self._stills else outcome.records
        self._put(records, outcome.scored)
        if outcome.passed_over:
            self._shelve(outcome.passed_over)
        if heads and outcome.predictions:
            self._trial.confirm(heads.version)

    def idle(self, now: float, silent_s: float) -> None:
        """No data is not calm, and an open alert cannot go on for ever."""
        if silent_s > UNPLUGGED_S:
            self._put(list(self._observer.silence(now)))

    def end_session(self) -> None:
        """Spool the alerts that end with it."""
        self._put(list(self._observer.end_session()))
        if self._stills:
            self._stills.forget()

    def figures(self) -> dict[str, Any]:
        """What was done, for the report."""
        return {
            "windows": self._observer.windows,
            "no_data_windows": self._observer.no_data,
            "alerts": self._observer.alerts,
        }

    def _put(self, records: list[Record], scored: list[Scored] | None = None) -> None:
        if records or scored:
            self._spool(records, scored or [])
