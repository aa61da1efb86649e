"""A labelled face set whose images stay on disk until they are asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from sentry_proto.layout import EMOTIONS
from sentry_proto.types import Float32
from training.datasets.layout import DatasetError, number
from training.datasets.people import refuse_shared_people

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Face:
    """One labelled image.

    Attributes:
        path: the image file.
        label: index into `EMOTIONS`.
        part: one of `PARTS`.
        person: who it shows; empty where the data set does not tell.
        valence: -1 (unpleasant) to 1; NaN where there is none.
        arousal: -1 (calm) to 1; NaN where there is none.
        box: left, top, right and bottom of the face in pixels, the last two outside; None for the whole image.
    """

    path: Path
    label: int
    part: str
    person: str = ""
    valence: float = math.nan
    arousal: float = math.nan
    box: tuple[int, int, int, int] | None = None

    def image(self) -> npt.NDArray[np.uint8]:
        """The face as grey uint8 [H, W]; where the box reaches over the edge of the image, it is black.

        Raises:
            DatasetError: the file cannot be read as an image.
        """
        return np.asarray(self._open())

    def _open(self) -> Image.Image:
        try:
            with Image.open(self.path) as image:
                grey = image.convert("L")
        except (UnidentifiedImageError, OSError) as error:
            raise DatasetError(f"{self.path}: not a readable image") from error
        return grey if self.box is None else grey.crop(self.box)


@dataclass(frozen=True)
class LabelledFaces:
    """Faces with one of the seven classes.

    Attributes:
        name: of the data set.
        faces: in the order of the data set.
        excluded: reason -> how many were left out, for example contempt, which is none of the seven.

    Raises:
        DatasetError: on construction, if there is no face, or one person is in two parts.
    """

    name: str
    faces: tuple[Face, ...]
    excluded: Mapping[str, int]

    def __post_init__(self) -> None:
        if not self.faces:
            raise DatasetError(f"{self.name}: no face with one of the classes {', '.join(EMOTIONS)}")
        refuse_shared_people(self.name, ((face.person, face.part) for face in self.faces))

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [n], index into `EMOTIONS`."""
        return np.array([face.label for face in self.faces], np.int64)

    @property
    def affect(self) -> Float32:
        """float32 [n, 2], valence and arousal in -1..1; NaN where there is none."""
        return np.array([(face.valence, face.arousal) for face in self.faces], np.float32)

    def part(self, name: str) -> LabelledFaces:
        """The faces of one of `PARTS`.

        Raises:
            DatasetError: the data set has no such part.
        """
        faces = tuple(face for face in self.faces if face.part == name)
        if not faces:
            found = ", ".join(sorted({face.part for face in self.faces}))
            raise DatasetError(f"{self.name} has no part {name}; parts found: {found}")
        return replace(self, faces=faces)

    def batches(self, size: int, side: int) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
        """Images and labels in order, read as they are needed: uint8 [b, side, side] and int64 [b], b at most `size`.

        Raises:
            DatasetError: an image cannot be read.
        """
        for begin in range(0, len(self.faces), size):
            chosen = self.faces[begin : begin + size]
            images = [face._open().resize((side, side), Image.Resampling.BILINEAR) for face in chosen]
            yield np.stack([np.asarray(image) for image in images]), np.array([f.label for f in chosen], np.int64)

    def summary(self) -> str:
        """One line: how many faces are in each part, and how many were left out for what."""
        counts = Counter(face.part for face in self.faces)
        parts = ", ".join(f"{counts[part]} {part}" for part in PARTS if counts[part])
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.excluded.items() if count)
        return f"{self.name}: {parts}" + (f"; left out: {left_out}" if left_out else "")


class FaceCollector:
    """Gathers faces under a data set's own codes, and counts those that are none of the seven classes."""

    def __init__(self, name: str, codes: Mapping[int, str]) -> None:
        self._name, self._codes = name, codes
        self._faces: list[Face] = []
        self._excluded: Counter[str] = Counter()

    def add(
        self,
        where: str,
        code: object,
        path: Path,
        part: str,
        person: str = "",
        affect: tuple[float, float] = (math.nan, math.nan),
        box: tuple[int, int, int, int] | None = None,
    ) -> None:
        """Take one face in.

        Args:
            where: file, and row if there is one, that the code stands in.
            code: the label as it stands there.
            path: the image.
            part: one of `PARTS`.
            person: see `Face`.
            affect: valence and arousal.
            box: see `Face`.

        Raises:
            DatasetError: the code is none of the data set's.
        """
        value = int(number(f"{where}, label of {path.name}", code, min(self._codes), max(self._codes), whole=True))
        label = self._codes[value]
        if label in EMOTIONS:
            self._faces.append(Face(path, EMOTIONS.index(label), part, person, *affect, box))
        else:
            self._excluded[label] += 1

    def finish(self) -> LabelledFaces:
        """Everything taken in.

        Raises:
            DatasetError: nothing was, or one person is in two parts.
        """
        return LabelledFaces(self._name, tuple(self._faces), dict(self._excluded))
