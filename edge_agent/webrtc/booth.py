"""One participant's own perception, baseline, heads' judgement and consent, in a thread of its own.

source -> capture -> perception, fusion, windows -> watch (heads, alerts, selection) -> the agent's one spool
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.capture import capture
from edge_agent.consent import NOT_NEEDED, ConsentBook, Permit
from edge_agent.loop import Loop
from edge_agent.observer import Observer
from edge_agent.sources.base import session_name
from edge_agent.state import State
from edge_agent.watch import Shelve, Spool, Trial, Watch, discard
from edge_agent.webrtc.source import PeerSource
from perception.chain import Perception
from perception.emotion import ExpressionModel
from perception.pipeline import FeaturePipeline
from perception.providers import AUTO
from perception.schedule import LEVELS, Schedule
from sentry_proto.errors import ConsentMissing, SentryError
from sentry_proto.json_log import fields
from training.active_learning.selection import Selector

log = logging.getLogger(__name__)

CLOSING_S = 10.0
HANGS_S = 10.0
COUNTED = ("frames_scored", "frames_dropped", "windows", "no_data_windows", "alerts")


@dataclass(frozen=True)
class Kit:
    """What all booths of an agent share.

    Attributes:
        agent: names the running heads and the personal offsets.
        consents: this machine's records.
        spool: takes records and counts, from any thread.
        trial: told the model versions that are about to score a window, and that have.
        selector: makes the selection rule of one booth.
        perception: makes the models of one booth.
        expression: hex SHA-256 of the expression model among them; empty not to say.
        shelve: takes the windows that are not sent.
    """

    agent: State
    consents: ConsentBook
    spool: Spool
    trial: Trial
    selector: Callable[[], Selector]
    perception: Callable[[Schedule], Perception]
    expression: str = ""
    shelve: Shelve = discard


def scheduled(schedule: Schedule, provider: str = AUTO, path: Path | None = None) -> Perception:
    """The shipped models, but for an expression model from `path`, on that execution provider."""
    return Perception(expression=ExpressionModel(path, provider), schedule=schedule)


class Booth:
    """Works on one participant's frames until it is closed or the consent ends.

    Args:
        kit: what it shares with the others.
        participant: a pseudonym with a live consent.

    Attributes:
        source: where frames are put.
        state: of this participant alone.
        ended: why it ended by itself: `withdrawn` or `failed`; empty while it runs.

    Raises:
        ConsentMissing: there is no live record.
    """

    def __init__(self, kit: Kit, participant: str) -> None:
        self._kit = kit
        self._stop = threading.Event()
        self.state, self.ended = State(participant=participant), ""
        self._permit = Permit(kit.consents, participant, NOT_NEEDED)
        self.consent_id = self._permit.consent_id
        self.source = PeerSource(participant, session_name(time.time()), self._stop)
        self.selector = kit.selector()
        self._observer = Observer(self.selector, kit.expression)
        self._loop: Loop | None = None
        self._mark = (0, 0, time.monotonic())
        self._thread = threading.Thread(target=self._run, name=f"booth {participant}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except ConsentMissing:
            self.ended = "withdrawn"
        except SentryError as error:
            log.warning("%s: %s", self.state.participant, error, extra=fields(participant=self.state.participant))
            self.ended = "failed"
        except Exception:  # one participant's trouble is not the others'
            log.exception("%s: stopped by a fault", self.state.participant)
            self.ended = "failed"

    def _work(self) -> None:
        kit, schedule = self._kit, Schedule(LEVELS)
        watch = Watch(self._observer, kit.agent, self._permit, kit.spool, kit.trial, kit.shelve)
        with kit.perception(schedule) as perception:
            pipeline, frames = FeaturePipeline(perception, "", ""), capture(self.source, self._stop)
            self._loop = Loop(
                self.source, frames, pipeline, watch, self.state, self._permit, None, self._stop, schedule
            )
            self._loop.run()

    def hangs(self, now: float) -> bool:
        """Whether pictures have come for long, `now` in monotonic seconds, and none was worked through."""
        frames, received, since = self._mark
        if self.ended or self.state.frames != frames or self.source.received == received:
            self._mark = (self.state.frames, self.source.received, now)
            return False
        return now - since > HANGS_S

    def close(self) -> None:
        """Finish what was received and end; waits for it."""
        self._stop.set()
        self._thread.join(CLOSING_S)

    def report(self) -> dict[str, Any]:
        """The participant's stream in figures."""
        source = self.source
        return {
            "participant": self.state.participant,
            "received": source.received,
            "replaced": source.replaced,
            **(self._loop.figures() if self._loop else {}),
            "windows": self._observer.windows,
            "no_data_windows": self._observer.no_data,
            "alerts": self._observer.alerts,
        }
