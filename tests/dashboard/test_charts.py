from __future__ import annotations

from dashboard import rate_charts
from tests.dashboard.fake_trainer import features, rate, rates_row
from training.active_learning.review import chart
from training.active_learning.review.look import LIGHT
from training.active_learning.sheets import CURVES, Series, series


def test_curve_has_a_gap_where_nothing_was_seen() -> None:
    points = chart.points({curve.name: series(features(), curve) for curve in CURVES})
    rows = [row for row in points if row["line"] == CURVES[0].line]
    assert len(rows) == 30
    assert all(row["value"] is not None for row in rows[:24])
    assert all(row["value"] is None for row in rows[24:])


def test_curve_of_several_features_is_their_sum() -> None:
    names = [name for curve in CURVES for name in curve.features]
    values = {"names": names, "values": [[0.25] * len(names), [0.25] * (len(names) - 1) + [None]]}
    assert series(values, CURVES[-1]) == [1.0, None]


def test_windows_differ_in_their_data_only() -> None:
    plain: dict[str, Series] = {curve.name: series(features(), curve) for curve in CURVES}
    other: dict[str, Series] = {**plain, "smile": [0.5] * 30}
    first, second = (chart.specification(curves, "o" * 30, LIGHT) for curves in (plain, other))
    assert first.pop("datasets") != second.pop("datasets")
    assert first == second
    assert len(first["vconcat"]) == 6


def test_every_curve_exists_in_the_layout() -> None:
    names = features()["names"]
    assert all(name in names for curve in CURVES for name in curve.features)


def test_camera_states_become_stretches() -> None:
    assert chart.runs("oonu") == [
        {"from": 0, "to": 2, "state": "ok"},
        {"from": 2, "to": 3, "state": "no face"},
        {"from": 3, "to": 4, "state": "unplugged"},
    ]


def test_versions_without_enough_labels_have_no_point() -> None:
    rows = [rates_row(None, 1.0), rates_row(2, 0.5), rates_row(1, 1.0)]
    assert [point["group"] for point in rate_charts.points(rows, "false_positive_rate")] == ["v1", "v2"]
    assert rate_charts.points(rows, "miss_rate") == []


def test_change_claims_a_difference_only_when_its_interval_excludes_nought() -> None:
    near = rate_charts.headline([rates_row(1, 1.0), rates_row(2, 0.8)])
    apart = rate_charts.headline([rates_row(1, 1.0), rates_row(2, 0.1)])
    assert near == (
        "quiet",
        "From v1 to v2 the false-positive rate fell from 20 % to 16 %.",
        "The difference may be chance; more labels will tell.",
    )
    assert apart is not None
    assert apart[0] == "good"
    assert apart[1].startswith("From v1 to v2 the false-positive rate fell from 20 % to 2.0 %, the ")
    assert apart[1].endswith("the false alarms per hour fell from 6.0 / h to 0.6 / h.")
    assert apart[2] == "These differences are beyond chance. Not enough labels yet to compare the miss rate."
    assert rate_charts.headline([rates_row(1, 1.0)]) is None


def test_fewer_false_alarms_are_no_good_news_where_more_is_missed() -> None:
    before = {**rates_row(1, 1.0), "miss_rate": rate(0.1, 0.05, 0.19, 60)}
    after = {**rates_row(2, 0.1), "miss_rate": rate(0.6, 0.48, 0.71, 60)}
    said = rate_charts.headline([before, after])
    assert said is not None
    assert said[0] == "bad"
    assert said[1].startswith("From v1 to v2 the miss rate rose from 10 % to 60 %, the false-positive")


def test_weeks_without_labels_keep_their_place() -> None:
    rows = [{**rates_row(None, 1.0), "week": week} for week in ("2026-05-04", "2026-06-01")]
    drawn = rate_charts.drawing(rows, "false_positive_rate", "week").of(LIGHT).to_dict()
    weeks = ["2026-05-04", "2026-05-11", "2026-05-18", "2026-05-25", "2026-06-01"]
    assert drawn["layer"][0]["encoding"]["x"]["scale"]["domain"] == weeks
