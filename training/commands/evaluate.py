"""``sentry-train evaluate``: figures of an expression model on FER2013."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from training.datasets import fer2013
from training.evaluation.calibration import bootstrap_interval
from training.evaluation.expression import open_model, predict
from training.evaluation.metrics import (
    ClassificationReport,
    Labels,
    Probabilities,
    classification_report,
    expected_calibration_error,
)

Intervals = Mapping[str, tuple[float, float]]

FIGURES: dict[str, Callable[[Probabilities, Labels], float]] = {
    "accuracy": lambda probabilities, labels: float(np.mean(probabilities.argmax(1) == labels)),
    "balanced_accuracy": lambda probabilities, labels: classification_report(probabilities, labels).balanced_accuracy,
    "macro_f1": lambda probabilities, labels: classification_report(probabilities, labels).macro_f1,
    "ece": expected_calibration_error,
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    command = commands.add_parser("evaluate", help="figures of an expression model on FER2013")
    command.add_argument("--model", type=Path, required=True, help="the .onnx file")
    command.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    command.add_argument("--split", choices=fer2013.SPLITS, default="PublicTest", help="default: %(default)s")
    command.add_argument("--resamples", type=int, default=1000, help="for the intervals; default: %(default)s")
    command.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    command.set_defaults(command=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    session = open_model(options.model)
    faces = fer2013.load_fer2013(fer2013.find_data(options.data)).split(options.split)
    probabilities = predict(session, faces.images)
    report = classification_report(probabilities, faces.labels)
    intervals = {
        name: bootstrap_interval(figure, probabilities, faces.labels, resamples=options.resamples)
        for name, figure in FIGURES.items()
    }
    show = _as_json if options.json else _as_text
    print(show(report, intervals, options.split))
    return 0


def _as_json(report: ClassificationReport, intervals: Intervals, split: str) -> str:
    recall = {
        name: None if math.isnan(value) else round(value, 6)  # NaN: the class does not occur
        for name, value in zip(fer2013.EMOTIONS, report.recall.tolist(), strict=True)
    }
    figures = {
        "split": split,
        "n": report.n,
        **{name: round(getattr(report, name), 6) for name in FIGURES},
        "intervals": {name: [round(low, 6), round(high, 6)] for name, (low, high) in intervals.items()},
        "recall": recall,
        "confusion": report.confusion.tolist(),
    }
    return json.dumps(figures)


def _as_text(report: ClassificationReport, intervals: Intervals, split: str) -> str:
    width = max(len(name) for name in FIGURES)
    lines = [f"{split}, n = {report.n}; 95 % intervals over faces"]
    for name, (low, high) in intervals.items():
        lines.append(f"{name.replace('_', ' '):<{width}}  {getattr(report, name):.3f}  ({low:.3f} to {high:.3f})")
    lines += ["", "label \\ predicted " + "".join(f"{name:>9}" for name in fer2013.EMOTIONS) + "   recall"]
    for name, counts, recall in zip(fer2013.EMOTIONS, report.confusion, report.recall, strict=True):
        lines.append(f"{name:<18}" + "".join(f"{count:>9}" for count in counts) + f"{recall:>9.1%}")
    return "\n".join(lines)
