from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from perception.emotion import ExpressionModel, emotion_features
from sentry_proto.errors import MissingDependency
from sentry_proto.layout import EMOTIONS, FRAME_FEATURES


@pytest.fixture(scope="module")
def model() -> ExpressionModel:
    return ExpressionModel()


@pytest.mark.parametrize("shape", [(1, 48, 48), (3, 97, 97), (1, 200, 150)])
def test_crops_of_any_size_give_probabilities(model: ExpressionModel, shape: tuple[int, int, int]) -> None:
    faces = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = model(faces)
    assert found.probabilities.shape == (shape[0], len(EMOTIONS))
    assert found.embedding.shape[0] == shape[0]
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def test_features_name_every_emotion_and_their_entropy() -> None:
    even = emotion_features(np.full(7, 1 / 7, np.float32))
    assert set(even) == {feature.name for feature in FRAME_FEATURES if feature.modality == "emotion"}
    assert even["emotion_entropy"] == pytest.approx(math.log(7), abs=1e-5)
    certain = emotion_features(np.eye(7, dtype=np.float32)[3])
    assert certain["emotion_happy"] == 1
    assert certain["emotion_entropy"] == pytest.approx(0, abs=1e-9)


def test_the_provider_is_named_and_local(model: ExpressionModel) -> None:
    assert model.provider in ("CUDAExecutionProvider", "CPUExecutionProvider")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "expression.onnx"
    path.write_bytes(b"this is not a graph")
    with pytest.raises(MissingDependency, match="cannot be loaded"):
        ExpressionModel(path)
