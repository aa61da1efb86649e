"""An int8 variant of an expression model, for as long as it says nearly the same.

Weights of convolutions and of the last layer become int8 per channel, their inputs uint8 with scales from training
faces (Jacob et al. 2018). The file gets three times smaller; what it loses is measured, and a variant that loses too
much is not written.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime import quantization

from training.datasets import fer2013
from training.evaluation.expression import open_model, predict
from training.evaluation.metrics import Labels

LARGEST_LOSS = 0.003
"""Of accuracy on PublicTest, 0..1."""

CALIBRATION_FACES, BATCH = 512, 32
_QUANTISED = ["Conv", "Gemm", "MatMul"]


class _Faces(quantization.CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """Training faces in batches, from which the ranges of activations are read."""

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        self._batches = iter([{"faces": images[i : i + BATCH]} for i in range(0, len(images), BATCH)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


@dataclass(frozen=True)
class Int8Variant:
    """A quantised model and what it costs.

    Attributes:
        model: serialised ONNX.
        accuracy: on PublicTest.
        loss: of accuracy against the float model, 0..1; below 0 if it is better.
    """

    model: bytes
    accuracy: float
    loss: float

    @property
    def good_enough(self) -> bool:
        """Whether it may ship."""
        return self.loss < LARGEST_LOSS


def int8_variant(model: Path, data: Path) -> Int8Variant:
    """Quantise a model file and judge it on PublicTest.

    Raises:
        ModelError: it is not an expression model.
        fer2013.DatasetError: the data cannot be read.
    """
    faces = fer2013.load_fer2013(data)
    training, public = faces.split("Training"), faces.split("PublicTest")
    before = _accuracy(model, public.images, public.labels)
    drawn = np.random.default_rng(0).permutation(len(training))[:CALIBRATION_FACES]
    quantised = quantise(model, training.images[drawn])
    after = _accuracy(quantised, public.images, public.labels)
    return Int8Variant(quantised, after, before - after)


def quantise(model: Path, images: npt.NDArray[np.uint8]) -> bytes:
    """The int8 form of an expression model, with ranges from faces uint8 [n, h, w]."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises a pre-processing that our graph does not need
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "int8.onnx"
            quantization.quantize_static(
                model,
                out,
                _Faces(images),
                per_channel=True,
                op_types_to_quantize=_QUANTISED,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
            return out.read_bytes()
    finally:
        logger.setLevel(level)


def _accuracy(model: Path | bytes, images: npt.NDArray[np.uint8], labels: Labels) -> float:
    return float(np.mean(predict(open_model(model), images).argmax(axis=1) == labels))
