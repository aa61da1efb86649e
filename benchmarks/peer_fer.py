"""The `fer` package on a recording, as its README shows it; runs in an environment that has it (`benchmarks.peers`)."""

from __future__ import annotations

from typing import Any

from fer.fer import FER  # type: ignore[import-not-found]
from peer_loop import main  # type: ignore[import-not-found]

detector = FER()


def step(image: Any, _: float) -> bool:
    """Faces and their seven probabilities."""
    return bool(detector.detect_emotions(image))


main(step)
