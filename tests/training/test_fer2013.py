"""Finding, reading, joining and cleaning FER2013 in every form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from tests.training.faces import png, striped_faces, write_parquet
from training.datasets.fer2013 import (
    EMOTIONS,
    SPLITS,
    DatasetError,
    Faces,
    clean_training,
    find_data,
    load_fer2013,
    load_ferplus,
)

USAGE = ["Training", "Training", "PublicTest"]
PIXELS = " ".join(["7"] * (48 * 48))
SEVEN = list(range(7))


def as_text(image: npt.NDArray[np.uint8]) -> str:
    return " ".join(map(str, image.ravel()))


def write_images(
    folder: Path, names: tuple[str, ...] = EMOTIONS, each: int = 1, seed: int = 0, stem: str = "im"
) -> None:
    """`each` images of every class, in folders with these names."""
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(striped_faces([label] * each, seed=seed + label)):
            Image.fromarray(image).save(folder / name / f"{stem}_{index}.png")


def usage_of(faces: Faces) -> dict[str, int]:
    return {part: int((faces.usage == part).sum()) for part in SPLITS}


def test_both_tables_hold_the_same_faces(tmp_path: Path) -> None:
    images = striped_faces([0, 3, 6])
    parquet = load_fer2013(write_parquet(tmp_path / "fer2013.parquet", images, [0, 3, 6], USAGE))
    pixels = [as_text(image) for image in images]
    # The original file has blanks after its commas: "emotion, pixels, Usage" in the first line of some copies.
    lines = ["emotion, pixels, Usage", *(f"{e},{p},{u}" for e, p, u in zip([0, 3, 6], pixels, USAGE, strict=True))]
    (tmp_path / "fer2013.csv").write_text("\n".join(lines))
    # and icml_face_data.csv has its columns in another order.
    lines = ["emotion, Usage, pixels", *(f"{e},{u},{p}" for e, p, u in zip([0, 3, 6], pixels, USAGE, strict=True))]
    (tmp_path / "icml_face_data.csv").write_text("\n".join(lines))
    for faces in (parquet, load_fer2013(tmp_path / "fer2013.csv"), load_fer2013(tmp_path / "icml_face_data.csv")):
        assert np.array_equal(faces.images, images)
        assert faces.labels.tolist() == [0, 3, 6]
        assert faces.rows.tolist() == [0, 1, 2]
        assert faces.split("PublicTest").rows.tolist() == [2]


def test_parquet_without_row_and_usage_is_split_and_gets_no_votes(tmp_path: Path) -> None:
    labels = SEVEN * 20
    table = pd.DataFrame({"emotion": labels, "png": [png(image) for image in striped_faces(labels)]})
    table.to_parquet(tmp_path / "fer2013.parquet")
    faces = load_fer2013(tmp_path / "fer2013.parquet")
    assert usage_of(faces) == {"Training": 112, "PublicTest": 14, "PrivateTest": 14}
    assert set(faces.rows.tolist()) == {-1}


def test_the_challenges_two_files(tmp_path: Path) -> None:
    labels = SEVEN * 10
    images = striped_faces(labels)
    rows = [f"{label},{as_text(image)}" for label, image in zip(labels, images, strict=True)]
    (tmp_path / "train.csv").write_text("\n".join(["emotion,pixels", *rows]))
    (tmp_path / "test.csv").write_text(f"pixels\n{PIXELS}\n")
    faces = load_fer2013(find_data(tmp_path))
    assert usage_of(faces) == {"Training": 56, "PublicTest": 7, "PrivateTest": 7}
    assert faces.rows.tolist() == list(range(70))  # the order of fer2013.csv, so votes can be joined
    assert np.array_equal(faces.images, images)

    (tmp_path / "test.csv").write_text(f"emotion,pixels\n3,{PIXELS}\n")
    faces = load_fer2013(tmp_path / "train.csv")
    assert usage_of(faces) == {"Training": 63, "PublicTest": 7, "PrivateTest": 1}
    assert faces.split("PrivateTest").rows.tolist() == [-1]


def test_a_made_split_is_stratified_keeps_copies_together_and_ignores_order(tmp_path: Path) -> None:
    labels = SEVEN * 20
    images = striped_faces(labels)
    images[7] = images[0]

    def split(order: npt.NDArray[np.int64]) -> dict[bytes, set[str]]:
        rows = [f"{labels[i]},{as_text(images[i])}" for i in order]
        (tmp_path / "faces.csv").write_text("\n".join(["emotion,pixels", *rows]))
        faces = load_fer2013(tmp_path / "faces.csv")
        for part in SPLITS[1:]:
            assert np.bincount(faces.split(part).labels, minlength=7).tolist() == [2] * 7
        found: dict[bytes, set[str]] = {}
        for image, usage in zip(faces.images, faces.usage.tolist(), strict=True):
            found.setdefault(image.tobytes(), set()).add(usage)
        return found

    first = split(np.arange(140))
    assert first[images[0].tobytes()] == {"Training"}
    assert first == split(np.random.default_rng(1).permutation(140))


FOLDERS: dict[str, tuple[dict[str, str], dict[str, int]]] = {
    "train, validation and test": (
        {"train": "im", "validation": "im", "test": "im"},
        {"Training": 70, "PublicTest": 70, "PrivateTest": 70},
    ),
    "without validation": ({"train": "im", "test": "im"}, {"Training": 63, "PublicTest": 7, "PrivateTest": 70}),
    "without test": ({"train": "im", "validation": "im"}, {"Training": 70, "PublicTest": 70, "PrivateTest": 0}),
    "train only": ({"Train": "im"}, {"Training": 56, "PublicTest": 7, "PrivateTest": 7}),
    "names of files tell the part": (
        {"train": "Training", "test": "PublicTest"},
        {"Training": 70, "PublicTest": 70, "PrivateTest": 0},
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_image_folders(case: str, tmp_path: Path) -> None:
    parts, expected = FOLDERS[case]
    names = ("Angry", "disgusted", "fearful", "happiness", "sad", "surprised", "neutral")
    for index, (part, stem) in enumerate(parts.items()):
        write_images(tmp_path / "fer2013" / part, names, each=10, seed=100 * index, stem=stem)
    (tmp_path / "fer2013" / next(iter(parts)) / ".cache").mkdir()
    faces = load_fer2013(find_data(tmp_path))
    assert usage_of(faces) == expected
    assert np.bincount(faces.labels).tolist() == [10 * len(parts)] * 7
    assert set(faces.rows.tolist()) == {-1}
    assert np.array_equal(faces.images[:10], striped_faces([faces.labels[0]] * 10, seed=_first_seed(parts)))


def _first_seed(parts: dict[str, str]) -> int:
    """Folders are read in alphabetical order."""
    return 100 * list(parts).index(sorted(parts)[0])


def test_half_copied_image_folders_say_what_is_missing(tmp_path: Path) -> None:
    write_images(tmp_path / "train", EMOTIONS[:4])
    with pytest.raises(DatasetError, match=r"half-copied: expected .*train.sad"):
        load_fer2013(tmp_path)
    write_images(tmp_path / "train")
    (tmp_path / "train" / "sad" / "im_0.png").unlink()
    with pytest.raises(DatasetError, match=r"no image in .*train.sad"):
        load_fer2013(tmp_path)
    (tmp_path / "train" / "sad" / "im_0.jpg").write_bytes(b"\xff\xd8 cut short")
    with pytest.raises(DatasetError, match=r"im_0\.jpg is not a readable image"):
        load_fer2013(tmp_path)
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(tmp_path / "train" / "sad" / "im_0.jpg")
    with pytest.raises(DatasetError, match="9216 pixels, expected 48x48"):
        load_fer2013(tmp_path)
    (tmp_path / "train" / "contempt").mkdir()
    with pytest.raises(DatasetError, match="contempt: expected folders named angry"):
        load_fer2013(tmp_path)


def test_a_folder_without_training_images_is_explained(tmp_path: Path) -> None:
    write_images(tmp_path / "test")
    with pytest.raises(DatasetError, match=r"expected the folder .*train with one folder a class"):
        load_fer2013(tmp_path)


def test_absent_part_is_named(tmp_path: Path) -> None:
    faces = load_fer2013(write_parquet(tmp_path / "fer2013.parquet", striped_faces([0, 1, 2]), [0, 1, 2], USAGE))
    with pytest.raises(DatasetError, match="no PrivateTest images; parts found: PublicTest, Training"):
        faces.split("PrivateTest")


BLACK = png(np.zeros((48, 48), np.uint8))
BAD_TABLES = {
    "a column is missing": ({"row": [0], "emotion": [0], "usage": ["Training"]}, "missing png"),
    "an unknown label": ({"row": [0], "emotion": [7], "usage": ["Training"], "png": [BLACK]}, "from 0 to 6"),
    "an unknown part": ({"row": [0], "emotion": [6], "usage": ["Test"], "png": [BLACK]}, "PrivateTest, not 'Test'"),
    "another size": (
        {"row": [0], "emotion": [0], "usage": ["Training"], "png": [png(np.zeros((48, 49), np.uint8))]},
        "expected 48x48",
    ),
    "not an image": (
        {"row": [0], "emotion": [0], "usage": ["Training"], "png": [b"GIF?"]},
        "image 0 in column png is not a readable image",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_parquet_is_explained(case: str, tmp_path: Path) -> None:
    columns, reason = BAD_TABLES[case]
    pd.DataFrame(columns).to_parquet(tmp_path / "fer2013.parquet")
    with pytest.raises(DatasetError, match=reason):
        load_fer2013(tmp_path / "fer2013.parquet")


BAD_FILES = {
    "no parquet inside": ("fer2013.parquet", "hello", "not a readable parquet file"),
    "empty": ("fer2013.csv", "", "not a readable csv file"),
    "other columns": ("fer2013.csv", "a,b\n1,2\n", "expected the columns emotion, pixels; missing emotion"),
    "the part without labels": ("test.csv", f"pixels\n{PIXELS}\n", "missing emotion"),
    "too few pixels": ("fer2013.csv", "emotion,pixels,Usage\n0,1 2 3,Training\n", "3 pixels, expected 48x48"),
    "a pixel beyond 255": (
        "fer2013.csv",
        f"emotion,pixels,Usage\n0,{PIXELS},Training\n0,{PIXELS[:-1]}256,Training\n",
        "image 1 in column pixels must be numbers from 0 to 255",
    ),
    "a fraction as label": ("fer2013.csv", f"emotion,pixels,Usage\n0.5,{PIXELS},Training\n", "whole numbers"),
    "another form": ("fer2013.zip", "PK", "of the form .parquet or .csv, or a folder"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_explained(case: str, tmp_path: Path) -> None:
    name, text, reason = BAD_FILES[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=reason) as error:
        load_fer2013(tmp_path / name)
    assert name in str(error.value)


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.parquet"])
def test_missing_file_is_explained(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"expected the file .*{name}, which is not there"):
        load_fer2013(tmp_path / name)


def test_data_is_found_by_folder_or_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="found in data, "):
        find_data(None)
    (tmp_path / "data" / "train" / "cats").mkdir(parents=True)  # somebody else's images
    with pytest.raises(DatasetError, match="found in data, "):
        find_data(None)
    (tmp_path / "data" / "images" / "train" / "Fear").mkdir(parents=True)
    assert find_data(None) == Path("data/images")
    (tmp_path / "data" / "fer2013.zip").touch()
    (tmp_path / "data" / "fer2013_small.csv").touch()
    assert find_data(None) == Path("data/fer2013_small.csv")
    assert find_data(tmp_path / "data") == tmp_path / "data" / "fer2013_small.csv"


def test_training_loses_duplicates_and_constant_images(tmp_path: Path) -> None:
    images = striped_faces([0, 1, 2, 3, 4])
    images[1] = images[4]  # stands in PublicTest, under another label
    images[2] = 255
    usage = ["Training"] * 4 + ["PublicTest"]
    faces = load_fer2013(write_parquet(tmp_path / "fer2013.parquet", images, [0, 1, 2, 3, 4], usage))
    keep, cleaning = clean_training(faces.split("Training"), [faces.split("PublicTest")])
    assert keep.tolist() == [True, False, False, True]
    assert (cleaning.duplicates, cleaning.constant) == (1, 1)


def test_votes_join_by_row_in_our_order(tmp_path: Path) -> None:
    header = "row,Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    (tmp_path / "ferplus.csv").write_text(
        f"{header}\n5,Training,x.png,4,0,0,1,3,2,0,0,0,0\n9,Training,x.png,0,0,0,0,0,0,0,0,0,10\n"
    )
    shares = load_ferplus(tmp_path / "ferplus.csv", np.array([9, 5, 77, -1]))
    assert shares.dtype == np.float32
    assert dict(zip(EMOTIONS, shares[1].tolist(), strict=True)) == pytest.approx(
        {"angry": 0.3, "disgust": 0.2, "fear": 0, "happy": 0, "sad": 0.1, "surprise": 0, "neutral": 0.4}
    )
    assert not shares[[0, 2, 3]].any()


@pytest.mark.shared
def test_the_real_data_set(shared_dir: Path) -> None:
    faces = load_fer2013(find_data(shared_dir / "data"))
    training, public = faces.split("Training"), faces.split("PublicTest")
    assert (len(training), len(public)) == (28_709, 3_589)
    in_training = {image.tobytes() for image in training.images}
    assert sum(image.tobytes() in in_training for image in public.images) == 280
    keep, cleaning = clean_training(training, [public])
    assert cleaning.constant == 11
    assert keep.sum() == len(training) - cleaning.constant - cleaning.duplicates
    kept = {image.tobytes() for image in training.where(keep).images}
    assert not any(image.tobytes() in kept for image in public.images)
