"""The SWELL-KW table: a tiny one in its layout, and the real one where it lies beside the project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.datasets.layout import DatasetError
from training.datasets.swellkw import PRIOR_MINUTES, SCALES, load_swell

FACE = ["Sneutral", "SmouthOpen", "SAu01_InnerBrowRaiser", "SyHeadOrientation"]
COMPUTER = ["SnMouseAct", "SnKeyStrokes"]
POSTURE = ["leanAngleavg", "Spine_ShoulderCenterShoulderCenter_Headavg", "leanAnglestdv"]
ORDERS = {"PP1": "NTI", "PP2": "NIT"}
MINUTES = 4
"""Of each block, after one of relaxation."""


def make_table(seed: int = 0) -> pd.DataFrame:
    """Two people, three blocks of one minute of relaxation and four with a condition, five minutes apart."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for person, order in ORDERS.items():
        for block, condition in enumerate(order, 1):
            for minute in range(MINUTES + 1):
                ratings = {name: block + number for number, name in enumerate(SCALES)} if minute else {}
                rows.append(
                    {
                        "PP": person,
                        "Blok": block,
                        "Condition": condition if minute else "R",
                        "timestamp": f"20120918T13{10 * (block - 1) + minute:02d}00000",
                        **{name: ratings.get(name, 999 if block == 1 else "") for name in SCALES},
                        **dict(zip([*FACE, *COMPUTER, *POSTURE], generator.normal(size=9), strict=True)),
                        "SCL": 80.0,
                    }
                )
    return pd.DataFrame(rows)


def write(folder: Path, table: pd.DataFrame) -> Path:
    path = folder / "swell.csv"
    table.to_csv(path, index=False)
    return path


def missing(table: pd.DataFrame, row: int, columns: Sequence[str], value: float | str = np.nan) -> pd.DataFrame:
    table.loc[row, list(columns)] = value
    return table


def test_minutes_become_windows_by_person_block_and_condition(tmp_path: Path) -> None:
    windows, exclusions = load_swell(write(tmp_path, make_table().sample(frac=1, random_state=0)))
    assert len(windows) == 2 * 3 * MINUTES
    assert exclusions.counts == {"minutes of relaxation": {"PP1": 3, "PP2": 3}}
    assert windows.people.tolist() == ["PP1"] * 12 + ["PP2"] * 12
    assert windows.blocks[::MINUTES].tolist() == ["PP1/1", "PP1/2", "PP1/3", "PP2/1", "PP2/2", "PP2/3"]
    assert windows.elapsed[:5].tolist() == [60, 120, 180, 240, 660]
    assert windows.space.features == (*FACE, *POSTURE)
    assert windows.space.modality_of == (0, 0, 0, 0, 1, 1, 1)
    assert windows.length == 1


def test_labels_and_ratings(tmp_path: Path) -> None:
    windows, _ = load_swell(write(tmp_path, make_table()))
    stress, neutral = windows.allowed["stress"], windows.allowed["neutral"]
    first = slice(0, 12, MINUTES)  # of PP1: N, T, I
    assert stress[first].tolist() == [[True, True], [False, True], [True, False]]
    assert neutral[first].tolist() == [[True, False], [False, True], [False, True]]
    assert windows.scales["Stress"][first].tolist() == [1, 2, 3]
    assert windows.scales["Arousal_rc"][first].tolist() == [4, 5, 6]


def test_relaxation_is_there_when_asked_for_and_says_nothing(tmp_path: Path) -> None:
    windows, exclusions = load_swell(write(tmp_path, make_table()), relaxation=True)
    assert len(windows) == 30
    assert not exclusions.counts
    assert windows.allowed["stress"][0].all()
    assert windows.allowed["neutral"][0].all()
    assert np.isnan(windows.scales["Stress"][0])


@pytest.mark.parametrize("gap", [np.nan, 999], ids=["empty", "999"])
def test_what_is_missing(tmp_path: Path, gap: float) -> None:
    table = make_table()
    missing(table, 1, FACE[:3], gap)  # more than half of the face
    missing(table, 2, FACE[:1], gap)
    missing(table, 3, [*FACE, *POSTURE], gap)
    windows, exclusions = load_swell(write(tmp_path, table))
    values, coverage, baselines = windows.batch(np.array([0, 1]))
    assert coverage[:, 0].tolist() == [[0, 1], [1, 1]]
    assert values[1, 0, 0] == baselines[1, 0, 0]
    assert np.isfinite(windows.values).all()
    assert exclusions.counts["minutes in which neither face nor posture is there"] == {"PP1": 1}


