"""``sentry-train crossval``: on a tiny table of minutes, and on recorded sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from tests.training.minute_study import make_minutes
from tests.training.recorded_study import write_study
from tests.training.test_swellkw import make_table, write
from training.cli import main
from training.commands.crossval_plan import CAUSAL, PROTOCOLS, RAW, holdout_studies, make_plan
from training.commands.crossval_run import permute_blocks
from training.evaluation.controls import CLOCK, PERSON, PLACE
from training.evaluation.validation import validate

STATE = Task("state", "binary", ("low", "high"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit status, what was printed as JSON (None if nothing), and what was said on the error stream."""
    status = main(["crossval", "--workers", "1", "--json", *arguments])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else None, said.err


def test_a_quick_run_on_a_table_of_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path, make_table())
    options = (
        "--dataset",
        "swellkw",
        "--data",
        str(data),
        "--task",
        "stress",
        "--task",
        "Stress",
        "--protocol",
        "loso",
    )
    status, found, _ = run(capsys, *options, "--quick")
    assert status == 0
    assert (found["people"], found["windows"], found["protocol"]) == (2, 24, "leave one person out")
    assert found["warnings"] == []
    assert {r["model"] for r in found["results"] if r["control"]} == {CLOCK, PLACE, PERSON}
    assert found["left_out"] == {"minutes of relaxation": {"PP1": 3, "PP2": 3}}
    ingredients = [(r["task"], r["model"], r["features"]) for r in found["results"] if not r["control"]]
    assert ingredients == [
        (task, model, features)
        for task, model in (("stress", "logistic regression"), ("Stress", "ridge regression"))
        for features in ("face", "posture", "both")
    ]
    for result in found["results"]:
        for name, figure in result["metrics"].items():
            assert set(figure) == {"value", "low", "high", "n"}, name


def test_the_table_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path, make_table())
    options = [
        "crossval",
        "--dataset",
        "swellkw",
        "--data",
        str(data),
        "--protocol",
        "loso",
        "--quick",
        "--workers",
        "1",
    ]
    assert main(options) == 0
    text = capsys.readouterr().out
    assert "warning: neutral can be told from the place of the block alone" in text
    assert "stress: leave one person out" in text
    assert "logistic regression, posture, causal" in text
    assert "person alone (leave one block out, with" in text
    assert "left out 6 minutes of relaxation (PP1, PP2)" in text


def test_a_report_stands_beside_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = write(tmp_path, make_table()), tmp_path / "report"
    options = ("--dataset", "swellkw", "--data", str(data), "--task", "neutral", "--protocol", "loso", "--quick")
    status, found, said = run(capsys, *options, "--report", str(folder))
    assert (status, found["people"]) == (0, 2)
    assert f"report: {folder / 'index.html'}" in said
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert found["warnings"][0] in page
    assert f"--data {data.name} --dataset swellkw --task neutral --protocol loso --seeds 1 --quick" in page
    assert str(tmp_path) not in page
    assert len(list((folder / "pictures").iterdir())) == 5


def test_a_folder_with_other_files_is_refused_before_the_data_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("")
    status, found, said = run(capsys, "--data", "nowhere", "--report", str(tmp_path))
    assert (status, found) == (2, None)
    assert "holds other files: name a new or empty folder" in said


WRONG = {
    "absent": (("--data", "nowhere.csv"), "expected the file nowhere.csv, which is not there"),
    "unknown task": (("--data", "swell.csv", "--task", "joy"), "there is no task or scale 'joy'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(tmp_path, make_table())
    monkeypatch.chdir(tmp_path)
    options, message = WRONG[name]
    status, found, said = run(capsys, "--dataset", "swellkw", *options)
    assert (status, found) == (2, None)
    assert message in said


def test_a_plan_holds_every_ingredient_and_says_what_cannot_be_measured() -> None:
    windows = make_minutes(people=4, conditions=("", "low", "high"), minutes=12)
    unlabelled = Task("mood", "binary", ("good", "bad"))
    windows.allowed["mood"] = np.ones((len(windows), 2), np.bool_)  # type: ignore[index]
    plan = make_plan({CAUSAL: windows, RAW: windows}, [STATE, unlabelled], PROTOCOLS["loso"])
    assert set(plan.omitted) == {"mood", "state with 20 minutes of the person"}
    ingredients = {study.ingredient for study in plan.studies}
    assert len(ingredients) == len(plan.studies)
    assert {i.features for i in ingredients if not i.control} == {"face", "posture", "both"}
    assert {(i.baseline, i.shots) for i in ingredients if i.shots} == {("reference", 5), ("reference", 10)}


def test_labelled_minutes_stand_beside_the_same_test_without_them() -> None:
    windows = make_minutes(people=4, conditions=("low", "high", "low"), minutes=12)
    plan = make_plan({CAUSAL: windows, RAW: windows}, [STATE], PROTOCOLS["loso"])
    few = [study for study in plan.studies if "of another block" in str(study.protocol)]
    assert {study.ingredient.shots for study in few if not study.ingredient.control} == {5, 10}
    assert sum(study.ingredient.control for study in few) == len(few) // 2


def test_exchanged_blocks_say_what_a_score_is_worth() -> None:
    for effect in (2.0, 0.0):
        windows = make_minutes(people=8, effect=effect)
        plan = make_plan({CAUSAL: windows}, [STATE], PROTOCOLS["loso"], quick=True)
        tests = permute_blocks(plan, 19, workers=1)
        assert [test["features"] for test in tests] == ["face", "posture", "both"]
        assert all((test["p"] == 0.05) == (effect > 0) for test in tests)


def test_nothing_to_measure_is_an_error() -> None:
    windows = make_minutes(people=1)
    with pytest.raises(InputError, match="nothing can be measured: validation by person needs 2 people"):
        make_plan({CAUSAL: windows}, [STATE], PROTOCOLS["loso"], quick=True)


def test_the_best_candidate_alone_touches_the_holdout() -> None:
    windows = make_minutes(people=10, effect=1.0)
    protocol = PROTOCOLS["holdout"]
    plan = make_plan({CAUSAL: windows}, [STATE], protocol, quick=True)
    results = validate(plan.studies, workers=1)
    (task,) = holdout_studies(plan.studies, results, 0.2)
    best = max(results[:3], key=lambda result: result.metrics["auroc_per_person"].value)
    assert task.ingredient == best.ingredient
    (held_out,) = validate([task], workers=1)
    assert held_out.people == 2
    assert "holdout" in held_out.protocol


@pytest.mark.slow
def test_recorded_sessions_of_strangers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path, people=6, minutes=6, effect=3.0, focus=True)
    status, found, _ = run(capsys, "--data", str(tmp_path), "--protocol", "kfold", "--quick")
    assert status == 0
    alone = {f"{task} beside the person alone" for task in ("stress", "focus")}  # each person has one block
    assert set(found["not_measured"]) == {"anxiety", "depression", *alone}
    both = {r["task"]: r for r in found["results"] if r["features"] == "both" and not r["control"]}
    assert both["stress"]["metrics"]["balanced_accuracy"]["value"] > 0.6
    assert both["stress"]["metrics"]["fpr"]["n"] == 6
    assert len(both["focus"]["confusion"]) == 5
