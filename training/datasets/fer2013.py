"""FER2013 with FER+ votes: read, join, clean.

FER2013 (Goodfellow et al. 2013) holds 48x48 grey faces with one of seven labels in the parts Training, PublicTest and
PrivateTest. Two forms are read: the original ``fer2013.csv`` (columns emotion, pixels, Usage) and a parquet file
(columns row, emotion, usage, png). FER+ (Barsoum et al. 2016) adds the votes of ten annotators, joined by the row index
in ``fer2013.csv``: its image names are not unique.

What the data set gets wrong is repaired in one place, :func:`clean_training`: some Training images stand, pixel for
pixel, in the part they would be tested on, and a few images are constant.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, UnidentifiedImageError

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SPLITS = ("Training", "PublicTest", "PrivateTest")
SIDE = 48

# FER+ names its classes otherwise; contempt, unknown and "not a face" have no place among the seven.
_FERPLUS_COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_FORMS = (".parquet", ".csv")
_DEFAULT_FOLDERS = (Path("data"), Path("..") / "shared" / "data")


class DatasetError(ValueError):
    """A data file is missing or is not what its reader expects."""


@dataclass(frozen=True)
class Faces:
    """Labelled face images.

    Attributes:
        images: uint8 [n, 48, 48], grey.
        labels: int64 [n], index into ``EMOTIONS``.
        rows: int64 [n], index in the original ``fer2013.csv``.
        usage: str [n], one of ``SPLITS``.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    usage: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, keep: npt.NDArray[np.bool_]) -> Faces:
        """The faces for which ``keep`` (bool [n]) is true."""
        return Faces(self.images[keep], self.labels[keep], self.rows[keep], self.usage[keep])

    def split(self, name: str) -> Faces:
        """One part of the data set.

        Raises:
            DatasetError: the file has no image of that part.
        """
        part = self.where(self.usage == name)
        if not len(part):
            found = ", ".join(sorted(set(self.usage.tolist()))) or "none"
            raise DatasetError(f"the data has no {name} images; parts found: {found}")
        return part


@dataclass(frozen=True)
class Cleaning:
    """How many Training images :func:`clean_training` left out, and why."""

    duplicates: int
    constant: int


def find_data(given: Path | None) -> Path:
    """The FER2013 file: the given one, the first in the given folder, or the first in the usual places.

    Raises:
        DatasetError: nothing is there; the message names every place searched.
    """
    if given is not None and not given.is_dir():
        return given
    folders = _DEFAULT_FOLDERS if given is None else (given,)
    for folder in folders:
        if matches := [path for path in sorted(folder.glob("fer2013*")) if path.suffix in _FORMS]:
            return matches[0]
    places = ", ".join(str(folder) for folder in folders)
    raise DatasetError(f"no fer2013*.parquet or fer2013*.csv found in {places}; name the file with --data")


def load_fer2013(path: Path) -> Faces:
    """Read FER2013 from ``.parquet`` (row, emotion, usage, png) or ``.csv`` (emotion, pixels, Usage).

    Raises:
        DatasetError: the file is missing, of another form, or has a label or image outside the definition.
    """
    table = _read_table(path)
    if path.suffix == ".parquet":
        _require(path, table, ("row", "emotion", "usage", "png"))
        rows, usage, images = table["row"].to_numpy(), table["usage"], _decode_pngs(path, table["png"].tolist())
    else:
        _require(path, table, ("emotion", "pixels", "Usage"))
        rows, usage, images = np.arange(len(table)), table["Usage"], _parse_pixels(path, table["pixels"].tolist())
    labels = pd.to_numeric(table["emotion"], errors="coerce")
    if not labels.isin(range(len(EMOTIONS))).all():
        raise DatasetError(f"{path}: column emotion must hold whole numbers from 0 to {len(EMOTIONS) - 1}")
    return Faces(images, labels.to_numpy(np.int64), rows.astype(np.int64), usage.to_numpy().astype(np.str_))


def load_ferplus(path: Path, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """FER+ vote shares for the given rows of ``fer2013.csv``.

    Args:
        path: a csv file with the columns row, neutral, happiness, surprise, sadness, anger, disgust, fear.
        rows: int64 [n].

    Returns:
        float32 [n, 7] in the order of ``EMOTIONS``; each line sums to 1, or is all zero where nobody voted for any of
        the seven or the row is not in the file.

    Raises:
        DatasetError: the file is missing or of another form.
    """
    table = _read_table(path)
    _require(path, table, ("row", *_FERPLUS_COLUMNS))
    votes = table.set_index("row")[list(_FERPLUS_COLUMNS)].reindex(rows, fill_value=0).to_numpy(np.float32)
    total: npt.NDArray[np.float32] = votes.sum(axis=1, keepdims=True)
    shares: npt.NDArray[np.float32] = np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)
    return shares


def clean_training(training: Faces, held_out: Sequence[Faces]) -> tuple[npt.NDArray[np.bool_], Cleaning]:
    """Which Training images may be learned from.

    Left out are constant images and every image that also stands, pixel for pixel, in a held-out part, whatever its
    label there: a figure on that part would otherwise reward memory.

    Returns:
        bool [n], true to keep, and the counts.
    """
    pixels = training.images.reshape(len(training), -1)
    constant = pixels.min(axis=1) == pixels.max(axis=1)
    forbidden = {image.tobytes() for part in held_out for image in part.images}
    duplicate = np.array([image.tobytes() in forbidden for image in training.images], dtype=np.bool_)
    return ~(constant | duplicate), Cleaning(int((duplicate & ~constant).sum()), int(constant.sum()))


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    if path.suffix not in _FORMS:
        raise DatasetError(f"{path}: expected a file of the form {' or '.join(_FORMS)}")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parse errors are ValueErrors
        raise DatasetError(f"{path}: not a readable {path.suffix[1:]} file ({error})") from error


def _require(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in table.columns]:
        raise DatasetError(f"{path}: expected the columns {', '.join(columns)}; missing {', '.join(missing)}")


def _decode_pngs(path: Path, blobs: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    def decode() -> Iterator[npt.NDArray[np.uint8]]:
        for index, blob in enumerate(blobs):
            try:
                image = np.asarray(Image.open(io.BytesIO(blob)).convert("L"))
            except (UnidentifiedImageError, OSError, TypeError) as error:
                raise DatasetError(f"{path}: image {index} in column png is not a PNG") from error
            yield _of_right_size(path, index, image)

    return np.stack(list(decode())) if blobs else np.empty((0, SIDE, SIDE), np.uint8)


def _parse_pixels(path: Path, texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    def parse() -> Iterator[npt.NDArray[np.uint8]]:
        for index, text in enumerate(texts):
            try:
                values = np.array(str(text).split(), dtype=np.uint8)
            except (ValueError, OverflowError) as error:
                message = f"{path}: image {index} in column pixels must be numbers from 0 to 255"
                raise DatasetError(message) from error
            side = SIDE if values.size == SIDE * SIDE else values.size
            yield _of_right_size(path, index, values.reshape(side, -1))

    return np.stack(list(parse())) if texts else np.empty((0, SIDE, SIDE), np.uint8)


def _of_right_size(path: Path, index: int, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if image.shape != (SIDE, SIDE):
        raise DatasetError(f"{path}: image {index} has {image.size} pixels, expected {SIDE}x{SIDE}")
    return image
