"""AVEC 2014: people before a webcam, with their BDI-II score of depression (Valstar et al. 2014).

How to get it: permanent academic staff sign the agreement at https://avec2013-db.sspnet.eu/ (the depression corpus of
AVEC 2013 and 2014). Terms: academic research only, no redistribution, no person recognisable in public.

Each recording, such as ``203_1`` (person 203, session 1), has two videos: Northwind (reads a fable aloud) and Freeform
(answers a question). The official layout and the flat one that most people unpack to are both read::

    AVEC2014_AudioVisual/Video/Training/Freeform/203_1_Freeform_video.mp4     also Development, Testing; Northwind
    train/Freeform/203_1_Freeform_video.mp4                                   also dev, test; Northwind
    <anywhere below the root>/203_1_Depression.csv                            one whole number: BDI-II, 0 to 63

Labels of Testing came in a parcel of their own; without it, the recordings of that part have no scores. Some people
were recorded up to four times, and whether the official parts share any is not documented. So the official split is
refused if they do; ``split="person"`` gives one of our own, in which nobody is in two parts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from training.datasets.layout import DatasetError, expect_files, expect_folder, number
from training.datasets.recordings import Recording, Recordings, by_person

NAME = "AVEC 2014"
TASKS = ("Freeform", "Northwind")
HIGHEST_BDI = 63
_LAYOUTS = (
    ("AVEC2014_AudioVisual/Video", {"train": "Training", "val": "Development", "test": "Testing"}),
    ("Video", {"train": "Training", "val": "Development", "test": "Testing"}),
    ("", {"train": "Training", "val": "Development", "test": "Testing"}),
    ("", {"train": "train", "val": "dev", "test": "test"}),
)
_VIDEO = re.compile(r"((\d+)_\d+)_(Freeform|Northwind)_video\.(mp4|avi)")


def load_avec2014(root: Path, split: Literal["official", "person"] = "official") -> Recordings:
    """Find videos and scores below `root`.

    Args:
        root: of either layout.
        split: the challenge's parts, or labelled recordings split anew by person.

    Returns:
        Recordings with the files ``Freeform`` and ``Northwind`` and the score ``bdi2`` (0 to 63).

    Raises:
        DatasetError: the data set is missing or half-copied, a score is outside 0 to 63, or the official split has one
            person in two parts.
    """
    expect_folder(root, NAME)
    base, folders = _layout(root)
    labels = {path.name.removesuffix("_Depression.csv"): path for path in sorted(root.rglob("*_Depression.csv"))}
    sessions: list[Recording] = []
    for part, folder in folders.items():
        found = _videos(expect_folder(base / folder, NAME))
        # Withheld labels are withheld as a whole: where a part has one, each of its recordings has one.
        withheld = part == "test" and not any(name in labels for name in found)
        if missing := [name for name in found if name not in labels and not withheld]:
            raise DatasetError(
                f"{NAME} is half-copied: {len(missing)} of {len(found)} recordings in {base / folder} have no score; "
                f"expected {missing[0]}_Depression.csv below {root}"
            )
        for name, files in found.items():
            scores = {} if withheld else {"bdi2": _score(labels[name])}
            sessions.append(Recording(name, name.split("_")[0], part, files, scores))
    return Recordings(NAME, by_person(tuple(sessions)) if split == "person" else tuple(sessions))


def _layout(root: Path) -> tuple[Path, dict[str, str]]:
    for base, folders in _LAYOUTS:
        if (root / base / folders["train"]).is_dir():
            return root / base, folders
    tried = " or ".join(str(root / base / folders["train"]) for base, folders in _LAYOUTS)
    raise DatasetError(f"{NAME}: expected the folder {tried}; none is there")


def _videos(folder: Path) -> dict[str, dict[str, Path]]:
    """Recording -> task -> video; every recording has both."""
    found: dict[str, dict[str, Path]] = {}
    for task in TASKS:
        for path in sorted(expect_folder(folder / task, NAME).glob("*.*")):
            if path.suffix not in (".mp4", ".avi"):
                continue
            match = _VIDEO.fullmatch(path.name)
            if match is None or match[3] != task:
                raise DatasetError(f"{path}: expected a name such as 203_1_{task}_video.mp4")
            found.setdefault(match[1], {})[task] = path
    other = {"Freeform": "Northwind", "Northwind": "Freeform"}
    for name, files in found.items():
        if len(files) < len(TASKS):
            task, path = next(iter(files.items()))
            expect_files(NAME, [folder / other[task] / f"{name}_{other[task]}_video{path.suffix}"])
    return found


def _score(path: Path) -> float:
    text = path.read_text(encoding="utf-8-sig").strip()
    return number(f"{path}, BDI-II", text, 0, HIGHEST_BDI, whole=True)
