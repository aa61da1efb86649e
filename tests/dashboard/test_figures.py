from __future__ import annotations

import csv
import io
from typing import Any
from xml.etree import ElementTree

import pytest

from dashboard import alert_charts, calibration, figures, learning, ranking_chart, rate_charts, threshold_chart
from tests.dashboard.fake_trainer import NOW, advice, model, ranking, rates_row
from training.active_learning.review.look import LIGHT

RATES = [rates_row(None, 1.0), rates_row(2, 0.5), rates_row(1, 1.0)]
ALERT: dict[str, Any] = {
    "start": NOW, "end": NOW + 60, "threshold": 0.6,
    "around": [{"end": NOW + 30 * step, "probability": 0.1 * step} for step in range(8)],
}  # fmt: skip
COURSE = {
    "width_s": 3600,
    "bins": [{"start": NOW, "task": "stress", "verdict": verdict, "alerts": 3} for verdict in (None, "true alarm")],
}
MODELS = [model(3, n=90, brier=0.3), model(2, n=90, brier=0.3), model(1, n=60, incumbent=None)]
FIGURES: dict[str, tuple[figures.Drawing, list[str]]] = {
    "rates": (
        rate_charts.drawing(RATES, "false_positive_rate", "model_version"),
        ["v1", "v2", "model version", "42", "20%"],
    ),
    "course": (
        alert_charts.course_drawing(alert_charts.course_rows(COURSE)),
        ["true alarm", "no verdict", "alerts"],
    ),
    "calibration": (
        calibration.drawing(RATES[1]["calibration"]["bins"]),
        ["probability that the head gave", "how often the event was there", "30"],
    ),
    "learning": (
        learning.drawing(learning.table_of(MODELS)),
        ["model version", "balanced accuracy", "v1", "v2", "Stress"],
    ),
    "thresholds": (
        threshold_chart.drawing(advice(), "Alarms and misses"),
        ["false alarms per hour", "miss rate", "0.60 present", "0.81 advised"],
    ),
    "roc": (
        threshold_chart.drawing(advice(), "ROC"),
        ["false-positive rate", "events detected (recall)", "0.60 present", "0.81 advised"],
    ),
    "precision": (
        threshold_chart.drawing(advice(), "Precision and recall"),
        ["events detected (recall)", "precision", "0.60 present"],
    ),
    "ranking": (
        ranking_chart.drawing(ranking(), "roc"),
        ["false-positive rate", "windows with the event detected"],
    ),
    "ranking, precision": (
        ranking_chart.drawing(ranking(), "precision"),
        ["windows with the event detected", "precision"],
    ),
    "around": (alert_charts.around_drawing(ALERT), ["minutes from the alert", "100%"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_chart_becomes_a_file_for_print(name: str) -> None:
    draw, said = FIGURES[name]
    drawn = ElementTree.fromstring(figures.svg(draw, ""))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert figures.PRINT_WIDTH <= float(drawn.attrib["width"]) < figures.PRINT_WIDTH + 80
    words = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert set(said) <= set(words)
    fills = {element.attrib.get("fill") for element in drawn.iter()}
    assert "white" in fills
    assert LIGHT.soft in fills


@pytest.mark.parametrize("name", FIGURES)
def test_a_chart_is_valid_and_is_not_made_again_for_other_data(name: str) -> None:
    drawing, _ = FIGURES[name]
    other = figures.Drawing(
        drawing.chart, drawing.arguments, {called: rows[:1] for called, rows in drawing.data.items()}
    )
    assert drawing.of(LIGHT).to_dict()["layer" if "layer" in drawing.of(LIGHT).to_dict() else "mark"]
    made = drawing.specification(LIGHT)
    before = figures._without_data.cache_info().misses
    again = other.specification(LIGHT)
    assert figures._without_data.cache_info().misses == before
    assert {**made, "datasets": None} == {**again, "datasets": None}
    assert all(len(rows) <= 1 for rows in again["datasets"].values())


def test_the_table_holds_what_is_drawn() -> None:
    rows = list(
        csv.DictReader(io.StringIO(figures.table_csv(rate_charts.table_of(RATES, "miss_rate", "model_version"), "")))
    )
    assert [(row["group"], row["from"], row["n"]) for row in rows] == [
        ("v1", "confidences", "210"), ("v2", "confidences", "210"),
    ]  # fmt: skip
    assert float(rows[0]["value"]) == pytest.approx(0.3)
    assert figures.table_csv([], "").strip() == "purpose"


def test_files_bear_the_purpose_that_the_study_declares() -> None:
    assert figures.table_csv([{"n": 3}], "clinical").splitlines() == ["n,purpose", "3,clinical"]
    draw, _ = FIGURES["around"]
    plain, stamped = (ElementTree.fromstring(figures.svg(draw, purpose)) for purpose in ("", "clinical"))
    assert plain.find("{http://www.w3.org/2000/svg}desc") is None
    assert stamped.findtext("{http://www.w3.org/2000/svg}desc") == "Declared purpose: clinical"


def test_a_version_stands_beside_the_one_before_it_unless_it_took_its_head_over() -> None:
    rows = learning.table_of(MODELS)
    assert [(row["version"], row["of"], row["balanced_accuracy"], row["n"]) for row in rows] == [
        (1, learning.THIS, 0.75, 60), (2, learning.THIS, 0.75, 90), (2, learning.BEFORE, 0.5, 90),
        (3, learning.THIS, 0.75, 90),
    ]  # fmt: skip
    assert "different windows (stress 60 to 90); a hollow point is the version before" in learning.sentence(rows)
    assert learning.sentence([row for row in rows if row["n"] == 90]) == ""


def test_what_is_left_of_a_rate_has_its_interval_the_other_way_round() -> None:
    drawn = threshold_chart.drawing(advice(), "Precision and recall")
    first, second = drawn.data[threshold_chart.DATA]  # nothing is known of the third one's precision
    assert [first[name] for name in ("x_low", "x", "x_high")] == pytest.approx([0.6, 0.8, 0.9])
    assert [first[name] for name in ("y_low", "y", "y_high")] == pytest.approx([0.28, 0.64, 0.82])
    assert (first["is"], second["is"]) == ("present", "")


def test_the_table_of_thresholds_has_all_rates_and_marks() -> None:
    rows = threshold_chart.table_of(advice())
    assert [(row["threshold"], row["is"]) for row in rows] == [(0.6, "present"), (0.7, ""), (0.81, "advised")]
    assert rows[0]["miss_rate"] == 0.2
    assert (rows[0]["false_alarms_per_hour_low"], rows[0]["false_alarms_per_hour_n"]) == (1.8, 30)
    assert (rows[0]["false_positive_rate"], rows[2]["false_discovery_share"]) == (pytest.approx(0.072), None)
    kept = threshold_chart.table_of({**advice(), "threshold": 0.6})
    assert [row["is"] for row in kept] == ["present and advised", "", ""]
