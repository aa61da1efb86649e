"""The trainers' command lines: from session folders to a bundle that an agent runs, or one sentence why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge_agent.heads import Heads
from sentry_proto.errors import InputError
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Baseline, FeatureWindow
from tests.training.recorded_study import write_study
from tests.training.session_trees import write_session
from training.datasets.sessions import load_windows
from training.export.state_heads import load_bundle
from training.trainers import classifier_trainer, fusion_trainer


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sessions")
    write_study(root, people=8, minutes=6)
    return root


def train(sessions: Path, folder: Path, *more: str, main: Any = classifier_trainer.main) -> int:
    where = ["--data", str(sessions), "--out", str(folder / "heads.onnx"), "--run", str(folder / "run")]
    return int(main([*where, *more]))


def test_an_agent_runs_what_was_trained(sessions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(sessions, tmp_path, "--fusion", "statistics") == 0
    printed = capsys.readouterr().out
    assert "stress: live, statistics pooling" in printed
    assert "face only" in printed
    bundle = (tmp_path / "heads.onnx").read_bytes()
    metadata, heads = load_bundle(bundle)
    assert {*heads} == {"stress"}
    assert metadata.metrics["stress"]["fusion"] == "statistics"
    assert "labels of at least 3 people" in metadata.abstaining["anxiety"]
    windows, _ = load_windows(sessions, hop_s=10)
    values, coverage, baselines = windows.batch(np.array([0, 40]))
    expected, running = heads["stress"].predict(windows.pooled(np.array([0, 40]))).mean, Heads(bundle, DEFAULT_TASKS)
    for index in range(2):
        known = Baseline(baselines[index, 0], baselines[index, 1], seconds=60)
        window = FeatureWindow("P00", "s", 0, 30, values[index], coverage[index], known, "o" * 30)
        (answer,) = running.score(window)
        np.testing.assert_allclose(answer.probabilities, expected[index], atol=1e-4)


@pytest.mark.slow
def test_the_run_folder_says_what_was_asked_and_what_was_found(
    sessions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(sessions, tmp_path, "--fusion", "statistics", "--no-baseline", "--seed", "4", "--json") in {0, 1}
    printed = json.loads(capsys.readouterr().out)
    config, metrics = (json.loads((tmp_path / "run" / f"{name}.json").read_text()) for name in ("config", "metrics"))
    assert printed == metrics
    assert (config["seed"], config["fusion"], config["baseline"]) == (4, "statistics", False)
    assert metrics["people"] == 8
    assert len(metrics["held_out"]) == 2
    assert (tmp_path / "heads.onnx").exists() == bool(metrics["bundle"])


@pytest.mark.slow
def test_learned_fusion_is_trained_compared_and_run_by_an_agent(
    sessions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(sessions, tmp_path, main=fusion_trainer.main) == 0
    assert "than statistics pooling: Brier score" in capsys.readouterr().out
    bundle = (tmp_path / "heads.onnx").read_bytes()
    metadata, heads = load_bundle(bundle)
    assert metadata.metrics["stress"]["fusion"] == "learned"
    assert heads == {}
    assert Heads(bundle, DEFAULT_TASKS).version == 1


@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.parametrize("trainer", [classifier_trainer, fusion_trainer])
def test_videos_are_worked_on_by_the_engine_that_was_asked_for(
    trainer: ModuleType,
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def no_windows(root: Path, *arguments: object, engine: str, **options: object) -> None:
        asked.append(engine)
        raise InputError("nothing there")

    monkeypatch.setattr(classifier_trainer, "load_windows", no_windows)
    assert trainer.main(["--data", str(tmp_path), "--engine", engine]) == 2
    assert asked == [engine]
    assert "nothing there" in capsys.readouterr().err


@pytest.mark.slow
def test_no_effect_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path / "sessions", people=6, minutes=4, effect=0.0)
    assert train(tmp_path / "sessions", tmp_path, "--fusion", "statistics") == 1
    assert "no bundle was written: no task has a live head" in capsys.readouterr().out
    assert not (tmp_path / "heads.onnx").exists()


def one_person(root: Path, sessions: Path) -> None:
    shutil.copytree(sessions / "P00", root / "P00")


def not_numbers(root: Path, sessions: Path) -> None:
    write_study(root, people=3, minutes=3, broken=True)


def no_labels(root: Path, sessions: Path) -> None:
    for person in ("P1", "P2", "P3"):
        write_session(root, person, f"s{person}")


BAD: dict[str, tuple[Any, str]] = {
    "no folder": (None, "there is no folder"),
    "an empty folder": (lambda root, sessions: root.mkdir(), "there is no session"),
    "one person": (one_person, "all labelled windows are of one person, P00"),
    "no labels": (no_labels, "has a label of stress, focus, anxiety, depression"),
    "features that are not numbers": (not_numbers, "window"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_2(
    name: str, sessions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[name]
    root = tmp_path / "sessions"
    if make:
        make(root, sessions)
    assert train(root, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.startswith("classifier_trainer: ")
    assert words in said
    assert not (tmp_path / "run").exists()
