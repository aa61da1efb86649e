"""Emotion: the expression model in ONNX Runtime. All scaling lives inside its graph, so that nothing can drift."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from perception.bundles import EXPRESSION_MODEL, model_path
from perception.providers import AUTO, open_session
from sentry_proto.errors import EnvironmentFault, MissingDependency, SentryError
from sentry_proto.layout import EMOTIONS
from sentry_proto.types import Float32

MODEL = EXPRESSION_MODEL


@dataclass(frozen=True, eq=False)
class Expressions:
    """What the model says about N faces: `probabilities` float32 [N, 7] in `EMOTIONS` order, `embedding` [N, E]."""

    probabilities: Float32
    embedding: Float32


class ExpressionModel:
    """Grey face crops in, probabilities and embedding out.

    Args:
        path: of the ONNX graph; the shipped one if None.
        provider: what is to run it, one of `providers.CHOICES` or `providers.AUTO`.

    Attributes:
        sha256: hex digest of the very bytes that run.

    Raises:
        InputError: there is no such provider.
        MissingDependency: the provider is missing, the file is absent, or its inputs and outputs are not those of an
            expression model.
    """

    def __init__(self, path: Path | None = None, provider: str = AUTO) -> None:
        source = path or model_path(MODEL)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # one camera, one core
        options.log_severity_level = 3
        try:
            graph = source.read_bytes()
            self.sha256 = hashlib.sha256(graph).hexdigest()
            self._session = open_session(provider, graph, options)
        except SentryError:
            raise
        except Exception as error:
            raise MissingDependency(f"The expression model {source} cannot be loaded: {error}") from error
        outputs = {output.name for output in self._session.get_outputs()}
        if [i.name for i in self._session.get_inputs()] != ["faces"] or not {"probabilities", "embedding"} <= outputs:
            raise MissingDependency(f"{source} is not an expression model: it has other inputs and outputs.")

    @property
    def provider(self) -> str:
        """What runs the graph, such as `CPUExecutionProvider`."""
        return str(self._session.get_providers()[0])

    def check(self) -> None:
        """Look at one face, and whether what the model says of it can be said.

        Raises:
            MissingDependency: it does not run, or gives no probabilities of `EMOTIONS`.
        """
        try:
            said = self(np.full((1, 48, 48), 128, np.uint8)).probabilities
        except Exception as error:  # onnxruntime raises its own and plain RuntimeErrors alike
            raise MissingDependency(f"the expression model does not run: {str(error)[:200]}") from error
        if said.shape != (1, len(EMOTIONS)) or not (said >= 0).all() or not abs(float(said.sum()) - 1) < 1e-3:
            raise MissingDependency(f"the expression model gives no probabilities of {', '.join(EMOTIONS)}")

    def __call__(self, faces: NDArray[np.uint8]) -> Expressions:
        """Classify face crops, uint8 [N, H, W], grey, of any size.

        Raises:
            EnvironmentFault: the provider has failed, as a GPU does that is gone or full.
        """
        try:
            probabilities, embedding = self._session.run(["probabilities", "embedding"], {"faces": faces})
        except Exception as error:  # onnxruntime raises its own and plain RuntimeErrors alike
            raise EnvironmentFault(
                f"the expression model no longer runs on {self.provider}: {str(error)[:200]}; start anew, or with "
                "--provider cpu"
            ) from error
        return Expressions(probabilities, embedding)


def emotion_features(probabilities: Float32) -> dict[str, float]:
    """Frame features of modality emotion from one face's probabilities, float32 [7]; entropy in nats."""
    p = probabilities.astype(np.float64)
    features = {f"emotion_{name}": float(value) for name, value in zip(EMOTIONS, p, strict=True)}
    features["emotion_entropy"] = float(-(p * np.log(np.maximum(p, 1e-12))).sum())
    return features
