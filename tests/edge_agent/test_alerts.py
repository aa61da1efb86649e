"""The alert rule: a table of stories, and what must hold in every story."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.alerts import AlertBoard, AlertMachine, Change, Sighting, State
from sentry_proto.tasks import FOCUS, STRESS, AlertRule, Task
from sentry_proto.types import Alert, Prediction

RULE = AlertRule(("stressed",), threshold=0.6, release=0.4, duration_s=10, cooldown_s=60)
SEEN = Sighting("P01", "s1", 1, "0" * 31 + "1", "consent-1")


def of(*parts: tuple[float | None, int]) -> list[float | None]:
    """Each probability, repeated."""
    return [probability for probability, times in parts for _ in range(times)]


# name -> (probability of every window, hop 5 s, from t = 0; what happened: time and change)
STORIES: dict[str, tuple[list[float | None], list[tuple[float, Change]]]] = {
    "calm stays silent": ([0.1] * 20, []),
    "raised after the duration": (of((0.7, 4)), [(10, Change.RAISED)]),
    "too short": ([0.7, 0.7, 0.1, 0.7, 0.7, 0.1], []),
    "threshold itself counts": ([0.6] * 3, [(10, Change.RAISED)]),
    "just below does not": ([0.59] * 9, []),
    "between release and threshold it stays on": (of((0.7, 3), (0.5, 20)), [(10, Change.RAISED)]),
    "release itself keeps it on": (of((0.7, 3), (0.4, 20)), [(10, Change.RAISED)]),
    "below release it ends": (of((0.7, 3), (0.39, 1)), [(10, Change.RAISED), (15, Change.ENDED)]),
    "cooldown": (of((0.7, 3), (0.1, 1), (0.7, 13)), [(10, Change.RAISED), (15, Change.ENDED)]),
    "again after it": (
        of((0.7, 3), (0.1, 1), (0.7, 14)),
        [(10, Change.RAISED), (15, Change.ENDED), (85, Change.RAISED)],
    ),
    "no data never raises": (of((None, 20)), []),
    "no data interrupts the evidence": ([0.7, 0.7, None, 0.7, 0.7], []),
    "a short gap does not end it": (of((0.7, 3), (None, 2), (0.7, 1)), [(10, Change.RAISED)]),
    "a long gap does": (of((0.7, 3), (None, 4)), [(10, Change.RAISED), (25, Change.LOST)]),
}


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    probabilities, expected = STORIES[name]
    machine = AlertMachine(RULE)
    changes = [(5.0 * i, machine.step(5.0 * i, p)) for i, p in enumerate(probabilities)]
    assert [(t, change) for t, change in changes if change] == expected


@pytest.mark.parametrize("jump", [-2 * 365 * 86_400, -3_600, 3_600, 2 * 86_400])
def test_a_jump_of_the_clock_raises_nothing_by_itself(jump: float) -> None:
    machine = AlertMachine(RULE)
    assert machine.step(0, 0.9) is None
    assert machine.step(5 + jump, 0.9) is None, "a gap is no evidence"
    machine.step(10 + jump, 0.9)
    assert machine.step(20 + jump, 0.9) is Change.RAISED, "and the rule works on after it"


def test_a_clock_that_is_set_back_does_not_stretch_the_cooldown() -> None:
    machine = AlertMachine(RULE)
    for t, p in ((0, 0.9), (10, 0.9), (15, 0.1)):
        machine.step(t, p)
    back = -2 * 365 * 86_400.0
    changes = [machine.step(back + t, 0.9) for t in range(0, 80, 5)]
    assert changes.count(Change.RAISED) == 1


steps = st.lists(st.tuples(st.floats(0, 40), st.none() | st.floats(0, 1)), max_size=80)
rules = st.builds(
    lambda low, high, duration, cooldown: AlertRule(("stressed",), max(low, high), min(low, high), duration, cooldown),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
    st.floats(0, 40),
    st.floats(0, 120),
)


@given(rules, steps)
def test_always(rule: AlertRule, story: list[tuple[float, float | None]]) -> None:
    machine, now, quiet_since, evidence, was_above = AlertMachine(rule), 0.0, float("-inf"), 0.0, False
    for passed, probability in story:
        now += passed
        before = machine.alerting
        change = machine.step(now, probability)
        above = probability is not None and probability >= rule.threshold
        evidence = evidence + passed if above and was_above else 0.0
        was_above = above
        if change is Change.RAISED:
            assert above, "only evidence raises an alert"
            assert not before
            assert now - quiet_since >= rule.cooldown_s - 1e-6, "never two alerts within the cooldown"
            assert evidence >= rule.duration_s - 1e-6
        if change is Change.ENDED:
            assert before
            assert probability is not None
            assert probability < rule.release, "hysteresis"
        if change in (Change.ENDED, Change.LOST):
            quiet_since = now
        assert machine.alerting == (machine.state is State.ALERTING)


def predicted(p: float, task: Task = STRESS) -> list[Prediction]:
    rest = (1 - p) / (len(task.classes) - 1)
    return [Prediction(task.name, (*[rest] * (len(task.classes) - 1), p), 1.0, 0.1)]


def raised_board() -> tuple[AlertBoard, Alert]:
    board = AlertBoard()
    board.set_tasks((STRESS,), 0.0)
    assert board.step(0, predicted(0.9), SEEN) == []
    (alert,) = board.step(10, predicted(0.9), SEEN)
    return board, alert


def test_an_alert_is_recorded_when_raised_and_again_with_its_end() -> None:
    board, alert = raised_board()
    assert (alert.start, alert.end, alert.window_id) == (10, None, SEEN.window_id)
    assert alert.probability == pytest.approx(0.9)
    assert board.alerting("stress")
    (ended,) = board.step(15, predicted(0.1), SEEN)
    assert (ended.alert_id, ended.end) == (alert.alert_id, 15)
    assert not board.alerting("stress")


def test_the_probability_is_that_of_all_classes_of_the_event() -> None:
    board = AlertBoard()
    board.set_tasks((FOCUS,), 0.0)
    prediction = Prediction("focus", (0.25, 0.5, 0.25, 0.0, 0.0), 1.0, 0.1)
    assert board.probability(prediction) == 0.75


def test_a_session_ends_its_alerts_and_is_forgotten() -> None:
    board, alert = raised_board()
    assert [a.alert_id for a in board.close(12)] == [alert.alert_id]
    board.step(13, predicted(0.9), SEEN)
    assert len(board.step(23, predicted(0.9), SEEN)) == 1, "no cooldown of another person's alert"


def test_an_alert_never_ends_before_it_began() -> None:
    board, alert = raised_board()
    (ended,) = board.close(-1e9)
    assert ended.end == alert.start


def test_a_new_version_with_the_same_rule_changes_nothing() -> None:
    board, _ = raised_board()
    assert board.set_tasks((STRESS,), 12) == []
    assert board.alerting("stress")


def test_an_alert_of_a_task_that_is_gone_ends() -> None:
    board, alert = raised_board()
    assert [a.alert_id for a in board.set_tasks((), 12)] == [alert.alert_id]
    assert not board.alerting("stress")


def test_silence_ends_an_alert_and_raises_none() -> None:
    board, alert = raised_board()
    ends = [ended for t in range(11, 40) for ended in board.no_data(t)]
    assert [(a.alert_id, a.end) for a in ends] == [(alert.alert_id, 25)]
