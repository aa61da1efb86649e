from __future__ import annotations

import csv
import io
import json
from functools import partial
from typing import Any
from xml.etree import ElementTree

import pytest

from dashboard import alert_charts, calibration, figures, learning, rate_charts, threshold_chart
from tests.dashboard.fake_trainer import NOW, advice, model, rates_row
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
FIGURES: dict[str, tuple[partial[Any], list[str]]] = {
    "rates": (
        partial(rate_charts.chart, RATES, "false_positive_rate", "model_version"),
        ["v1", "v2", "model version", "42", "20%"],
    ),
    "course": (
        partial(alert_charts.course_chart, alert_charts.course_rows(COURSE)),
        ["true alarm", "no verdict", "alerts"],
    ),
    "calibration": (
        partial(calibration.chart, RATES[1]["calibration"]["bins"]),
        ["probability that the head gave", "how often the event was there", "30"],
    ),
    "learning": (
        partial(learning.chart, learning.table_of(MODELS)),
        ["model version", "balanced accuracy", "v1", "v2", "Stress"],
    ),
    "thresholds": (
        partial(threshold_chart.chart, advice(), "Alarms and misses"),
        ["false alarms per hour", "miss rate", "0.60 present", "0.81 advised"],
    ),
    "roc": (
        partial(threshold_chart.chart, advice(), "ROC"),
        ["false-positive rate", "events detected (recall)", "0.60 present", "0.81 advised"],
    ),
    "precision": (
        partial(threshold_chart.chart, advice(), "Precision and recall"),
        ["events detected (recall)", "precision", "0.60 present"],
    ),
    "around": (partial(alert_charts.around_chart, ALERT), ["minutes from the alert", "100%"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_chart_becomes_a_file_for_print(name: str) -> None:
    draw, said = FIGURES[name]
    drawn = ElementTree.fromstring(figures.svg(draw))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert figures.PRINT_WIDTH <= float(drawn.attrib["width"]) < figures.PRINT_WIDTH + 80
    words = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert set(said) <= set(words)
    fills = {element.attrib.get("fill") for element in drawn.iter()}
    assert "white" in fills
    assert LIGHT.soft in fills


def test_the_table_holds_what_is_drawn() -> None:
    rows = list(
        csv.DictReader(io.StringIO(figures.table_csv(rate_charts.table_of(RATES, "miss_rate", "model_version"))))
    )
    assert [(row["group"], row["from"], row["n"]) for row in rows] == [
        ("v1", "confidences", "210"), ("v2", "confidences", "210"),
    ]  # fmt: skip
    assert float(rows[0]["value"]) == pytest.approx(0.3)
    assert figures.table_csv([]).strip() == ""


def test_a_version_stands_beside_the_one_before_it_unless_it_took_its_head_over() -> None:
    rows = learning.table_of(MODELS)
    assert [(row["version"], row["of"], row["balanced_accuracy"], row["n"]) for row in rows] == [
        (1, learning.THIS, 0.75, 60), (2, learning.THIS, 0.75, 90), (2, learning.BEFORE, 0.5, 90),
        (3, learning.THIS, 0.75, 90),
    ]  # fmt: skip
    assert "different windows (stress 60 to 90); a hollow point is the version before" in learning.sentence(rows)
    assert learning.sentence([row for row in rows if row["n"] == 90]) == ""


def test_what_is_left_of_a_rate_has_its_interval_the_other_way_round() -> None:
    drawn = threshold_chart.chart(advice(), "Precision and recall", LIGHT).to_dict()
    (points,) = {json.dumps(layer["data"]["values"]) for layer in (drawn, *drawn["layer"]) if "data" in layer}
    first, second = json.loads(points)  # nothing is known of the third one's precision
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
