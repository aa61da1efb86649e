"""The card of an expression model: written from the run and from measurements, never by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.datasets.fer2013 import EMOTIONS
from training.evaluation.metrics import ClassificationReport
from training.trainers.emotion_network import BACKBONES


@dataclass(frozen=True)
class CardFacts:
    """What the card states.

    Attributes:
        file: name of the model file.
        sha256: of the model file.
        size: of the model file, bytes.
        version: as in the model's metadata.
        parameters: number of weights that serve.
        embedding: width of the output ``embedding``.
        parity: largest difference of a probability between ONNX Runtime and torch.
        milliseconds: per face on one core, by side of the crop in pixels.
        config: config.json of the run.
        best_epoch: the epoch that ships, from 1.
        epochs_done: epochs trained.
        report: figures of the model file on PublicTest.
        temperature: fitted on PublicTest, inside the graph.
        raw_ece: expected calibration error without it.
        crossfitted_ece: with a temperature that was fitted on the other half of PublicTest.
    """

    file: str
    sha256: str
    size: int
    version: str
    parameters: int
    embedding: int
    parity: float
    milliseconds: dict[int, float]
    config: dict[str, Any]
    best_epoch: int
    epochs_done: int
    report: ClassificationReport
    temperature: float
    raw_ece: float
    crossfitted_ece: float


def expression_card(facts: CardFacts) -> str:
    """The whole card, as Markdown."""
    sections = (_contract(facts), _figures(facts), _data(facts), _recipe(facts), _use(facts.report))
    return "\n\n".join((f"# Facial expression model, version {facts.version}", *sections)) + "\n"


def _contract(facts: CardFacts) -> str:
    network = BACKBONES[facts.config["recipe"]["backbone"]].title
    timing = ", ".join(f"{ms:.2f} ms ({side}x{side} crop)" for side, ms in facts.milliseconds.items())
    return f"""| | |
|---|---|
| file | `{facts.file}`, {facts.size / 1e6:.2f} MB |
| sha256 | `{facts.sha256}` |
| network | {network}, {facts.parameters / 1e6:.2f} million parameters, float32 |
| input | `faces` uint8 [N, H, W]: grey face crops of any size; resize and scaling are inside the graph |
| output | `probabilities` float32 [N, {len(EMOTIONS)}]: {", ".join(EMOTIONS)} |
| output | `embedding` float32 [N, {facts.embedding}] |
| time | {timing}: median per face, ONNX Runtime, one core |
| parity | probabilities within {facts.parity:.0e} of torch on random crops of several sizes |"""


def _figures(facts: CardFacts) -> str:
    report = facts.report
    head = "| label \\ predicted | " + " | ".join(EMOTIONS) + " | recall |"
    rule = "|---" * (len(EMOTIONS) + 2) + "|"
    rows = [
        f"| {name} | " + " | ".join(str(count) for count in line) + f" | {recall:.1%} |"
        for name, line, recall in zip(EMOTIONS, report.confusion, report.recall, strict=True)
    ]
    table = "\n".join((head, rule, *rows))
    return f"""## Figures

On FER2013 PublicTest, n = {report.n}, this file in ONNX Runtime, one pass, no test-time augmentation:
accuracy **{report.accuracy:.1%}**, balanced accuracy {report.balanced_accuracy:.1%}, macro F1 {report.macro_f1:.3f}, \
expected calibration error {report.ece:.3f} (15 bins).
PublicTest also chose the epoch ({facts.best_epoch} of {facts.epochs_done}) and the temperature \
({facts.temperature:.2f}), so these figures are slightly optimistic; PrivateTest was not seen.
Without the temperature the calibration error is {facts.raw_ece:.3f}; with one fitted on the other half of PublicTest \
{facts.crossfitted_ece:.3f}. People agree with FER2013's labels on about 65 +- 5 % of the images.

{table}"""


def _data(facts: CardFacts) -> str:
    data = facts.config["data"]
    dropped = data["dropped"]
    return f"""## Data and terms

* FER2013 (Goodfellow et al. 2013), part Training: {data["training_images_used"]} of {data["training_images"]} images. \
Left out: {dropped["duplicates"]} that also stand, pixel for pixel, in a held-out part, and {dropped["constant"]} \
constant images. FER2013 is for research use; its images are not redistributed here. Whoever uses this model inherits \
the question of whether that covers the use.
* FER+ votes (Barsoum et al. 2016, MIT licence) for {data["with_votes"]} of them, joined by row.
* Start weights: {_start(facts.config)}.{_teachers(data)}
* Rows used: sha256 `{data["rows_sha256"]}`."""


def _start(config: dict[str, Any]) -> str:
    init = config["init"]
    return "random" if init is None else f"`{init}`, usually {BACKBONES[config['recipe']['backbone']].start}"


def _teachers(data: dict[str, Any]) -> str:
    return "".join(
        f"\n* Teacher, on the training images alone: `{teacher['file']}`, sha256 `{teacher['sha256']}`, "
        f"{teacher['network']}. It began with {teacher['start']}."
        for teacher in data.get("teachers", ())
    )


def _recipe(facts: CardFacts) -> str:
    settings = "\n".join(f"| {name} | {value} |" for name, value in facts.config["recipe"].items())
    moved = "".join(
        f"\nAfter epoch {move['after_epoch']} the end of the run was moved from epoch {move['from']} to {move['to']}, "
        "and the fall of the learning rate with it.\n"
        for move in facts.config.get("end_moved", [])
    )
    return f"""## Recipe

`python -m training.trainers.emotion_trainer`: AdamW, cosine learning rate after a warm-up, label smoothing, mixup on \
a share of the batches, moving average of the weights, and a second head (training only) for the FER+ vote shares. \
Augmentation: flip, rotation, shear, zoom, shift, contrast, brightness, erasing, blur, noise.
{moved}
| setting | value |
|---|---|
{settings}"""


def _use(report: ClassificationReport) -> str:
    order = np.argsort(report.recall)  # NaN, a class without samples, comes last
    weakest = " and ".join(EMOTIONS[index] for index in order[:2])
    return f"""## Intended use and limits

One of several inputs to Sentry's state heads, for research with consenting participants. It names the expression that
raters would give a posed or photographed face, not what a person feels; it is no diagnosis and must not stand alone in
any decision about a person. FER2013 is a web collection with noisy labels and unknown, uneven make-up by age, sex and
skin tone; no subgroup figure exists, and errors are likely to differ between groups. It misses {weakest} most often.
Expect worse figures on profile views, covered faces and dim rooms.

In the EU, inferring emotions of people at work or in education is prohibited outside medical and safety reasons
(AI Act, Regulation (EU) 2024/1689, art. 5(1)(f))."""
