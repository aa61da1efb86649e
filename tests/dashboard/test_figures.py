from __future__ import annotations

import csv
import io
from functools import partial
from typing import Any
from xml.etree import ElementTree

import pytest

from dashboard import alert_charts, calibration, figures, rate_charts
from tests.dashboard.fake_trainer import NOW, rates_row
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
FIGURES: dict[str, tuple[figures.Draw, list[str]]] = {
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
