"""What an expression model gets right and wrong on labelled faces, ready to be drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.datasets.fer2013 import SIDE, Faces
from training.evaluation.calibration import crossfitted_calibration_error
from training.evaluation.expression import (
    Judgement,
    judge,
    milliseconds_per_face,
    open_model,
    predict,
    without_temperature,
)
from training.evaluation.metrics import Probabilities


@dataclass(frozen=True)
class Run:
    """The training run that a model comes from.

    Attributes:
        config: its config.json.
        history: figures of each epoch: epoch, loss, accuracy, macro_f1, ece.
        best_epoch: the one that ships, from 1.
        parameters: weights that serve.
    """

    config: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    best_epoch: int
    parameters: int


@dataclass(frozen=True, eq=False)
class WrongAnswer:
    """A face that the model takes for something else than its label says.

    Attributes:
        image: uint8 [48, 48].
        label, said: classes.
        confidence: of the answer, 0..1.
        majority: the class that most FER+ annotators chose; None where they are not known or not of one mind.
        share: of the annotators that chose it.
    """

    image: npt.NDArray[np.uint8]
    label: int
    said: int
    confidence: float
    majority: int | None
    share: float

    @property
    def sides_with(self) -> str:
        """Whom the FER+ majority agrees with: model, label, neither, or unknown."""
        if self.majority is None:
            return "unknown"
        return {self.said: "model", self.label: "label"}.get(self.majority, "neither")


@dataclass(frozen=True, eq=False)
class ExpressionFindings:
    """All that a page about an expression model shows.

    Attributes:
        title: name of the model or run.
        split: the part of FER2013 that it was judged on.
        faces: that part.
        votes: FER+ vote shares, float32 [n, 7]; zeros where unknown.
        probabilities, unscaled: with and without the temperature, [n, 7].
        judgement: figures of `probabilities`.
        crossfitted_ece: calibration error with a temperature fitted on the other half of the faces.
        size: of the model file in bytes.
        milliseconds: per face of the size of FER2013, on one core.
        run: None where only the model is known.
    """

    title: str
    split: str
    faces: Faces
    votes: npt.NDArray[np.float32]
    probabilities: Probabilities
    unscaled: Probabilities
    judgement: Judgement
    crossfitted_ece: float
    size: int
    milliseconds: float
    run: Run | None = None

    @property
    def majority(self) -> npt.NDArray[np.int64]:
        """The FER+ majority of each face, int64 [n]; -1 where it is not known or the votes are tied."""
        ordered = np.sort(self.votes, axis=1)
        clear = ordered[:, -1] > ordered[:, -2]
        return np.where(clear, self.votes.argmax(axis=1), -1)

    def wrong(self) -> list[WrongAnswer]:
        """Every wrong answer, the surest first."""
        said, confidence = self.probabilities.argmax(axis=1), self.probabilities.max(axis=1)
        majority = self.majority
        order = np.argsort(-confidence, kind="stable")
        return [
            WrongAnswer(
                image=self.faces.images[i],
                label=int(self.faces.labels[i]),
                said=int(said[i]),
                confidence=float(confidence[i]),
                majority=int(majority[i]) if majority[i] >= 0 else None,
                share=float(self.votes[i].max()),
            )
            for i in order
            if said[i] != self.faces.labels[i]
        ]

    def sides(self, most: int) -> Counter[str]:
        """Whom FER+ sides with in so many of the surest wrong answers."""
        return Counter(answer.sides_with for answer in self.wrong()[:most])

    @property
    def accuracy_by_majority(self) -> tuple[float, int]:
        """Share of faces that are called what the FER+ majority calls them, and of how many; NaN of none."""
        known = self.majority >= 0
        right = self.probabilities.argmax(axis=1)[known] == self.majority[known]
        return (float(right.mean()) if known.any() else float("nan")), int(known.sum())


def findings_of(
    title: str,
    model: bytes,
    faces: Faces,
    votes: npt.NDArray[np.float32],
    split: str,
    resamples: int = 1000,
    run: Run | None = None,
) -> ExpressionFindings:
    """Judge a model on faces.

    Args:
        title: name of the model or run.
        model: what stands in the ONNX file.
        faces: of one part of FER2013.
        votes: their FER+ vote shares, float32 [n, 7]; zeros where unknown.
        split: name of the part.
        resamples: for the intervals.
        run: that the model comes from, if known.

    Raises:
        ModelError: it is not an expression model.
    """
    session = open_model(model)
    probabilities = predict(session, faces.images)
    unscaled = without_temperature(session, probabilities)
    return ExpressionFindings(
        title=title,
        split=split,
        faces=faces,
        votes=votes,
        probabilities=probabilities,
        unscaled=unscaled,
        judgement=judge(probabilities, faces.labels, resamples),
        crossfitted_ece=crossfitted_calibration_error(unscaled, faces.labels),
        size=len(model),
        milliseconds=milliseconds_per_face(model, SIDE),
        run=run,
    )
