"""The forms in which people have FER2013: tables and folders of images, and a split where a form has none."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, UnidentifiedImageError

from sentry_proto.layout import EMOTIONS
from training.datasets.layout import DatasetError, read_csv

SPLITS = ("Training", "PublicTest", "PrivateTest")
SIDE = 48
HELD_OUT = 0.1
"""Share of each class's Training images that is held out where a form has no part for it, as in FER2013's own parts."""

UNKNOWN_ROW = -1
_NAME = "FER2013"
_PARTS = {
    **dict.fromkeys(("train", "training"), "Training"),
    **dict.fromkeys(("validation", "valid", "val", "publictest"), "PublicTest"),
    **dict.fromkeys(("test", "privatetest"), "PrivateTest"),
}
_CLASSES = {
    **{name: index for index, name in enumerate(EMOTIONS)},
    **{str(index): index for index in range(len(EMOTIONS))},
    **dict.fromkeys(("anger",), EMOTIONS.index("angry")),
    **dict.fromkeys(("disgusted",), EMOTIONS.index("disgust")),
    **dict.fromkeys(("fearful", "scared"), EMOTIONS.index("fear")),
    **dict.fromkeys(("happiness",), EMOTIONS.index("happy")),
    **dict.fromkeys(("sadness",), EMOTIONS.index("sad")),
    **dict.fromkeys(("surprised",), EMOTIONS.index("surprise")),
}
_IMAGES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Rows:
    """What a form holds: uint8 [n, 48, 48], int64 [n], int64 [n] (-1 if unknown) and str [n], one of `SPLITS`."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    usage: npt.NDArray[np.str_]

    def with_held_out(self, *parts: str) -> Rows:
        """The same images, with a tenth of each class moved from Training to each of `parts`."""
        usage = self.usage.astype(f"<U{max(map(len, SPLITS))}")
        for part in parts:
            usage[_tenth_of_each_class(self.images, self.labels, usage == "Training")] = part
        return Rows(self.images, self.labels, self.rows, usage)


def read_parquet_form(path: Path) -> Rows:
    """Columns emotion and png; row and usage where they are known.

    Raises:
        DatasetError: the file is missing, of another form, or has a label or image outside the definition.
    """
    if not path.is_file():
        raise DatasetError(f"{_NAME}: expected the file {path}, which is not there")
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pyarrow's parse errors are ValueErrors
        raise DatasetError(f"{path}: not a readable parquet file ({error})") from error
    if missing := [name for name in ("emotion", "png") if name not in table.columns]:
        raise DatasetError(f"{path}: expected the columns emotion, png; missing {', '.join(missing)}")
    images = _stack(_decode(f"{path}: image {i} in column png", blob) for i, blob in enumerate(table["png"]))
    rows = table["row"].to_numpy(np.int64) if "row" in table.columns else _unknown(len(table))
    return _with_usage(path, images, _labels(path, table), rows, table.get("usage"))


def read_csv_form(path: Path) -> Rows:
    """Columns emotion, pixels and Usage, in any order; without Usage, a ``train.csv`` with or without ``test.csv``.

    Raises:
        DatasetError: the file is missing, of another form, or has a label or image outside the definition.
    """
    table = read_csv(path, _NAME, ("emotion", "pixels"))
    usage = next((table[name] for name in table.columns if name.lower() == "usage"), None)
    images, labels = _pixels(path, table), _labels(path, table)
    tests = path.with_name("test.csv")
    if usage is not None or path.name != "train.csv" or not _is_labelled(tests):
        return _with_usage(path, images, labels, np.arange(len(table)), usage)
    test = read_csv(tests, _NAME, ("emotion", "pixels"))
    return Rows(
        np.concatenate([images, _pixels(tests, test)]),
        np.concatenate([labels, _labels(tests, test)]),
        np.concatenate([np.arange(len(table)), _unknown(len(test))]),
        np.array(["Training"] * len(table) + ["PrivateTest"] * len(test)),
    ).with_held_out("PublicTest")


def is_image_folder(path: Path) -> bool:
    """Whether one of the parts lies in this folder, with one of the classes in it."""
    return any(entry.name.lower() in _CLASSES for part in _part_folders(path) for entry in part.iterdir())