def test_the_baseline_knows_earlier_minutes_alone(tmp_path: Path) -> None:
    """Two minutes exchanged: the middle of all people stays, and only the minute between can have noticed."""
    table = make_table()
    exchanged = table.copy()
    exchanged.loc[[7, 8], [*FACE, *POSTURE]] = table.loc[[8, 7], [*FACE, *POSTURE]].to_numpy()
    one, two = (load_swell(write(tmp_path, frame), relaxation=True)[0].baselines for frame in (table, exchanged))
    np.testing.assert_array_equal(one[:8], two[:8])
    assert not np.isclose(one[8], two[8]).all()
    np.testing.assert_allclose(one[9:], two[9:], rtol=1e-5, atol=1e-6)


def test_the_baseline_by_hand(tmp_path: Path) -> None:
    """Third minute: two earlier ones and the prior."""
    windows, _ = load_swell(write(tmp_path, make_table()), relaxation=True)
    prior = windows.baselines[0].astype(np.float64)
    earlier = windows.values[:2].astype(np.float64)
    weight = PRIOR_MINUTES + 2
    centre = (PRIOR_MINUTES * prior[0] + earlier.sum(0)) / weight
    squares = PRIOR_MINUTES * prior[1] ** 2 + ((earlier - prior[0]) ** 2).sum(0)
    np.testing.assert_allclose(windows.baselines[2, 0], centre, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(windows.baselines[2, 1] ** 2, squares / weight - (centre - prior[0]) ** 2, rtol=1e-4)
    np.testing.assert_array_equal(windows.baselines[15], windows.baselines[0])  # nobody inherits from another


def test_without_a_baseline_all_have_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, make_table())
    raw, _ = load_swell(path, baseline=False)
    assert (raw.baselines == raw.baselines[0]).all()
    np.testing.assert_array_equal(raw.values, load_swell(path)[0].values)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"SWELL-KW: expected the file .*swell.csv, which is not there"):
        load_swell(tmp_path / "swell.csv")


BROKEN: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "no rows": (lambda t: t.head(0), "half-copied: there is no row"),
    "no column": (lambda t: t.drop(columns="Condition"), "missing Condition"),
    "cut off": (lambda t: missing(t, 29, ["Condition"]), "row 31: expected PP, Blok, Condition and timestamp"),
    "odd condition": (lambda t: missing(t, 3, ["Condition"], "X"), "row 5: expected a condition among N, I, T, R"),
    "odd time": (lambda t: missing(t, 3, ["timestamp"], "noon"), "row 5: expected a timestamp like"),
    "twice": (lambda t: pd.concat([t, t.tail(1)]), "a second row of the same person and minute"),
    "words": (lambda t: missing(t.astype({"leanAngleavg": object}), 3, ["leanAngleavg"], "left"), "leanAngleavg holds"),
    "no face": (lambda t: t.drop(columns=FACE), "expected columns of the face"),
    "no posture": (lambda t: t.drop(columns=POSTURE), "expected columns of posture"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_half_copied_table_is_refused(tmp_path: Path, name: str) -> None:
    breaks, message = BROKEN[name]
    with pytest.raises(DatasetError, match=message):
        load_swell(write(tmp_path, breaks(make_table())))


@pytest.mark.shared
def test_the_real_table(shared_dir: Path) -> None:
    path = shared_dir / "data" / "swell_kw_per_minute.csv"
    if not path.is_file():
        pytest.skip("needs the SWELL-KW table beside the project")
    windows, exclusions = load_swell(path)
    assert (len(windows), len(np.unique(windows.people)), len(np.unique(windows.blocks))) == (1852, 17, 51)
    assert exclusions.total("minutes of relaxation") == 306
    assert [windows.space.modality_of.count(m) for m in (0, 1)] == [41, 94]
    assert windows.allowed["stress"][:, 0].sum() - (windows.allowed["stress"].all(1)).sum() == 691
    assert not windows.labelled("neutral").size < len(windows)
    for name, ratings in windows.scales.items():
        for block in np.unique(windows.blocks):
            assert len(np.unique(ratings[windows.blocks == block])) == 1, (name, block)
