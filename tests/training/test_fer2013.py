"""Reading, joining and cleaning FER2013."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.faces import png, striped_faces, write_parquet
from training.datasets.fer2013 import (
    EMOTIONS,
    DatasetError,
    clean_training,
    find_data,
    load_fer2013,
    load_ferplus,
)

USAGE = ["Training", "Training", "PublicTest"]
PIXELS = " ".join(["7"] * (48 * 48))


def test_both_forms_hold_the_same_faces(tmp_path: Path) -> None:
    images = striped_faces([0, 3, 6])
    parquet = load_fer2013(write_parquet(tmp_path / "fer2013.parquet", images, [0, 3, 6], USAGE))
    text = [" ".join(map(str, image.ravel())) for image in images]
    # The original file has blanks after its commas: "emotion, pixels, Usage" in the first line of some copies.
    lines = ["emotion, pixels, Usage", *(f"{e},{p},{u}" for e, p, u in zip([0, 3, 6], text, USAGE, strict=True))]
    (tmp_path / "fer2013.csv").write_text("\n".join(lines))
    csv = load_fer2013(tmp_path / "fer2013.csv")
    for faces in (parquet, csv):
        assert np.array_equal(faces.images, images)
        assert faces.labels.tolist() == [0, 3, 6]
        assert faces.rows.tolist() == [0, 1, 2]
    assert csv.split("PublicTest").rows.tolist() == [2]


def test_absent_part_is_named(tmp_path: Path) -> None:
    faces = load_fer2013(write_parquet(tmp_path / "fer2013.parquet", striped_faces([0, 1, 2]), [0, 1, 2], USAGE))
    with pytest.raises(DatasetError, match="no PrivateTest images; parts found: PublicTest, Training"):
        faces.split("PrivateTest")


BAD_TABLES = {
    "a column is missing": ({"row": [0], "emotion": [0], "usage": ["Training"]}, "missing png"),
    "an unknown label": (
        {"row": [0], "emotion": [7], "usage": ["Training"], "png": [png(np.zeros((48, 48), np.uint8))]},
        "from 0 to 6",
    ),
    "another size": (
        {"row": [0], "emotion": [0], "usage": ["Training"], "png": [png(np.zeros((48, 49), np.uint8))]},
        "expected 48x48",
    ),
    "not an image": ({"row": [0], "emotion": [0], "usage": ["Training"], "png": [b"GIF?"]}, "image 0 .* not a PNG"),
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
    "other columns": ("fer2013.csv", "a,b\n1,2\n", "expected the columns emotion, pixels, Usage; missing emotion"),
    "too few pixels": ("fer2013.csv", "emotion,pixels,Usage\n0,1 2 3,Training\n", "3 pixels, expected 48x48"),
    "a pixel beyond 255": (
        "fer2013.csv",
        f"emotion,pixels,Usage\n0,{PIXELS},Training\n0,{PIXELS[:-1]}256,Training\n",
        "image 1 in column pixels must be numbers from 0 to 255",
    ),
    "a fraction as label": ("fer2013.csv", f"emotion,pixels,Usage\n0.5,{PIXELS},Training\n", "whole numbers"),
    "another form": ("fer2013.zip", "PK", "of the form .parquet or .csv"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_explained(case: str, tmp_path: Path) -> None:
    name, text, reason = BAD_FILES[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=reason) as error:
        load_fer2013(tmp_path / name)
    assert name in str(error.value)


def test_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        load_fer2013(tmp_path / "fer2013.csv")


def test_data_is_found_by_folder_or_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="found in data, "):
        find_data(None)
    (tmp_path / "data").mkdir()
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
    shares = load_ferplus(tmp_path / "ferplus.csv", np.array([9, 5, 77]))
    assert shares.dtype == np.float32
    assert dict(zip(EMOTIONS, shares[1].tolist(), strict=True)) == pytest.approx(
        {"angry": 0.3, "disgust": 0.2, "fear": 0, "happy": 0, "sad": 0.1, "surprise": 0, "neutral": 0.4}
    )
    assert not shares[[0, 2]].any()


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
