"""The expression model that ships keeps its contract, and its card speaks of this very file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from training.cli import main
from training.datasets.fer2013 import EMOTIONS
from training.evaluation.expression import ModelError, open_model

MODEL = Path(__file__).resolve().parents[2] / "perception" / "models" / "expression.onnx"


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    return open_model(MODEL, threads=1)


@pytest.mark.parametrize("shape", [(1, 48, 48), (1, 20, 33), (3, 97, 64), (2, 300, 301), (5, 48, 48)])
def test_any_batch_of_any_size(session: ort.InferenceSession, shape: tuple[int, int, int]) -> None:
    faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    probabilities, embedding = session.run(["probabilities", "embedding"], {"faces": faces})
    assert probabilities.dtype == embedding.dtype == np.float32
    assert probabilities.shape == (shape[0], len(EMOTIONS))
    assert embedding.ndim == 2
    assert len(embedding) == shape[0]
    assert np.isfinite(embedding).all()
    assert probabilities.min() >= 0
    assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_a_face_does_not_depend_on_its_batch(session: ort.InferenceSession) -> None:
    faces = np.random.default_rng(1).integers(0, 256, (4, 60, 50), dtype=np.uint8)
    together = session.run(["probabilities"], {"faces": faces})[0]
    alone = np.concatenate([session.run(["probabilities"], {"faces": faces[i : i + 1]})[0] for i in range(4)])
    assert together == pytest.approx(alone, abs=1e-5)


def test_resolution_of_the_camera_hardly_matters(session: ort.InferenceSession) -> None:
    smooth = np.add.outer(np.sin(np.linspace(0, 6, 48)), np.cos(np.linspace(0, 5, 48)))
    small = (127 + 60 * smooth).astype(np.uint8)[None]
    large = small.repeat(4, axis=1).repeat(4, axis=2)
    first, second = (session.run(["probabilities"], {"faces": faces})[0] for faces in (small, large))
    assert first == pytest.approx(second, abs=0.1)


def test_metadata_names_the_labels_in_order(session: ort.InferenceSession) -> None:
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["labels"] == "angry,disgust,fear,happy,sad,surprise,neutral"
    assert metadata["version"]
    assert len(metadata["data_recipe_sha256"]) == 64


def test_the_card_is_of_this_file() -> None:
    card = MODEL.with_suffix(".md").read_text(encoding="utf-8")
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() in card
    assert "n = 3589" in card


def test_the_file_stays_small() -> None:
    assert MODEL.stat().st_size < 8_000_000


def test_unfit_models_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        open_model(tmp_path / "none.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError, match="cannot load it"):
        open_model(tmp_path / "junk.onnx")


@pytest.mark.shared
def test_figures_on_public_test(shared_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The card's accuracy is what the command line measures, and reaches the level Sentry asks for."""
    assert main(["evaluate", "--model", str(MODEL), "--data", str(shared_dir / "data"), "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert accuracy >= 0.66
    assert f"accuracy **{accuracy:.1%}**" in MODEL.with_suffix(".md").read_text(encoding="utf-8")
