"""A personal offset: what is added to a head's logits for one person; see `training.evaluation.personal`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.active_learning.uncertainty import SMALLEST

Array = NDArray[np.floating[Any]]


def shift(probabilities: Array, logits: Array) -> NDArray[np.float64]:
    """The class probabilities after an offset, softmax(log p + offset).

    Args:
        probabilities: float [..., C], the generic head's.
        logits: float [C] or [..., C].
    """
    scores = np.log(np.maximum(probabilities, SMALLEST, dtype=np.float64)) + logits
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    shifted: NDArray[np.float64] = raised / raised.sum(-1, keepdims=True)
    return shifted
