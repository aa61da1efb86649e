"""Pictures of every kind become what the chain takes: uint8 [H, W, 3] in BGR order, of a sensible size."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import InputError, MediaError

Image = NDArray[np.uint8]

log = logging.getLogger(__name__)

MOST_SIDE = 1920
"""Pixels; the models look at far fewer, and a frame of 8K would take a tenth of a second to copy."""

MIN_SIDE = 16
"""Pixels; nobody can be seen in less."""

TOLD = 3
"""Pictures that are named where some cannot be used."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def is_picture(image: Any) -> bool:
    """Whether a frame is one that the chain can work on."""
    try:
        check_image(image)
    except InputError:
        return False
    return True


def check_image(image: Any) -> None:
    """Refuse what is not a picture.

    Raises:
        InputError: not uint8 [H, W, 3], or less than 16 pixels wide or high.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        kind = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"A frame must be an array uint8 [height, width, 3] in BGR order; this one is {kind}.")
    if min(image.shape[:2]) < MIN_SIDE:
        raise InputError(f"A frame must be at least {MIN_SIDE} pixels wide and high; this one is {image.shape}.")


def as_bgr(image: Any) -> Image | None:
    """What a camera gave, as uint8 [H, W, 3] in BGR order.

    Args:
        image: uint8 or uint16; [H, W] or [H, W, 1] grey, [H, W, 3] BGR, [H, W, 4] BGR with alpha.

    Returns:
        None where it is no picture: nothing, empty, or of another kind.
    """
    if not isinstance(image, np.ndarray) or image.size == 0 or image.ndim not in (2, 3):
        return None
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype != np.uint8 or channels not in (1, 3, 4):
        return None
    if channels == 3:
        return np.asarray(image, np.uint8)
    bgr: Image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_BGRA2BGR)
    return bgr


def fitted(image: Image) -> Image:
    """The picture itself, or a smaller version whose longer side is `MOST_SIDE`."""
    height, width = image.shape[:2]
    scale = MOST_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(scale * width)), max(1, round(scale * height))
    smaller: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller


class ImageFolder:
    """The pictures of a folder as a recording; iterate to get `(image, t)` as of `perception.video.VideoFile`.

    They come in the order of their names, where numbers count as numbers, `fps` a second. In place of one that cannot
    be decoded or is too small comes None: it takes its time, and nothing else is lost.

    Raises:
        MediaError: it holds no picture; while iterating: not one of them can be used.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.fps, self._path = fps, path
        self._files = sorted((p for p in path.iterdir() if p.suffix.lower() in SUFFIXES), key=_natural)
        if not self._files:
            raise MediaError(f"The folder {path} holds no picture ({', '.join(SUFFIXES)}).")

    def __iter__(self) -> Iterator[tuple[Image | None, float]]:
        useless = []
        for index, file in enumerate(self._files):
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None or not is_picture(fitted(image)):
                useless.append(file.name)
                image = None
            yield image, index / self.fps
        self._tell(useless)

    def _tell(self, useless: list[str]) -> None:
        if not useless:
            return
        n, some = len(useless), ", ".join(useless[:TOLD]) + (", ..." if len(useless) > TOLD else "")
        words = f"{n} of {len(self._files)} pictures in {self._path} cannot be decoded, or are too small: {some}."
        if n == len(self._files):
            raise MediaError(words)
        log.warning("%s", words)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
