"""``sentry-train evaluate``: figures of an expression model on FER2013."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from training.datasets import fer2013
from training.evaluation.expression import evaluate, open_model
from training.evaluation.metrics import ClassificationReport


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    command = commands.add_parser("evaluate", help="figures of an expression model on FER2013")
    command.add_argument("--model", type=Path, required=True, help="the .onnx file")
    command.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    command.add_argument("--split", choices=fer2013.SPLITS, default="PublicTest", help="default: %(default)s")
    command.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    command.set_defaults(command=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    session = open_model(options.model)
    faces = fer2013.load_fer2013(fer2013.find_data(options.data)).split(options.split)
    report = evaluate(session, faces.images, faces.labels)
    print(_as_json(report, options.split) if options.json else _as_text(report, options.split))
    return 0


def _as_json(report: ClassificationReport, split: str) -> str:
    recall = {
        name: None if math.isnan(value) else round(value, 6)  # NaN: the class does not occur
        for name, value in zip(fer2013.EMOTIONS, report.recall.tolist(), strict=True)
    }
    figures = {
        "split": split,
        "n": report.n,
        "accuracy": round(report.accuracy, 6),
        "balanced_accuracy": round(report.balanced_accuracy, 6),
        "macro_f1": round(report.macro_f1, 6),
        "ece": round(report.ece, 6),
        "recall": recall,
        "confusion": report.confusion.tolist(),
    }
    return json.dumps(figures)


def _as_text(report: ClassificationReport, split: str) -> str:
    lines = [
        f"{split}, n = {report.n}",
        f"accuracy           {report.accuracy:.2%}",
        f"balanced accuracy  {report.balanced_accuracy:.2%}",
        f"macro F1           {report.macro_f1:.3f}",
        f"calibration error  {report.ece:.3f}",
        "",
        "label \\ predicted " + "".join(f"{name:>9}" for name in fer2013.EMOTIONS) + "   recall",
    ]
    for name, counts, recall in zip(fer2013.EMOTIONS, report.confusion, report.recall, strict=True):
        lines.append(f"{name:<18}" + "".join(f"{count:>9}" for count in counts) + f"{recall:>9.1%}")
    return "\n".join(lines)
