"""Training: schedule, start weights, and a short run on made-up faces up to the exported file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from tests.training.faces import striped_faces, write_parquet
from training.export import expression
from training.trainers import emotion_trainer
from training.trainers.emotion_network import ExpressionNetwork
from training.trainers.emotion_trainer import Recipe, load_network, load_training_data


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
        ExpressionNetwork(48, 0.0).load_imagenet(tmp_path / "other.pth")


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
    expected, expected_embedding = load_network(run / "best.pt").predict(torch.from_numpy(faces))
    assert probabilities == pytest.approx(expected.numpy(), abs=1e-4)
    assert embedding == pytest.approx(expected_embedding.numpy(), abs=1e-3)
    card = out.with_suffix(".md").read_text()
    assert "n = 7" in card
    assert "After epoch 2 the end of the run was moved from epoch 2 to 3" in card


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    data = _write_data(tmp_path)
    recipe = Recipe(epochs=2, pixels=48, batch=16)
    whole = emotion_trainer.Training(recipe, load_training_data(data, None), init=None)
    list(whole.run_epoch())
    whole.save(tmp_path / "last.pt")
    list(whole.run_epoch())

    resumed = emotion_trainer.Training(recipe, load_training_data(data, None), init=None)
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
