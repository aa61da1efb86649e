"""FER2013 with FER+ votes: find, read, join, clean.

FER2013 (Goodfellow et al. 2013) holds 48x48 grey faces with one of seven labels in the parts Training, PublicTest and
PrivateTest. How to get it: Kaggle, "Challenges in Representation Learning: Facial Expression Recognition Challenge".
Terms: research use, no redistribution. Every form in which people have it is read:

* ``fer2013.csv`` or ``icml_face_data.csv``: columns emotion, pixels, Usage, in any order and with blanks in the header;
* the challenge's two files, ``train.csv`` (emotion, pixels) and ``test.csv`` (pixels; used only in copies with labels);
* folders of images, ``train/angry/...``, ``test/...`` and perhaps ``validation/...``; names of classes vary;
* a parquet file: columns emotion and png, and row and usage where they are known.

Where a form has no part for it, a tenth of each class is held out as PublicTest, and as PrivateTest: always the same
images, but not the official ones, so figures on them compare with nobody else's.

FER+ (Barsoum et al. 2016, MIT licence) adds the votes of ten annotators, joined by the row index in ``fer2013.csv``:
its image names are not unique. Folders do not tell the row, so their images get no votes.

What the data set gets wrong is repaired in one place, :func:`clean_training`: some Training images stand, pixel for
pixel, in the part they would be tested on, and a few images are constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentry_proto.layout import EMOTIONS
from training.datasets.fer2013_forms import (
    SIDE,
    SPLITS,
    is_image_folder,
    read_csv_form,
    read_image_folder,
    read_parquet_form,
)
from training.datasets.layout import DatasetError, read_csv

__all__ = [
    "EMOTIONS",
    "SIDE",
    "SPLITS",
    "Cleaning",
    "DatasetError",
    "Faces",
    "clean_training",
    "find_data",
    "find_ferplus",
    "load_fer2013",
    "load_ferplus",
    "load_votes",
]

# FER+ names its classes otherwise; contempt, unknown and "not a face" have no place among the seven.
_FERPLUS_COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_READERS = {".parquet": read_parquet_form, ".csv": read_csv_form}
_OTHER_FILES = ("icml_face_data.csv", "train.csv")
_DEFAULT_FOLDERS = (Path("data"), Path("..") / "shared" / "data")
_SUBFOLDERS = ("", "fer2013", "FER2013", "images")


@dataclass(frozen=True)
class Faces:
    """Labelled face images.

    Attributes:
        images: uint8 [n, 48, 48], grey.
        labels: int64 [n], index into ``EMOTIONS``.
        rows: int64 [n], index in the original ``fer2013.csv``; -1 where the form does not tell.
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
    """The FER2013 file or image folder: the given file, or the first in the given folder or in the usual places.

    Raises:
        DatasetError: nothing is there; the message names every place searched.
    """
    if given is not None and not given.is_dir():
        return given
    folders = _DEFAULT_FOLDERS if given is None else (given,)
    for folder in folders:
        for place in (folder / name for name in _SUBFOLDERS):
            if place.is_dir() and (found := _find_in(place)):
                return found
    places = ", ".join(str(folder) for folder in folders)
    raise DatasetError(
        f"no fer2013*.parquet or fer2013*.csv found in {places}, nor {', '.join(_OTHER_FILES)} or train/angry there; "
        "name the file or folder with --data"
    )


def _find_in(folder: Path) -> Path | None:
    named = [path for path in sorted(folder.glob("fer2013*")) if path.suffix in _READERS]
    others = [folder / name for name in _OTHER_FILES if (folder / name).is_file()]
    images = [folder] if is_image_folder(folder) else []
    return next(iter([*named, *others, *images]), None)


def find_ferplus(given: Path | None, data: Path) -> Path | None:
    """The FER+ votes: the given file, or one beside the data, or None."""
    return given or next(iter(sorted(data.parent.glob("ferplus*.csv"))), None)


def load_fer2013(path: Path) -> Faces:
    """Read FER2013 from a file or a folder in one of the forms above.

    Raises:
        DatasetError: it is missing, half-copied, of another form, or has a label or image outside the definition.
    """
    if path.is_dir():
        found = read_image_folder(path)
    elif path.suffix in _READERS:
        found = _READERS[path.suffix](path)
    else:
        raise DatasetError(f"{path}: expected a file of the form {' or '.join(_READERS)}, or a folder of images")
    return Faces(found.images, found.labels, found.rows, found.usage)


def load_ferplus(path: Path, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """FER+ vote shares for the given rows of ``fer2013.csv``.

    Args:
        path: a csv file with the columns row, neutral, happiness, surprise, sadness, anger, disgust, fear.
        rows: int64 [n]; -1 for unknown.

    Returns:
        float32 [n, 7] in the order of ``EMOTIONS``; each line sums to 1, or is all zero where nobody voted for any of
        the seven or the row is not in the file.

    Raises:
        DatasetError: the file is missing or of another form.
    """
    table = read_csv(path, "FER+", ("row", *_FERPLUS_COLUMNS))
    votes = table.set_index("row")[list(_FERPLUS_COLUMNS)].reindex(rows, fill_value=0).to_numpy(np.float32)
    total: npt.NDArray[np.float32] = votes.sum(axis=1, keepdims=True)
    shares: npt.NDArray[np.float32] = np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)
    return shares


def load_votes(path: Path | None, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """As `load_ferplus`; zeros where there is no file."""
    return np.zeros((len(rows), len(EMOTIONS)), np.float32) if path is None else load_ferplus(path, rows)


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
