"""``sentry-train evaluate`` on a few made-up faces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.faces import striped_faces, write_parquet
from tests.training.test_expression_model import MODEL
from training.cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    labels = [0, 3, 3, 6]
    return write_parquet(tmp_path / "fer2013.parquet", striped_faces(labels), labels, ["PublicTest"] * 4)


def test_json_holds_all_figures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", str(MODEL), "--data", str(data), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["n"] == 4
    assert [sum(line) for line in figures["confusion"]] == [1, 0, 0, 2, 0, 0, 1]
    assert figures["recall"]["disgust"] is None
    assert figures["recall_intervals"]["disgust"] == [None, None]
    assert (
        figures["recall_intervals"]["happy"][0] <= figures["recall"]["happy"] <= figures["recall_intervals"]["happy"][1]
    )
    assert figures["accuracy"] == sum(figures["confusion"][i][i] for i in range(7)) / 4
    for name, (low, high) in figures["intervals"].items():
        assert 0 <= low <= high <= 1, name
        assert name in figures


def test_table_names_part_and_n(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", str(MODEL), "--data", str(data.parent)]) == 0
    assert capsys.readouterr().out.startswith("PublicTest, n = 4; 95 % intervals over faces\naccuracy")


def test_bad_input_ends_in_one_sentence(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [
        ["--model", str(data.parent / "none.onnx"), "--data", str(data)],
        ["--model", str(MODEL), "--data", str(data.parent / "none.csv")],
        ["--model", str(MODEL), "--data", str(data), "--split", "PrivateTest"],
    ]
    for arguments in cases:
        assert main(["evaluate", *arguments]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("sentry-train: ")
        assert output.err.count("\n") == 1
