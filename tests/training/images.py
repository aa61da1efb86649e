"""Image files for made-up data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, grey: int = 100, size: tuple[int, int] = (20, 16)) -> Path:
    """A colour image of one grey level, `size` being width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), grey, np.uint8)).save(path)
    return path
