"""Alerts as the pages show them: verdicts, counts over time, and one with its window."""

from __future__ import annotations

import dataclasses

import pytest

from sentry_proto.errors import InputError
from sentry_proto.layout import SECOND_INDEX
from sentry_proto.types import Alert, Window
from tests.sentry_proto.records import alert, prediction, window
from tests.trainer_service.conftest import TASKS, arrival, hex_id, label, put_labels
from trainer_service import alert_views, labels, remarks
from trainer_service.remarks import Remark
from trainer_service.store import Store


def raised(number: int, start: float) -> Alert:
    return dataclasses.replace(alert(hex_id(number), start + 10), window_id=hex_id(number), start=start)


@pytest.fixture
def busy(store: Store) -> Store:
    """Four alerts, ten minutes apart, each with its window."""
    starts = [1_750_000_000.0 + 600 * number for number in range(4)]
    windows = [
        window(hex_id(n), start=start - 30, predictions=(prediction(alerting=True),)) for n, start in enumerate(starts)
    ]
    records: list[Window | Alert] = [*windows, *(raised(n, start) for n, start in enumerate(starts))]
    store.ingest([arrival(record, n) for n, record in enumerate(records, 1)], 0.0)
    return store


def unsure(number: int) -> Remark:
    return Remark(hex_id(90 + number), remarks.UNSURE, "stress", "P01", 0.0, "bob", 0.0, hex_id(number))


def test_verdicts_are_the_newest_label_else_that_somebody_was_unsure(busy: Store) -> None:
    put_labels(busy, label(1, hex_id(0), "stressed"), label(2, hex_id(1), "false alarm"))
    with busy.write() as connection:
        assert remarks.put(connection, unsure(1), 0.0)
        assert remarks.put(connection, unsure(2), 0.0)
        assert not remarks.put(connection, unsure(2), 0.0)
        listed = alert_views.listed(connection, TASKS, [], 10)
        assert [found["verdict"] for found in listed] == [None, "unsure", "false alarm", "true alarm"]
        assert alert_views.unjudged(connection, TASKS) == 1
        course = alert_views.course(connection, TASKS, [])
        assert course["width_s"] == 60
        assert sum(entry["alerts"] for entry in course["bins"]) == 4
        assert remarks.withdraw(connection, unsure(2).remark_id, 1.0)
        assert labels.withdraw(connection, hex_id(1), 1.0)
        assert alert_views.unjudged(connection, TASKS) == 3


def test_an_alert_comes_with_what_moved_most_in_its_window(busy: Store) -> None:
    plain = window(hex_id(9), start=1_750_009_000.0, predictions=(prediction(alerting=True),))
    values = plain.features.values.copy()
    values[:] = plain.features.baseline.centre
    column = SECOND_INDEX["smile_asymmetry_mean"]
    values[:, column] -= 5 * plain.features.baseline.scale[column]
    moved = dataclasses.replace(plain, features=dataclasses.replace(plain.features, values=values))
    busy.ingest([arrival(moved, 20), arrival(raised(9, 1_750_009_030.0), 21)], 0.0)
    with busy.read() as connection:
        found = alert_views.one(connection, TASKS, hex_id(9))
        (first,) = found["window"]["moved"]
        assert (first["name"], round(first["away"], 2)) == ("smile_asymmetry_mean", -5.0)
        assert [entry["window_id"] for entry in found["around"]] == [hex_id(9)]
        with pytest.raises(InputError, match="there is no alert"):
            alert_views.one(connection, TASKS, hex_id(77))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"kind": "hunch"}, "kind must be"), ({"task": "joy"}, "is not configured"), ({"rater": " "}, "rater must be")],
)
def test_a_remark_that_says_nothing_is_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        remarks.check(dataclasses.replace(unsure(1), **change), TASKS)  # type: ignore[arg-type]
