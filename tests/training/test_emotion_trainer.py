"""Training: schedule, start weights, and a short run on made-up faces up to the exported file."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

from tests.training.faces import striped_faces, write_parquet
from training.datasets.fer2013 import Faces
from training.export import expression
from training.trainers import emotion_trainer
from training.trainers.emotion_network import ExpressionNetwork
from training.trainers.emotion_recipe import Recipe
from training.trainers.emotion_teacher import annotator_shares, teacher_shares
from training.trainers.emotion_training import Training, TrainingData, load_network, load_training_data


def test_learning_rate_warms_up_and_ends_near_zero() -> None:
    recipe = Recipe(epochs=10, warmup_epochs=1, learning_rate=1.0)
    rates = [recipe.learning_rate_at(epoch / 10) for epoch in range(101)]
    assert rates[0] < 0.01
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_wrong_start_weights_are_explained(tmp_path: Path) -> None:
    torch.save({"conv_stem.weight": torch.zeros(16, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"expected weights of tf_mobilenetv3_small_100"):
        ExpressionNetwork("small", 48, 0.0).load_start(tmp_path / "other.pth")


def test_missing_data_or_start_weights_end_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert emotion_trainer.main([]) == 2
    assert "no fer2013*.parquet or fer2013*.csv found" in capsys.readouterr().err
    data = _write_data(tmp_path)
    assert emotion_trainer.main(["--data", str(data)]) == 2
    assert "--from-scratch" in capsys.readouterr().err


def test_votes_and_cleaning_reach_the_training_data(tmp_path: Path) -> None:
    path = _write_data(tmp_path)
    (tmp_path / "ferplus.csv").write_text(
        "row,neutral,happiness,surprise,sadness,anger,disgust,fear\n0,0,0,0,0,10,0,0\n"
    )
    data = load_training_data(path, tmp_path / "ferplus.csv")
    assert data.votes[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert data.summary["with_votes"] == 1
    assert data.summary["dropped"] == {"duplicates": 1, "constant": 0}
    assert data.summary["training_images_used"] == len(data.images) == 27


@pytest.mark.slow
def test_two_steps_resume_and_export(tmp_path: Path) -> None:
    data, run = _write_data(tmp_path), tmp_path / "run"
    options = ["--data", str(data), "--pixels", "48", "--batch", "16", "--from-scratch"]
    assert emotion_trainer.main([*options, "--epochs", "2", "--run", str(run)]) == 0
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2]

    assert emotion_trainer.main(["--data", str(data), "--resume", str(run), "--epochs", "3"]) == 0
    assert len((run / "history.jsonl").read_text().splitlines()) == 3

    out = tmp_path / "model.onnx"
    assert expression.main(["--run", str(run), "--data", str(data), "--out", str(out)]) == 0
    session = ort.InferenceSession(str(out))
    faces = np.random.default_rng(5).integers(0, 256, (3, 70, 61), dtype=np.uint8)
    probabilities, embedding = session.run(["probabilities", "embedding"], {"faces": faces})
    network = load_network(run / "best.pt")
    network.temperature.fill_(float(session.get_modelmeta().custom_metadata_map["temperature"]))
    expected, expected_embedding = network.predict(torch.from_numpy(faces))
    assert probabilities == pytest.approx(expected.numpy(), abs=1e-4)
    assert embedding == pytest.approx(expected_embedding.numpy(), abs=1e-3)
    card = out.with_suffix(".md").read_text()
    assert "n = 7" in card
    assert "After epoch 2 the end of the run was moved from epoch 2 to 3" in card

    student, second = tmp_path / "student", tmp_path / "student.onnx"
    learning = ["--teacher", str(out), "--teacher-weight", "0.7", "--epochs", "1", "--bfloat16", "--run", str(student)]
    assert emotion_trainer.main([*options, *learning]) == 0
    assert expression.main(["--run", str(student), "--data", str(data), "--out", str(second)]) == 0
    teacher = hashlib.sha256(out.read_bytes()).hexdigest()
    sentence = f"`model.onnx`, sha256 `{teacher}`, MobileNetV3-small 1.0. It began with random"
    assert sentence in second.with_suffix(".md").read_text()


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    data = _write_data(tmp_path)
    recipe = Recipe(epochs=2, pixels=48, batch=16)
    whole = Training(recipe, load_training_data(data, None), init=None)
    list(whole.run_epoch())
    whole.save(tmp_path / "last.pt")
    list(whole.run_epoch())

    resumed = Training(recipe, load_training_data(data, None), init=None)
    resumed.resume(tmp_path / "last.pt")
    list(resumed.run_epoch())
    for name, value in whole.average.network.state_dict().items():
        assert torch.allclose(value, resumed.average.network.state_dict()[name], atol=1e-6), name


def _write_data(folder: Path) -> Path:
    """28 Training faces, one of which also stands in PublicTest, and 7 PublicTest faces."""
    labels = list(range(7)) * 5
    images = striped_faces(labels)
    images[27] = images[28]
    return write_parquet(folder / "fer2013.parquet", images, labels, ["Training"] * 28 + ["PublicTest"] * 7)


def test_class_weights_raise_the_rare_and_keep_the_mean() -> None:
    none = torch.zeros(100, 7)
    data = replace(_data(), labels=torch.tensor([0] * 90 + [1] * 10), votes=none, teacher=none)
    even, full = (Training(_recipe(class_weighting=w), data, init=None).class_weights for w in (0.0, 1.0))
    assert torch.equal(even, torch.ones(7))
    assert float(full[1] / full[0]) == pytest.approx(9.0)
    assert float(0.9 * full[0] + 0.1 * full[1]) == pytest.approx(1.0)


def test_a_frozen_backbone_keeps_its_weights_for_so_long() -> None:
    training = Training(_recipe(epochs=2, frozen_epochs=1), _data(), init=None)
    kernel = training.network.backbone.conv_stem.weight
    before, head = kernel.detach().clone(), training.network.emotion.weight.detach().clone()
    list(training.run_epoch())
    assert torch.equal(kernel, before)
    assert not torch.equal(training.network.emotion.weight, head)
    list(training.run_epoch())
    assert not torch.equal(kernel, before)


def test_patience_ends_a_run_that_no_longer_gains() -> None:
    training = Training(_recipe(epochs=9, patience=2), _data(), init=None)
    training.epoch, training.best_epoch = 4, 3
    assert not training.finished
    training.epoch = 5
    assert training.finished


def test_a_teacher_alone_decides_at_full_weight() -> None:
    torch.manual_seed(0)
    data = _data()
    sure = replace(data, teacher=torch.eye(7)[torch.full((len(data.labels),), 3)])
    training = Training(_recipe(epochs=8, teacher_weight=1.0, learning_rate=3e-3), sure, init=None)
    while not training.finished:
        list(training.run_epoch())
    said = training.network.eval().predict(data.images)[0].mean(dim=0)
    assert int(said.argmax()) == 3


def test_teacher_files_are_averaged_over_mirror_images(tmp_path: Path) -> None:
    network = ExpressionNetwork("small", 48, 0.0).eval()
    path = tmp_path / "teacher.onnx"
    path.write_bytes(expression.export(network, {}).model)
    faces = torch.randint(0, 256, (5, 48, 48), dtype=torch.uint8)
    expected = (network.predict(faces)[0] + network.predict(faces.flip(2))[0]) / 2
    assert teacher_shares([path, path], faces.numpy()) == pytest.approx(expected.numpy(), abs=1e-4)


def test_annotators_say_what_the_label_usually_is() -> None:
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 3, 3000)
    votes = np.eye(7, dtype=np.float32)[np.array([0, 3, 6])[seen]]
    labels = np.where(rng.random(3000) < 0.3, 4, np.array([0, 3, 6])[seen])  # a third is called sad, whatever they saw
    votes[0] = 0
    shares = annotator_shares(votes, labels)
    assert shares.sum(axis=1) == pytest.approx(np.ones(3000), abs=1e-5)
    assert shares[0].argmax() == labels[0]
    assert shares[0].max() == 1
    assert shares[1:, 4] == pytest.approx(np.full(2999, 0.3), abs=0.04)

    data = replace(_data(), votes=torch.eye(7)[_data().labels])
    soft = Training(_recipe(annotator_weight=0.6), data, init=None).targets[:, :7]
    assert soft.sum(dim=1).numpy() == pytest.approx(np.ones(len(soft)), abs=1e-5)


def test_options_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = _write_data(tmp_path)
    assert emotion_trainer.main(["--data", str(data), "--from-scratch", "--teacher-weight", "0.5"]) == 2
    assert "--teacher FILE and --teacher-weight" in capsys.readouterr().err
    assert emotion_trainer.main(["--data", str(data), "--from-scratch", "--annotator-weight", "0.5"]) == 2
    assert "--annotator-weight needs FER+ votes" in capsys.readouterr().err
    assert emotion_trainer.main(["--data", str(data), "--from-scratch", "--annotator-weight", "1.5"]) == 2
    assert "together at most 1" in capsys.readouterr().err
    assert emotion_trainer.main(["--resume", str(tmp_path)]) == 2
    assert "is not the folder of a run: files.json is missing" in capsys.readouterr().err
    assert emotion_trainer.main(["--resume", str(tmp_path), "--batch", "3"]) == 2
    assert "only --epochs can be changed" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    data = _write_data(tmp_path)
    options = ["--data", str(data), "--pixels", "48", "--batch", "16", "--from-scratch", "--epochs", "4"]
    assert emotion_trainer.main([*options, "--run", str(tmp_path / "whole")]) == 0

    command = [sys.executable, "-m", "training.trainers.emotion_trainer", *options, "--run", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "last.pt").exists():
        time.sleep(0.01)
        assert process.poll() is None
    process.kill()
    process.wait()
    assert emotion_trainer.main(["--resume", str(tmp_path / "killed")]) == 0

    def history(name: str) -> list[dict[str, float]]:
        lines = (tmp_path / name / "history.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]

    # Processes may sum in different orders: the last digits differ, the course does not.
    assert history("killed") == [pytest.approx(figures, abs=1e-3) for figures in history("whole")]
    assert len(history("whole")) == 4


@pytest.mark.slow
def test_two_ray_workers_train_one_model(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `scale` is not installed")
    data, run = _write_data(tmp_path), tmp_path / "run"
    command = [sys.executable, "-m", "training.trainers.emotion_trainer", "--data", str(data), "--run", str(run)]
    command += [
        "--pixels",
        "48",
        "--batch",
        "16",
        "--from-scratch",
        "--epochs",
        "2",
        "--engine",
        "ray",
        "--workers",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len((run / "history.jsonl").read_text().splitlines()) == 2
    assert json.loads((run / "config.json").read_text())["workers"] == 2
    load_network(run / "best.pt").predict(torch.zeros(1, 48, 48, dtype=torch.uint8))


def _recipe(**settings: Any) -> Recipe:
    return replace(Recipe(epochs=2, pixels=32, batch=14, mixup_share=0.0), **settings)


def _data() -> TrainingData:
    """28 striped faces, four of each class; PublicTest is the same faces."""
    labels = list(range(7)) * 4
    images = striped_faces(labels)
    faces = Faces(images, np.array(labels), np.arange(28), np.array(["PublicTest"] * 28))
    none = torch.zeros(28, 7)
    return TrainingData(torch.from_numpy(images), torch.tensor(labels), none, none, faces, {})
