"""RAF-DB, the basic set: faces from the web, each labelled by about 40 people (Li, Deng and Du 2017).

How to get it: a researcher asks by mail from an institution's address, see http://www.whdeng.cn/RAF/model1.html. Terms:
non-commercial research only, no redistribution.

The official layout; `root` may be the folder above ``basic`` or ``basic`` itself::

    basic/EmoLabel/list_patition_label.txt         (the name is spelt so) lines such as "train_00001.jpg 5"
    basic/Image/aligned/train_00001_aligned.jpg    100 x 100 pixels

The official split is in the file names: 12,271 train and 3,068 test. People are not named. The set with compound
emotions is not read.
"""

from __future__ import annotations

from pathlib import Path

from training.datasets.labelled_faces import FaceCollector, LabelledFaces
from training.datasets.layout import DatasetError, expect_files, expect_folder

NAME = "RAF-DB"
CODES = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}


def load_rafdb(root: Path) -> LabelledFaces:
    """Read the labels below `root`; images stay on disk.

    Raises:
        DatasetError: the data set is missing or half-copied, or a label is outside its definition.
    """
    basic = root / "basic" if (root / "basic").is_dir() else root
    labels = basic / "EmoLabel" / "list_patition_label.txt"
    if not labels.is_file():
        raise DatasetError(f"{NAME}: expected the file {labels}, which is not there")
    images = expect_folder(basic / "Image" / "aligned", NAME)
    rows = [line.split() for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not row[0].startswith(("train_", "test_")):
            raise DatasetError(f"{labels}, line {number}: expected a name such as train_00001.jpg and a class")
    paths = [images / f"{Path(name).stem}_aligned.jpg" for name, _ in rows]
    expect_files(NAME, paths)
    found = FaceCollector(NAME, CODES)
    for number, ((name, code), path) in enumerate(zip(rows, paths, strict=True), start=1):
        found.add(f"{labels}, line {number}", code, path, name.split("_")[0])
    return found.finish()
