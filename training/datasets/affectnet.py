"""AffectNet: faces from the web with an expression, valence and arousal (Mollahosseini et al. 2017).

How to get it: a faculty member asks through the form at http://mohammadmahoor.com/pages/databases/affectnet/ and signs
the agreement. Terms: non-commercial research only, no redistribution, no face in public but a few in papers.

Two layouts are read. The one handed out since 2021, 224 x 224 pixel crops with one annotation file a value::

    train_set/images/0.jpg           train_set/annotations/0_exp.npy, 0_val.npy, 0_aro.npy (and 0_lnd.npy, not read)
    val_set/images/0.jpg             val_set/annotations/...

and the older one, web images with face boxes in pixels::

    Manually_Annotated_file_lists/training.csv, validation.csv     (validation.csv is also seen without a header)
    Manually_Annotated_Images/<folder>/<file>, as the first column says

No test part was published: ``val`` is what papers report on, so choose nothing by it. People are not named. Contempt,
and in the older form none, uncertain and "no face", are left out and counted. Valence and arousal of -2 mean "none".
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.datasets.labelled_faces import FaceCollector, LabelledFaces
from training.datasets.layout import DatasetError, expect_files, expect_folder, number

NAME = "AffectNet"
CODES = {
    0: "neutral",
    1: "happy",
    2: "sad",
    3: "surprise",
    4: "fear",
    5: "disgust",
    6: "angry",
    7: "contempt",
    8: "none",
    9: "uncertain",
    10: "no face",
}
_FOLDERS = {"train": "train_set", "val": "val_set"}
_LISTS = {"train": "training.csv", "val": "validation.csv"}
_COLUMNS = {
    "subDirectory_filePath": 0,
    "face_x": 1,
    "face_y": 2,
    "face_width": 3,
    "face_height": 4,
    "expression": 6,
    "valence": 7,
    "arousal": 8,
}
_BOX = ("face_x", "face_y", "face_width", "face_height")
_NO_AFFECT = -2.0


def load_affectnet(root: Path) -> LabelledFaces:
    """Read the labels of either layout below `root`; images stay on disk.

    Raises:
        DatasetError: the data set is missing or half-copied, or a label is outside its definition.
    """
    if any((root / folder).is_dir() for folder in _FOLDERS.values()):
        return _load_sets(root)
    if (root / "Manually_Annotated_file_lists").is_dir():
        return _load_lists(root)
    raise DatasetError(
        f"{NAME}: expected {root / 'train_set'}, or in the older form "
        f"{root / 'Manually_Annotated_file_lists' / 'training.csv'}; neither is there"
    )


def _load_sets(root: Path) -> LabelledFaces:
    found = FaceCollector(NAME, CODES)
    for part, folder in _FOLDERS.items():
        images = expect_folder(root / folder / "images", NAME)
        notes = expect_folder(root / folder / "annotations", NAME)
        names = {path.stem for path in images.glob("*.jpg")} | {
            path.stem.removesuffix("_exp") for path in notes.glob("*_exp.npy")
        }
        wanted = sorted(names, key=lambda name: (len(name), name))
        files = [notes / f"{name}_{value}.npy" for name in wanted for value in ("exp", "val", "aro")]
        expect_files(f"{NAME} ({folder})", [*(images / f"{name}.jpg" for name in wanted), *files])
        for name in wanted:
            expression, valence, arousal = (
                _read_value(notes / f"{name}_{value}.npy") for value in ("exp", "val", "aro")
            )
            affect = _affect(str(notes / name), valence, arousal)
            found.add(str(notes / f"{name}_exp.npy"), expression, images / f"{name}.jpg", part, affect=affect)
    return found.finish()


def _read_value(path: Path) -> str:
    """The one value of an annotation file; the expression and the affect are kept as text there."""
    try:
        return str(np.load(path, allow_pickle=False).item())
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path}: expected one value in NumPy's format") from error


def _affect(where: str, valence: object, arousal: object) -> tuple[float, float]:
    values = (
        number(f"{where}, valence", valence, _NO_AFFECT, 1),
        number(f"{where}, arousal", arousal, _NO_AFFECT, 1),
    )
    return (math.nan, math.nan) if _NO_AFFECT in values else values


def _load_lists(root: Path) -> LabelledFaces:
    found = FaceCollector(NAME, CODES)
    images = expect_folder(root / "Manually_Annotated_Images", NAME)
    for part, file in _LISTS.items():
        path = root / "Manually_Annotated_file_lists" / file
        table = _read_list(path)
        paths = [images / str(name) for name in table["subDirectory_filePath"]]
        expect_files(f"{NAME} ({file})", paths)
        for index, (row, image) in enumerate(zip(table.to_dict("records"), paths, strict=True), start=1):
            where = f"{path}, image {index}"
            affect = _affect(where, row["valence"], row["arousal"])
            found.add(where, row["expression"], image, part, affect=affect, box=_box(where, row))
    return found.finish()


def _box(where: str, row: Mapping[Hashable, Any]) -> tuple[int, int, int, int] | None:
    """None where the list has no box, as for an image without a face."""
    if any(pd.isna(row[name]) for name in _BOX):
        return None
    left, top, width, height = (int(number(f"{where}, {name}", row[name], -10_000, 100_000)) for name in _BOX)
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None


def _read_list(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8") as file:
            headed = "filepath" in file.readline().lower()
        table = pd.read_csv(path, header=None, skiprows=int(headed), usecols=list(_COLUMNS.values()), dtype=str)
    except FileNotFoundError as error:
        raise DatasetError(f"{NAME}: expected the file {path}, which is not there") from error
    except (ValueError, OSError) as error:
        raise DatasetError(f"{path}: expected a csv file with the columns of {NAME}'s lists ({error})") from error
    return table.rename(columns={position: name for name, position in _COLUMNS.items()})
