"""The int8 variant of an expression model: it keeps the contract, and ships only if it is good enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.faces import striped_faces, write_parquet
from training.evaluation.expression import open_model, predict
from training.export import expression
from training.export.int8 import Int8Variant, int8_variant
from training.trainers.emotion_network import ExpressionNetwork


@pytest.mark.slow
def test_the_variant_keeps_the_contract_and_is_much_smaller(tmp_path: Path) -> None:
    labels = list(range(7)) * 2
    usage = ["Training"] * 7 + ["PublicTest"] * 7
    data = write_parquet(tmp_path / "fer2013.parquet", striped_faces(labels), labels, usage)
    whole = expression.export(ExpressionNetwork("small", 48, 0.0).eval(), {}).model
    (tmp_path / "model.onnx").write_bytes(whole)
    variant = int8_variant(tmp_path / "model.onnx", data)
    assert len(variant.model) < len(whole) / 2.5
    faces = np.random.default_rng(0).integers(0, 256, (2, 70, 61), dtype=np.uint8)
    probabilities = predict(open_model(variant.model), faces)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("loss", "written"), [(-0.01, True), (0.0029, True), (0.003, False), (0.05, False)])
def test_only_a_variant_that_loses_little_is_written(
    loss: float, written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expression, "int8_variant", lambda model, data: Int8Variant(b"int8", 0.7, loss))
    (tmp_path / "model.int8.onnx").write_bytes(b"of an earlier export")
    said = expression._write_int8(tmp_path / "model.onnx", tmp_path)
    assert (tmp_path / "model.int8.onnx").exists() is written
    assert ("not written" in said) is not written
