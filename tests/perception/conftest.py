"""The portrait that ships inside scikit-image, and models that are loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from perception.chain import Perception
from perception.face import FaceTracker

Image = NDArray[np.uint8]


@pytest.fixture(scope="session")
def portrait() -> Image:
    """uint8 [512, 512, 3] in BGR order: an astronaut, one face, both shoulders."""
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its public-domain portrait")
    image: Image = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    return image


@pytest.fixture(scope="module")
def perception() -> Iterator[Perception]:
    with Perception() as models:
        yield models


@pytest.fixture(scope="module")
def tracker() -> Iterator[FaceTracker]:
    with FaceTracker() as tracker:
        yield tracker
