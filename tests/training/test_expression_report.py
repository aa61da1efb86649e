"""The page about an expression model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.faces import striped_faces, write_parquet
from tests.training.test_expression_model import MODEL
from training.cli import main
from training.datasets.fer2013 import EMOTIONS, Faces
from training.evaluation.calibration import reliability
from training.evaluation.expression import judge
from training.report.expression import ExpressionFindings
from training.report.expression_page import percent
from training.report.expression_pictures import confusion_shares, curves, reliability_pair
from training.trainers.emotion_network import ExpressionNetwork

LABELS = [0, 3, 3, 6, 4, 5, 2, 3]
FERPLUS = "row,neutral,happiness,surprise,sadness,anger,disgust,fear\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    usage = ["PublicTest"] * len(LABELS)
    path = write_parquet(tmp_path / "data" / "fer2013.parquet", striped_faces(LABELS), LABELS, usage)
    votes = "".join(f"{row},0,10,0,0,0,0,0\n" for row in range(len(LABELS)))
    (path.parent / "ferplus.csv").write_text(FERPLUS + votes)
    return path


def findings(
    probabilities: np.ndarray[tuple[int, int], np.dtype[np.float64]], votes: list[list[float]]
) -> ExpressionFindings:
    labels = np.array(LABELS[: len(probabilities)])
    faces = Faces(
        striped_faces(labels.tolist()), labels, np.arange(len(labels)), np.array(["PublicTest"] * len(labels))
    )
    return ExpressionFindings(
        title="made up",
        split="PublicTest",
        faces=faces,
        votes=np.array(votes, np.float32),
        probabilities=probabilities,
        unscaled=probabilities,
        judgement=judge(probabilities, labels, resamples=20),
        crossfitted_ece=0.1,
        size=1,
        milliseconds=1.0,
    )


def answers(*said: tuple[int, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """One line of probabilities per (class, confidence)."""
    rows = np.zeros((len(said), len(EMOTIONS)))
    for row, (place, confidence) in enumerate(said):
        rows[row] = (1 - confidence) / (len(EMOTIONS) - 1)
        rows[row, place] = confidence
    return rows


def test_wrong_answers_come_surest_first_with_whom_the_annotators_side() -> None:
    angry, nobody, divided = np.eye(7)[0], np.zeros(7), (np.eye(7)[0] + np.eye(7)[3]) / 2
    said = findings(
        answers((3, 0.6), (0, 0.9), (4, 0.7), (6, 0.95), (3, 0.5)),  # labels: angry, happy, happy, neutral, sad
        [list(votes) for votes in (angry, angry, divided, angry, nobody)],
    )
    wrong = said.wrong()
    assert [answer.confidence for answer in wrong] == pytest.approx([0.9, 0.7, 0.6, 0.5])
    assert [answer.sides_with for answer in wrong] == ["model", "unknown", "label", "unknown"]
    assert said.sides(2) == {"model": 1, "unknown": 1}
    assert [answer.majority for answer in wrong] == [0, None, 0, None]
    accuracy, known = said.accuracy_by_majority
    assert accuracy == pytest.approx(1 / 3)
    assert known == 3


def test_evaluate_writes_a_page_that_needs_nothing_else(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page"
    assert (
        main(
            [
                "evaluate",
                "--model",
                str(MODEL),
                "--data",
                str(data),
                "--report",
                str(out),
                "--json",
                "--resamples",
                "20",
            ]
        )
        == 0
    )
    output = capsys.readouterr()
    assert json.loads(output.out)["n"] == len(LABELS)
    assert str(out / "index.html") in output.err
    page = (out / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:|#|pictures/)""", page)
    assert "https://" not in page
    assert "must not be passed on" in page
    assert "Epochs" not in page  # of the run nothing is known
    assert (out / "pictures" / "confusion.svg").read_text(encoding="utf-8").startswith("<svg xmlns")


def test_a_page_is_not_written_over_other_files(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "index.html").write_text("mine")
    assert main(["evaluate", "--model", str(MODEL), "--data", str(data), "--report", str(tmp_path / "data")]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (tmp_path / "data" / "index.html").read_text() == "mine"


@pytest.mark.slow
def test_the_page_of_a_run_has_its_epochs_and_recipe(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "expression-9")
    assert main(["report", str(run), "--data", str(data), "--resamples", "20"]) == 0
    assert "expression-9: PublicTest" in capsys.readouterr().out
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    for words in ("Epochs", "2 of 3 ships", "learning rate", "28,709", "FER+ happy 100"):
        assert words in page, words


def test_what_is_no_run_is_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none"), "--data", str(data)]) == 2
    assert "config.json is missing" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def write_run(folder: Path, backbone: str = "small") -> Path:
    """The folder of a run of three epochs with random weights; without any where the backbone is not one of ours."""
    folder.mkdir()
    recipe = {"backbone": "small", "pixels": 48, "epochs": 3}
    if backbone == "small":
        network = ExpressionNetwork("small", 48, 0.0).eval()
        torch.save({"recipe": recipe, "average": network.state_dict()}, folder / "best.pt")
    counts = {"training_images": 28709, "training_images_used": 28000, "dropped": {"duplicates": 9}, "with_votes": 5}
    config = {"recipe": recipe | {"backbone": backbone}, "init": None, "data": counts | {"public_test_images": 8}}
    (folder / "config.json").write_text(json.dumps(config))
    epochs = [
        {"epoch": epoch, "loss": 2 / epoch, "accuracy": accuracy, "macro_f1": 0.4, "ece": 0.1}
        for epoch, accuracy in ((1, 0.3), (2, 0.6), (3, 0.5))
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    return folder


def test_pictures_hold_their_numbers() -> None:
    matrix = np.diag(np.arange(1, 8)) + np.eye(7, k=1, dtype=np.int64)
    assert confusion_shares(matrix, EMOTIONS).count("<rect") == 49
    assert "50 %" in confusion_shares(matrix, EMOTIONS)  # one angry face of two
    epochs = [{"epoch": 1, "loss": 1.0, "accuracy": 0.5, "macro_f1": 0.4, "ece": 0.1}]
    assert ">0.500</text>" in curves(epochs, 1)
    probabilities, labels = answers((0, 0.9), (3, 0.6), (3, 0.6)), np.array([0, 3, 1])
    drawn = reliability_pair(reliability(probabilities, labels), reliability(probabilities, labels))
    assert "confidence 0.60, right 0.50, 2 faces" in drawn


def test_percent() -> None:
    assert percent(0.7154) == "71.5\N{NO-BREAK SPACE}%"
    assert percent(float("nan")) == "\N{EN DASH}"
