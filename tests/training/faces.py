"""Small made-up FER2013 files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image


def png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, images: npt.NDArray[np.uint8], labels: list[int], usage: list[str]) -> Path:
    pngs = [png(image) for image in images]
    table = pd.DataFrame({"row": range(len(labels)), "emotion": labels, "usage": usage, "png": pngs})
    table.to_parquet(path)
    return path


def striped_faces(labels: list[int], seed: int = 0) -> npt.NDArray[np.uint8]:
    """Noisy images, uint8 [n, 48, 48], whose class shows as the width of their stripes."""
    rng = np.random.default_rng(seed)
    column = np.arange(48)
    stripes = np.stack(
        [np.tile(128 + 90 * np.sign(np.sin(column * (0.15 + 0.2 * label))), (48, 1)) for label in labels]
    )
    return np.clip(stripes + rng.normal(0, 12, stripes.shape), 0, 255).astype(np.uint8)
