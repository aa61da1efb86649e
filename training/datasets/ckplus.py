"""CK+: posed expressions from neutral to apex, of 123 people in a laboratory (Lucey et al. 2010).

How to get it: sign the agreement at http://www.jeffcohn.net/Resources/. Terms: non-commercial research only, no
redistribution; only people who agreed may be shown, see the read-me file.

The official layout::

    cohn-kanade-images/S005/001/S005_001_00000001.png ... S005_001_00000011.png    first frame neutral, last frame apex
    Emotion/S005/001/S005_001_00000011_emotion.txt     "3.0000000e+00", only for the 327 sequences with a clear emotion
    Landmarks/S005/001/S005_001_00000001_landmarks.txt 68 lines "x y"; if the folder is there, faces are cut out by it

Only labelled sequences are read: of each, the first frame as neutral and the last frames as the emotion. There is no
official split, so people are split once and for all by :func:`training.datasets.people.split_people`. Frames that show
contempt are left out and counted. The 68 points end at the brows, so these crops are tighter than those of a live face.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perception.crop import crop_square, landmark_box
from training.datasets.labelled_faces import FaceCollector, LabelledFaces
from training.datasets.layout import DatasetError, expect_files, expect_folder
from training.datasets.people import split_people

NAME = "CK+"
CODES = {0: "neutral", 1: "angry", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise"}
_NEUTRAL = 0
_POINTS = 68


def load_ckplus(root: Path, apex_frames: int = 3) -> LabelledFaces:
    """Read the labels below `root`; images stay on disk.

    Args:
        root: holds ``cohn-kanade-images`` and ``Emotion``.
        apex_frames: how many frames at the end of a sequence show its emotion; 3 is usual.

    Raises:
        DatasetError: the data set is missing or half-copied, or a label is outside its definition.
    """
    images = expect_folder(root / "cohn-kanade-images", NAME)
    notes = sorted(expect_folder(root / "Emotion", NAME).glob("S*/*/*_emotion.txt"))
    if not notes:
        raise DatasetError(f"{NAME}: expected files such as {root / 'Emotion/S005/001/S005_001_00000011_emotion.txt'}")
    parts = split_people(note.parent.parent.name for note in notes)
    found = FaceCollector(NAME, CODES)
    for note in notes:
        person, code = note.parent.parent.name, note.read_text(encoding="utf-8").strip()
        frames = _frames(images, note, apex_frames)
        chosen = [(_NEUTRAL, frames[0]), *((code, frame) for frame in frames[-apex_frames:])]
        for label, frame in chosen:
            box = _box(root / "Landmarks", frame) if (root / "Landmarks").is_dir() else None
            found.add(str(note), label, frame, parts[person], person, box=box)
    return found.finish()


def _frames(images: Path, note: Path, apex_frames: int) -> list[Path]:
    folder = images / note.parent.parent.name / note.parent.name
    last = folder / f"{note.name.removesuffix('_emotion.txt')}.png"
    expect_files(NAME, [last])
    frames = sorted(folder.glob("*.png"))
    if frames[-1] != last or len(frames) <= apex_frames:
        raise DatasetError(
            f"{NAME}: expected more than {apex_frames} frames in {folder}, the last of them {last.name}; "
            f"found {len(frames)} up to {frames[-1].name}"
        )
    return frames


def _box(landmarks: Path, frame: Path) -> tuple[int, int, int, int]:
    path = landmarks / frame.parent.parent.name / frame.parent.name / f"{frame.stem}_landmarks.txt"
    expect_files(NAME, [path])
    try:
        points = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except ValueError as error:
        raise DatasetError(f"{path}: expected {_POINTS} lines with x and y") from error
    if points.shape != (_POINTS, 2):
        raise DatasetError(f"{path}: expected {_POINTS} lines with x and y, found {points.shape[0]}")
    left, top, side = crop_square(landmark_box(points))
    return left, top, left + side, top + side