def read_image_folder(path: Path) -> Rows:
    """``train/angry/...`` with or without ``validation`` and ``test``; file names that start with a part outrank it.

    Raises:
        DatasetError: a class is missing or unknown, or an image is unreadable or of another size.
    """
    files: list[tuple[Path, int, str]] = []
    for folder in _part_folders(path):
        classes = _class_folders(folder)
        if missing := set(range(len(EMOTIONS))) - set(classes.values()):
            raise DatasetError(
                f"{_NAME} is half-copied: expected {folder / EMOTIONS[min(missing)]}, which is not there"
            )
        for class_folder, label in classes.items():
            images = sorted(file for file in class_folder.iterdir() if file.suffix.lower() in _IMAGES)
            if not images:
                raise DatasetError(f"{_NAME} is half-copied: no image in {class_folder}")
            files += [(file, label, _usage_of(file, folder)) for file in images]
    if not any(usage == "Training" for _, _, usage in files):
        raise DatasetError(f"{_NAME}: expected the folder {path / 'train'} with one folder a class")
    found = Rows(
        _stack(_decode(str(file), file.read_bytes()) for file, _, _ in files),
        np.array([label for _, label, _ in files], np.int64),
        _unknown(len(files)),
        np.array([usage for _, _, usage in files]),
    )
    if "PublicTest" in found.usage:
        return found
    return found.with_held_out("PublicTest") if "PrivateTest" in found.usage else found.with_held_out(*SPLITS[1:])


def _part_folders(path: Path) -> list[Path]:
    return [folder for folder in sorted(path.iterdir()) if folder.is_dir() and folder.name.lower() in _PARTS]


def _class_folders(folder: Path) -> dict[Path, int]:
    named = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not entry.name.startswith(".")]
    if unknown := [entry for entry in named if entry.name.lower() not in _CLASSES]:
        raise DatasetError(f"{unknown[0]}: expected folders named {', '.join(EMOTIONS)}")
    return {entry: _CLASSES[entry.name.lower()] for entry in named}


def _usage_of(file: Path, folder: Path) -> str:
    """Copies that merged both test parts still say which one an image is from: ``PublicTest_123.jpg``."""
    prefix = file.name.split("_")[0]
    return prefix if prefix in SPLITS else _PARTS[folder.name.lower()]


def _with_usage(
    path: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    usage: pd.Series | None,
) -> Rows:
    if usage is None:
        return Rows(images, labels, rows, np.array(["Training"] * len(labels))).with_held_out(*SPLITS[1:])
    names = np.array([str(name).strip() for name in usage], dtype=np.str_)
    if unknown := sorted(set(names.tolist()) - set(SPLITS)):
        raise DatasetError(f"{path}: the column Usage must hold {', '.join(SPLITS)}, not {unknown[0]!r}")
    return Rows(images, labels, rows, names)


def _tenth_of_each_class(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], among: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Images are drawn by their digest, bool [n]: alike for every order of files, and copies stay together."""
    digests = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    chosen = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels[among]):
        candidates = among & (labels == label)
        drawn = np.unique(digests[candidates])
        chosen |= candidates & np.isin(digests, drawn[: round(HELD_OUT * len(drawn))])
    return chosen


def _is_labelled(path: Path) -> bool:
    """Whether a ``test.csv`` has labels: the challenge's own has none."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as file:
        return "emotion" in file.readline().lower()


def _unknown(count: int) -> npt.NDArray[np.int64]:
    return np.full(count, UNKNOWN_ROW, np.int64)


def _labels(path: Path, table: pd.DataFrame) -> npt.NDArray[np.int64]:
    labels = pd.to_numeric(table["emotion"], errors="coerce")
    if not labels.isin(range(len(EMOTIONS))).all():
        raise DatasetError(f"{path}: column emotion must hold whole numbers from 0 to {len(EMOTIONS) - 1}")
    return labels.to_numpy(np.int64)


def _pixels(path: Path, table: pd.DataFrame) -> npt.NDArray[np.uint8]:
    def parse() -> Iterator[npt.NDArray[np.uint8]]:
        for index, text in enumerate(table["pixels"].tolist()):
            where = f"{path}: image {index}"
            try:
                values = np.array(str(text).split(), dtype=np.uint8)
            except (ValueError, OverflowError) as error:
                raise DatasetError(f"{where} in column pixels must be numbers from 0 to 255") from error
            side = SIDE if values.size == SIDE * SIDE else values.size
            yield _of_right_size(where, values.reshape(side, -1))

    return _stack(parse())


def _decode(where: str, blob: bytes) -> npt.NDArray[np.uint8]:
    try:
        image = np.asarray(Image.open(io.BytesIO(blob)).convert("L"))
    except (UnidentifiedImageError, OSError, TypeError) as error:
        raise DatasetError(f"{where} is not a readable image") from error
    return _of_right_size(where, image)


def _of_right_size(where: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if image.shape != (SIDE, SIDE):
        raise DatasetError(f"{where} has {image.size} pixels, expected {SIDE}x{SIDE}")
    return image


def _stack(images: Iterator[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    found: Sequence[npt.NDArray[np.uint8]] = list(images)
    return np.stack(found) if found else np.empty((0, SIDE, SIDE), np.uint8)
