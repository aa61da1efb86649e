"""Messages that say which file was expected where, and numbers of label files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentry_proto.errors import InputError
from training.datasets.layout import DatasetError, expect_files, expect_folder, number, read_csv


def test_bad_data_is_bad_input() -> None:
    assert issubclass(DatasetError, InputError)


def test_missing_files_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    expect_files("Set", [tmp_path / "a.txt"])
    missing = [tmp_path / "b.txt", tmp_path / "none" / "c.txt"]
    with pytest.raises(DatasetError, match=r"Set is half-copied: 2 of 3 files are missing; expected .*b\.txt"):
        expect_files("Set", [tmp_path / "a.txt", *missing])
    with pytest.raises(DatasetError, match=r"Set: expected the folder .*none, which is not there"):
        expect_folder(tmp_path / "none", "Set")


def test_headers_may_differ_in_case_and_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("participant_id , Score,Other\n300, 4,x\n")
    table = read_csv(tmp_path / "a.csv", "Set", ("Participant_ID", "score"))
    assert table.to_dict("records") == [{"Participant_ID": 300, "score": 4, "Other": "x"}]
    with pytest.raises(DatasetError, match=r"a\.csv: expected the columns score, level; missing level"):
        read_csv(tmp_path / "a.csv", "Set", ("score", "level"))
    with pytest.raises(DatasetError, match=r"Set: expected the file .*b\.csv, which is not there"):
        read_csv(tmp_path / "b.csv", "Set", ())


@pytest.mark.parametrize("value", ["x", "", "nan", "inf", "-1", 25, 3.5, None])
def test_labels_outside_the_scale_are_refused(value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.csv, line 2: expected a whole number from 0 to 24, not"):
        number("a.csv, line 2", value, 0, 24, whole=True)


def test_labels_on_the_scale_are_taken() -> None:
    assert number("", "3.0000000e+00", 0, 7, whole=True) == 3
    assert number("", -0.25, -1, 1) == -0.25
