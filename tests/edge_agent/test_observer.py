"""From window to records: the coverage rule, alerts, selection and counts together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_agent.heads import Heads
from edge_agent.observer import Observer
from edge_agent.outbox import Scored
from edge_agent.stats import FACE
from sentry_proto.tasks import DEFAULT_TASKS, FOCUS
from sentry_proto.types import Alert, FeatureWindow, Offset, Stratum, Window
from tests.edge_agent.bundles import bundle
from tests.sentry_proto.records import window
from training.active_learning.selection import Selector

ALARMING = Heads(bundle(bias=20.0), DEFAULT_TASKS)
CALMING = Heads(bundle(bias=-20.0, version=2), DEFAULT_TASKS)


def observer(audit: float = 0.0, budget: float = 0.0) -> Observer:
    return Observer(Selector(np.random.default_rng(0), audit, budget))


def features(t: float = 0.0, face: float = 1.0) -> FeatureWindow:
    """A window that ends at `t`, with the face in this share of its seconds."""
    found = window().features
    coverage = found.coverage.copy()
    coverage[round(face * len(coverage)) :, FACE] = 0.2
    return dataclasses.replace(found, start=t - 30, end=t, coverage=coverage)


def test_without_heads_windows_are_sent_for_labels_and_nothing_is_counted() -> None:
    outcome = observer(audit=1.0).window(features(), None, "c")
    (record,) = outcome.records
    assert isinstance(record, Window)
    assert (record.stratum, record.model_version, record.predictions) == (Stratum.AUDIT, 0, ())
    assert outcome.scored == []


def test_a_window_that_no_draw_sends_can_still_be_wanted() -> None:
    outcome = observer(audit=0.0).window(features(), ALARMING, "c")
    left = outcome.passed_over
    assert outcome.records == []
    assert left is not None
    assert (left.stratum, left.consent_id, len(left.predictions)) == (Stratum.NEIGHBOUR, "c", len(outcome.predictions))
    assert observer(audit=1.0).window(features(), ALARMING, "c").passed_over is None


@pytest.mark.parametrize(("face", "data"), [(1.0, True), (0.5, True), (0.47, False), (0.0, False)])
def test_a_window_with_too_little_face_is_no_data(face: float, data: bool) -> None:
    judge = observer(audit=1.0)
    outcome = judge.window(features(face=face), ALARMING, "c")
    assert outcome.data is data
    assert bool(outcome.records) is bool(outcome.scored) is data
    assert judge.no_data == (not data)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_no_data(value: float) -> None:
    found = features()
    values = found.values.copy()
    values[3, 7] = value
    outcome = observer(audit=1.0).window(dataclasses.replace(found, values=values), ALARMING, "c")
    assert not outcome.data
    assert outcome.records == []


def test_heads_abstain_until_the_person_has_a_baseline() -> None:
    found = features()
    young = dataclasses.replace(found, baseline=dataclasses.replace(found.baseline, seconds=0))
    outcome = observer(audit=1.0).window(young, ALARMING, "c")
    (record,) = outcome.records
    assert isinstance(record, Window)
    assert record.predictions == ()
    assert outcome.scored == []


def test_an_alert_sends_its_window_and_its_record() -> None:
    judge = observer()
    found = [judge.window(features(t), ALARMING, "c") for t in (0, 5, 10, 15)]
    assert [len(outcome.records) for outcome in found] == [0, 0, 2, 1]
    sent, alert = found[2].records
    assert isinstance(sent, Window)
    assert isinstance(alert, Alert)
    assert sent.stratum is Stratum.ALERT
    assert sent.inclusion_probability == 1
    assert sent.predictions[0].alerting
    assert alert.window_id == sent.window_id
    assert alert.consent_id == sent.consent_id == "c"
    assert [outcome.scored for outcome in found] == [
        [Scored(1, "P01", "stress", on)] for on in (False, False, True, True)
    ]
    assert judge.alerts == 1


def test_no_data_raises_nothing_and_ends_an_alert_in_the_end() -> None:
    judge = observer()
    for t in (0, 5, 10):
        judge.window(features(t), ALARMING, "c")
    ends = [record for t in range(15, 60, 5) for record in judge.window(features(t, face=0), ALARMING, "c").records]
    assert [(record.end) for record in ends if isinstance(record, Alert)] == [25]
    assert len(ends) == 1


def test_another_version_is_used_from_the_next_window_on() -> None:
    judge = observer(audit=1.0)
    first = judge.window(features(0), ALARMING, "c").records[0]
    second = judge.window(features(5), CALMING, "c").records[0]
    assert isinstance(first, Window)
    assert isinstance(second, Window)
    assert [record.model_version for record in (first, second)] == [1, 2]
    assert first.predictions[0].probabilities[2] > 0.9
    assert second.predictions[0].probabilities[2] < 0.1


def test_an_alert_of_a_task_that_the_next_version_lacks_ends() -> None:
    judge = observer()
    for t in (0, 5, 10):
        judge.window(features(t), ALARMING, "c")
    records = judge.window(features(15), Heads(bundle(3, FOCUS), DEFAULT_TASKS), "c").records
    assert [record.task for record in records if isinstance(record, Alert) and record.end == 15] == ["stress"]


def test_a_session_that_ends_ends_its_alerts() -> None:
    judge = observer()
    for t in (0, 5, 10):
        judge.window(features(t), ALARMING, "c")
    assert [alert.end for alert in judge.end_session()] == [10]
    assert judge.end_session() == []


def test_a_window_carries_the_audit_probability_in_force() -> None:
    selector = Selector(np.random.default_rng(0), 0.3, 0.0)
    judge = Observer(selector)

    def sent(start: int) -> list[Window]:
        outcomes = [judge.window(features(start + t), None, "c") for t in range(0, 500, 5)]
        return [record for outcome in outcomes for record in outcome.records if isinstance(record, Window)]

    assert {record.audit_probability for record in sent(0)} == {0.3}
    selector.set_audit_probability(0.4)
    assert {record.audit_probability for record in sent(500)} == {0.4}


def test_among_windows_without_an_estimate_the_unfamiliar_are_sent() -> None:
    judge = observer(budget=60.0)
    found, strange = features(), []
    for i in range(800):
        odd = i % 10 == 9
        values = found.values + (3 * np.sin(i * np.arange(found.values.shape[1])) * odd).astype(np.float32)
        for record in judge.window(dataclasses.replace(found, values=values, end=i * 5.0), None, "c").records:
            assert isinstance(record, Window)
            strange.append(odd)
    assert len(strange) > 25
    assert np.mean(strange) > 0.2


SOOTHING = Offset("P01", "stress", (3.0, 0.0, -3.0))
UNSURE = Heads(bundle(bias=1.5), DEFAULT_TASKS)


def test_an_offset_decides_on_alerts_and_the_generic_head_is_kept_beside() -> None:
    judge = observer()
    outcomes = [judge.window(features(t), UNSURE, "c", (SOOTHING,)) for t in (0, 5, 10, 15)]
    assert judge.alerts == 0
    assert [outcome.scored[0].alerting for outcome in outcomes] == [False] * 4
    (record,) = outcomes[2].records
    assert isinstance(record, Window), "the generic head would have raised an alert: its window is sent"
    assert record.stratum is Stratum.ALERT
    (said,) = record.predictions
    assert (said.alerting, said.generic_alerting) == (False, True)
    assert said.probabilities[2] > 0.5 > said.personal[2]
    assert sum(said.personal) == pytest.approx(1)


@pytest.mark.parametrize(
    "offset", [Offset("P02", "stress", (3.0, 0.0, -3.0)), Offset("P01", "focus", (3.0, 0.0, -3.0)),
               Offset("P01", "stress", (3.0, -3.0))],
)  # fmt: skip
def test_an_offset_for_somebody_or_something_else_is_not_used(offset: Offset) -> None:
    judge = observer()
    predictions = [judge.window(features(t), UNSURE, "c", (offset,)).predictions[0] for t in (0, 5, 10)]
    assert judge.alerts == 1
    assert all(said.personal == () and not said.generic_alerting for said in predictions)
