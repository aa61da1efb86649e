"""What becomes of a window: coverage rule, heads, alerts, selection. No sockets, files or clocks.

window -> enough face? -> heads -> the person's offset -> alerts -> selection -> records to spool, counts to keep
                                                                        `------> passed over: for the shelf

Where the person has an offset, it decides on alerts; a second set of alert machines keeps book of what the generic
head would have done. What only that one calls alarming is sent like an alert, so that both can be judged alike.

The heads compare a person with the person's own past, so they abstain until there is a baseline. Such a window may
still be sent by chance, but it counts as not scored.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_agent.alerts import AlertBoard, Sighting
from edge_agent.heads import Heads
from edge_agent.outbox import Scored
from edge_agent.stats import face_share
from sentry_proto.types import Alert, FeatureWindow, Offset, Prediction, Record, Stratum, Window
from training.active_learning.diversity import look
from training.active_learning.personal import shift
from training.active_learning.selection import Selector

MIN_FACE_SHARE = 0.5
"""A window with the face in fewer of its seconds is no data: it is not scored, not sent, and raises no alert."""


@dataclass(frozen=True)
class Outcome:
    """What one window led to.

    Attributes:
        records: to be spooled, in order.
        scored: one per live task, to be counted.
        predictions: of the live tasks.
        data: False where too little of the face was seen.
        passed_over: the window, if selection did not send it; a neighbour of one that was is wanted at times.
    """

    records: list[Record]
    scored: list[Scored]
    predictions: list[Prediction]
    data: bool
    passed_over: Window | None = None


def usable(features: FeatureWindow) -> bool:
    """Whether enough of the face was seen, and every number is one."""
    baseline = features.baseline
    arrays = (features.values, features.coverage, baseline.centre, baseline.scale)
    return all(np.isfinite(array).all() for array in arrays) and face_share(features) >= MIN_FACE_SHARE


def scorable(features: FeatureWindow) -> bool:
    """Whether heads look at it: it is usable, and the person has a past to be compared with."""
    return usable(features) and features.baseline.seconds > 0


class Observer:
    """Judges the windows of one stream, across participants and sessions.

    Args:
        selector: which windows are sent.
        expression: hex SHA-256 of the expression model that runs, for the windows to name; empty not to say.

    Attributes:
        windows, no_data: windows judged, and those that were no data.
        alerts: raised so far.
    """

    def __init__(self, selector: Selector, expression: str = "") -> None:
        self._selector, self._expression = selector, expression
        self._board, self._generic = AlertBoard(), AlertBoard()
        self._version = -1
        self._now = 0.0
        self.windows = self.no_data = self.alerts = 0

    def window(
        self, features: FeatureWindow, heads: Heads | None, consent_id: str, offsets: Sequence[Offset] = ()
    ) -> Outcome:
        """Judge a window with the heads of this moment, and those of the offsets that are its participant's."""
        self.windows += 1
        self._now = features.end
        records: list[Record] = [*self._use(heads)]
        if not usable(features):
            self.no_data += 1
            return Outcome([*records, *self._no_data(features.end)], [], [], data=False)
        version = heads.version if heads else 0
        scores = heads.score(features) if heads and features.baseline.seconds else []
        logits = {offset.task: offset.logits for offset in offsets if offset.participant == features.participant}
        predictions = [_with_offset(p, logits.get(p.task, ())) for p in scores]
        seen = Sighting(features.participant, features.session, version, uuid.uuid4().hex, consent_id)
        alerts = self._board.step(features.end, [_deciding(p) for p in predictions], seen)
        self._generic.step(features.end, predictions, seen)
        self.alerts += sum(alert.end is None for alert in alerts)
        predictions = [self._with_alerts(p) for p in predictions]
        window = self._select(features, predictions, seen)
        left = window.stratum is Stratum.NEIGHBOUR
        scored = [Scored(version, features.participant, p.task, p.alerting) for p in predictions]
        sent = [] if left else [window]
        return Outcome([*records, *sent, *alerts], scored, predictions, data=True, passed_over=window if left else None)

    def _select(self, features: FeatureWindow, predictions: list[Prediction], seen: Sighting) -> Window:
        """The window as it is sent; one that no draw sends could only be sent as a neighbour."""
        uncertainty = max((p.mutual_information for p in predictions), default=None)
        alerting = any(p.alerting or p.generic_alerting for p in predictions)
        decision = self._selector.decide(features.end, uncertainty, alerting, features.participant, look(features))
        return Window(
            window_id=seen.window_id,
            features=features,
            stratum=decision.stratum or Stratum.NEIGHBOUR,
            inclusion_probability=decision.inclusion_probability,
            model_version=seen.model_version,
            predictions=tuple(predictions),
            consent_id=seen.consent_id,
            audit_probability=decision.audit_probability,
            expression=self._expression,
        )

    def _use(self, heads: Heads | None) -> list[Alert]:
        version = heads.version if heads else 0
        if version == self._version:
            return []
        self._version = version
        tasks = heads.metadata.tasks if heads else ()
        self._generic.set_tasks(tasks, self._now)
        return self._board.set_tasks(tasks, self._now)

    def _with_alerts(self, prediction: Prediction) -> Prediction:
        beside = bool(prediction.personal) and self._generic.alerting(prediction.task)
        return replace(prediction, alerting=self._board.alerting(prediction.task), generic_alerting=beside)

    def _no_data(self, now: float) -> list[Alert]:
        self._generic.no_data(now)
        return self._board.no_data(now)

    def silence(self, now: float) -> list[Alert]:
        """No frame has come for a while; returns the alerts that ended for want of data."""
        self._now = now
        return self._no_data(now)

    def end_session(self) -> list[Alert]:
        """Returns the alerts that end with the session."""
        self._generic.close(self._now)
        return self._board.close(self._now)


def _with_offset(prediction: Prediction, logits: Sequence[float]) -> Prediction:
    """The prediction with its personal probabilities, if there is an offset for its classes."""
    if len(logits) != len(prediction.probabilities):
        return prediction
    personal = shift(np.array(prediction.probabilities), np.array(logits))
    return replace(prediction, personal=tuple(personal.tolist()))


def _deciding(prediction: Prediction) -> Prediction:
    """With the probabilities that decide on alerts."""
    return replace(prediction, probabilities=prediction.personal or prediction.probabilities)
