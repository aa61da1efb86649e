"""Judge an expression model as it ships: the ONNX file, on labelled faces."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from training.evaluation.calibration import bootstrap_interval, recall_intervals, rescale
from training.evaluation.metrics import (
    ClassificationReport,
    Labels,
    Probabilities,
    classification_report,
    expected_calibration_error,
)

FIGURES: dict[str, Callable[[Probabilities, Labels], float]] = {
    "accuracy": lambda probabilities, labels: float(np.mean(probabilities.argmax(1) == labels)),
    "balanced_accuracy": lambda probabilities, labels: classification_report(probabilities, labels).balanced_accuracy,
    "macro_f1": lambda probabilities, labels: classification_report(probabilities, labels).macro_f1,
    "ece": expected_calibration_error,
}
"""The figures that get an interval, by their name in `ClassificationReport`."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """Figures of a model on labelled faces, with 95 % intervals over faces.

    Attributes:
        report: the figures.
        intervals: low and high of each of `FIGURES`.
        recall_intervals: float64 [classes, 2], low and high; NaN where the class does not occur.
    """

    report: ClassificationReport
    intervals: Mapping[str, tuple[float, float]]
    recall_intervals: npt.NDArray[np.float64]


def judge(probabilities: Probabilities, labels: Labels, resamples: int = 1000) -> Judgement:
    """Judge probabilities [n, 7] by labels [n] in `FIGURES`, each class's recall, and intervals over faces."""
    report = classification_report(probabilities, labels)
    intervals = {
        name: bootstrap_interval(figure, probabilities, labels, resamples=resamples) for name, figure in FIGURES.items()
    }
    return Judgement(report, intervals, recall_intervals(report.confusion, resamples=resamples))


class ModelError(ValueError):
    """A file is not an expression model of the expected contract."""


def open_model(model: Path | bytes, threads: int = 0) -> ort.InferenceSession:
    """Load an expression model and check its inputs and outputs.

    Args:
        model: an ONNX file, or what stands in one.
        threads: for one operator; 0 leaves it to ONNX Runtime.

    Raises:
        ModelError: the file is missing, unreadable, or breaks the contract.
    """
    name = model if isinstance(model, Path) else "model"
    if isinstance(model, Path) and not model.is_file():
        raise ModelError(f"{name}: no such file")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    source = str(model) if isinstance(model, Path) else model
    try:
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        raise ModelError(f"{name}: ONNX Runtime cannot load it ({error})") from error
    inputs = [(value.name, value.type, len(value.shape)) for value in session.get_inputs()]
    outputs = {value.name for value in session.get_outputs()}
    if inputs != [("faces", "tensor(uint8)", 3)] or not {"probabilities", "embedding"} <= outputs:
        raise ModelError(f"{name}: expected input faces uint8 [N, H, W] and outputs probabilities and embedding")
    return session


def predict(session: ort.InferenceSession, images: npt.NDArray[np.uint8], batch: int = 256) -> Probabilities:
    """Probabilities float32 [n, 7] of faces uint8 [n, h, w]."""
    starts = range(0, len(images), batch)
    parts = [session.run(["probabilities"], {"faces": images[start : start + batch]})[0] for start in starts]
    return np.concatenate(parts)


def without_temperature(session: ort.InferenceSession, probabilities: Probabilities) -> Probabilities:
    """What the model would have said without the temperature in its graph, as its metadata states it."""
    temperature = float(session.get_modelmeta().custom_metadata_map.get("temperature", 1))
    return rescale(probabilities, 1 / temperature)


def milliseconds_per_face(model: Path | bytes, side: int, repeats: int = 300) -> float:
    """Median wall-clock time of one crop of ``side`` x ``side`` pixels on one core, after a short warm-up."""
    session = open_model(model, threads=1)
    crop: dict[str, Any] = {"faces": np.random.default_rng(0).integers(0, 256, (1, side, side), dtype=np.uint8)}
    times = []
    for _ in range(repeats + 20):
        started = time.perf_counter()
        session.run(None, crop)
        times.append(time.perf_counter() - started)
    return float(np.median(times[20:]) * 1000)
