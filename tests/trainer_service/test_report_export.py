from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.study import Study, run
from trainer_service import report_export
from training.datasets.label_import import parse

MINUTE = {
    "row": 1, "report_id": "a", "participant": "P01", "created": 1_750_000_000.25, "task": "stress", "value": "calm",
    "instrument": None, "answers": None, "score": None, "words": "",
}  # fmt: skip
SCALE = {
    **MINUTE, "row": 2, "created": 1_750_000_060.0, "task": "anxiety", "value": "mild", "instrument": "gad7",
    "answers": [1, 1, 1, 1, 1, 0, 0], "score": 5,
}  # fmt: skip
SENTENCE = {**MINUTE, "row": 3, "task": "", "value": "", "instrument": "sentence", "words": 'the "test", again'}


def test_one_row_per_report_with_what_a_questionnaire_adds() -> None:
    assert report_export.to_csv([MINUTE, SCALE, SENTENCE], "clinical").splitlines() == [
        "created,participant,task,value,rater,source,confidence,instrument,score,answers,words,purpose",
        "1750000000.25,P01,stress,calm,P01,self-report,1,,,,,clinical",
        "1750000060.0,P01,anxiety,mild,P01,self-report,1,gad7,5,1 1 1 1 1 0 0,,clinical",
        '1750000000.25,P01,,,P01,self-report,1,sentence,,,"the ""test"", again",clinical',
    ]


def test_what_was_exported_is_read_as_labels_without_the_sentences() -> None:
    text = report_export.to_csv([MINUTE, SENTENCE, SCALE], "")
    assert [(report.task, report.value) for report in parse(text)] == [("stress", "calm"), ("anxiety", "mild")]


def test_all_pages_are_fetched_and_put_in_the_order_of_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_export, "PAGE", 2)
    stored = [{**MINUTE, "row": row, "created": created} for row, created in ((5, 50.0), (4, 10.0), (3, 40.0))]
    asked: list[dict[str, Any]] = []

    def call(method: str, limit: int, **params: Any) -> list[dict[str, Any]]:
        assert method == "self_reports"
        asked.append(params)
        return [row for row in stored if row["row"] < params.get("before", 99)][:limit]

    assert [row["created"] for row in report_export.fetch(call, "P01")] == [10.0, 40.0, 50.0]
    assert asked == [{"participant": "P01"}, {"participant": "P01", "before": 4}]


@pytest.mark.e2e
def test_the_command_writes_what_the_trainer_holds(tmp_path: Path) -> None:
    study = Study(tmp_path)
    where = ("--dir", study.trainer_dir)
    out = tmp_path / "reports.csv"
    try:
        study.start_trainer()
        study.control.call("self_report", report_id="1", participant="P01", task="focus", value="4", created=60)
        study.control.call("self_report", report_id="2", participant="P02", instrument="phq8", answers=[1] * 8)
        done = run("sentry-trainer", "reports", "export", "--out", out, *where)
        assert (done.returncode, done.stdout) == (0, f"2 self-reports written to {out}\n")
        rows = list(csv.DictReader(io.StringIO(out.read_text())))
        assert [(row["participant"], row["task"], row["value"], row["score"]) for row in rows] == [
            ("P01", "focus", "4", ""), ("P02", "depression", "mild", "8"),
        ]  # fmt: skip
        one = run("sentry-trainer", "reports", "export", "--out", out, "--participant", "P02", "--json", *where)
        assert json.loads(one.stdout)["written"] == 1
    finally:
        study.close()
