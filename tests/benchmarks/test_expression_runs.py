"""The table of training runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import expression_runs
from benchmarks.expression_runs import difference, main, markdown, row_of
from tests.training.faces import striped_faces, write_parquet
from tests.training.test_expression_report import write_run
from training.datasets import fer2013

CONFIG = {"recipe": {"epochs": 40, "backbone": "large", "dropout": 0.25}, "init": "x.pth", "data": {"with_votes": 9}}


def test_a_recipe_is_named_by_what_it_changes() -> None:
    assert difference(CONFIG) == "backbone large"
    assert difference(CONFIG | {"init": None, "data": {"with_votes": 0, "teachers": ["a", "b"]}}) == (
        "backbone large, from scratch, 2 teachers, without FER+ votes"
    )


def test_a_run_that_cannot_be_exported_keeps_its_row(tmp_path: Path) -> None:
    run = write_run(tmp_path / "old-9", backbone="resnet")
    data = write_parquet(tmp_path / "fer2013.parquet", striped_faces([0, 3]), [0, 3], ["PublicTest"] * 2)
    row = row_of(run, fer2013.load_fer2013(data))
    table = markdown([row])
    assert "| old-9 | backbone resnet, pixels 48, from scratch | 2 of 3 | - | 60.0 | 0.400 | - | - |" in table
    assert "its backbone resnet is none of small, large, face" in table


def test_a_measured_run_has_all_figures() -> None:
    row = {
        "run": "e", "recipe": "default", "epochs": "3 of 4", "parameters": 1_520_000, "accuracy": 0.7154,
        "accuracy_interval": [0.7, 0.73], "macro_f1": 0.7, "ece": 0.02, "ece_crossfitted": 0.025, "ms_per_face": 0.9,
    }  # fmt: skip
    assert "| e | default | 3 of 4 | 1.52 M | 71.5 (70.0 to 73.0) | 0.700 | 0.020 (0.025) | 0.90 |" in markdown([row])


def test_what_is_no_run_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_parquet(tmp_path / "fer2013.parquet", striped_faces([0, 3]), [0, 3], ["PublicTest"] * 2)
    assert main([str(tmp_path), "--data", str(data)]) == 2
    assert "config.json is missing" in capsys.readouterr().err


@pytest.mark.slow
def test_json_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [0, 3, 6, 2]
    data = write_parquet(tmp_path / "fer2013.parquet", striped_faces(labels), labels, ["PublicTest"] * 4)
    assert expression_runs.main([str(write_run(tmp_path / "run")), "--data", str(data), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["parameters"] > 1_000_000
    assert 0 <= row["accuracy_interval"][0] <= row["accuracy"] <= row["accuracy_interval"][1] <= 1
