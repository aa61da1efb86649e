"""The page about an expression model: figures, curves, confusion, reliability, and what it is surely wrong about."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sentry_proto.layout import EMOTIONS
from sentry_proto.software import SOFTWARE
from training.evaluation.calibration import reliability
from training.evaluation.metrics import expected_calibration_error
from training.evaluation.results import Figure
from training.report.expression import ExpressionFindings, WrongAnswer
from training.report.expression_pictures import confusion_shares, curves, recall_strip, reliability_pair
from training.report.folder import GENERATOR, write_files
from training.report.page import stylesheet
from training.report.svg import standalone
from training.report.wording import number

HERE = Path(__file__).parent
MOST_FACES = 36
SUREST = 100
"""Wrong answers over which it is counted whom FER+ sides with."""

SIDES = {"model": "FER+ sides with the model", "label": "FER+ sides with the label", "neither": "FER+ says neither"}


def write_expression_report(folder: Path, findings: ExpressionFindings, command: str) -> Path:
    """Write the page and its pictures.

    Args:
        folder: as `training.report.folder.prepare_folder` left it.
        findings: what was found.
        command: by which the page can be had again.

    Returns:
        The path of the page.

    Raises:
        StorageError: the folder cannot be written.
    """
    pictures = _pictures(findings)
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent}
    page = environment.get_template("expression.html.j2").render(
        findings=findings,
        report=findings.judgement.report,
        intervals=findings.judgement.intervals,
        raw_ece=expected_calibration_error(findings.unscaled, findings.faces.labels),
        classes=_classes(findings),
        pictures=pictures,
        faces=[_face(answer) for answer in findings.wrong()[:MOST_FACES]],
        sides={words: findings.sides(SUREST)[side] for side, words in SIDES.items()},
        surest=min(SUREST, len(findings.wrong())),
        sentences=_in_short(findings),
        recipe=_recipe(findings),
        command=command,
        generator=GENERATOR,
        style=stylesheet(),
        made=datetime.now(UTC),
        version=SOFTWARE,
    )
    return write_files(folder, page, {f"{name}.svg": standalone(picture) for name, picture in pictures.items()})


def percent(share: float, digits: int = 1) -> str:
    """As `71.5 %`; a dash for what cannot be told."""
    return f"{number(100 * share, digits)}\N{NO-BREAK SPACE}%" if math.isfinite(share) else number(share)


def _pictures(findings: ExpressionFindings) -> dict[str, str]:
    labels = findings.faces.labels
    drawn = {
        "confusion": confusion_shares(findings.judgement.report.confusion, EMOTIONS),
        "reliability": reliability_pair(
            reliability(findings.unscaled, labels), reliability(findings.probabilities, labels)
        ),
    }
    if findings.run:
        drawn["epochs"] = curves(findings.run.history, findings.run.best_epoch)
    return drawn


def _in_short(findings: ExpressionFindings) -> list[str]:
    """What a reader should take away, from the figures alone."""
    report, (low, high) = findings.judgement.report, findings.judgement.intervals["accuracy"]
    worst = np.argsort(report.recall)[:2]  # NaN, a class that does not occur, comes last
    sentences = [
        f"On {report.n:,} faces of {findings.split} it agrees with FER2013's label on {percent(report.accuracy)} "
        f"(95 % interval {percent(low)} to {percent(high)}). People agree with these labels on about 65 %.",
        f"It misses {EMOTIONS[worst[0]]} ({percent(report.recall[worst[0]], 0)} recognised) and {EMOTIONS[worst[1]]} "
        f"({percent(report.recall[worst[1]], 0)}) most often.",
    ]
    accuracy, known = findings.accuracy_by_majority
    if known:
        sides = findings.sides(SUREST)
        sentences.append(
            f"By what most of the ten FER+ annotators say ({known:,} faces with a clear majority) it is right on "
            f"{percent(accuracy)}. Of its {min(SUREST, len(findings.wrong()))} surest wrong answers they side with the "
            f"model in {sides['model']} and with FER2013's label in {sides['label']}."
        )
    if findings.split == "PublicTest":
        sentences.append("PublicTest chose the epoch and the temperature, so these figures are slightly optimistic.")
    return sentences


def _classes(findings: ExpressionFindings) -> list[dict[str, Any]]:
    report = findings.judgement.report
    rows = []
    for place, name in enumerate(EMOTIONS):
        counts, (low, high) = report.confusion[place], findings.judgement.recall_intervals[place].tolist()
        others = np.where(np.arange(len(EMOTIONS)) == place, -1, counts)
        said = int(report.confusion[:, place].sum())
        recall = Figure(float(report.recall[place]), low, high, int(counts.sum()))
        rows.append(
            {
                "name": name,
                "recall": recall,
                "strip": recall_strip(recall.value, low, high) if recall.n else "",
                "precision": report.confusion[place, place] / said if said else math.nan,
                "mistaken": EMOTIONS[int(others.argmax())] if others.max() > 0 else "",
                "mistaken_share": others.max() / recall.n if recall.n else math.nan,
            }
        )
    return rows


def _face(answer: WrongAnswer) -> dict[str, str]:
    majority = "FER+ is divided" if answer.share else ""
    if answer.majority is not None:
        majority = f"FER+ {EMOTIONS[answer.majority]} {percent(answer.share, 0)}"
    return {
        "image": f"data:image/png;base64,{base64.b64encode(_png(answer.image)).decode()}",
        "label": EMOTIONS[answer.label],
        "said": EMOTIONS[answer.said],
        "confidence": percent(answer.confidence, 0),
        "majority": majority,
        "side": answer.sides_with,
    }


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    encoded: npt.NDArray[np.uint8] = cv2.imencode(".png", image)[1]
    return encoded.tobytes()


def _recipe(findings: ExpressionFindings) -> dict[str, dict[str, str]]:
    """Title -> setting -> value; empty where the run is not known."""
    if findings.run is None:
        return {}
    config = findings.run.config
    data = config["data"]
    counts = {
        "training images": f"{data['training_images']:,}",
        "used": f"{data['training_images_used']:,}",
        **{f"left out, {reason}": f"{count:,}" for reason, count in data["dropped"].items()},
        "with FER+ votes": f"{data['with_votes']:,}",
        "PublicTest images": f"{data['public_test_images']:,}",
        "teachers": str(len(data.get("teachers", ()))),
        "start weights": config["init"] or "random",
        "device": f"{config.get('device', 'cpu')}, workers: {config.get('workers', 1)}",
    }
    recipe = {name.replace("_", " "): f"{value:g}" if isinstance(value, float) else str(value)
              for name, value in config["recipe"].items()}  # fmt: skip
    return {"Recipe": recipe, "Data": counts}
