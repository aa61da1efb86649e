"""SWELL-KW, the per-minute table: face and posture of 25 office workers under interruptions and time pressure.

Koldijk, Sappelli, Verberne, Neerincx and Kraaij 2014, "The SWELL Knowledge Work Dataset for Stress and User Modeling
Research", ICMI. How to get it: DANS, https://doi.org/10.17026/dans-x55-69zp, after registration; the table is sheet
SWELLdata of "Behavioral-features - per minute.xlsx" with the self-reports of each block joined to it, as a csv;
copies of it hold fewer than all 25 people. Terms: CC BY-NC-SA 4.0, so it may not be used commercially, nor lie in this
repository.

    person      PP; all of a person's rows are one session
    block       PP and Blok. Each block begins with some minutes of relaxation (R), which are left out unless asked for,
                and then has one condition: N neutral, I interruptions by e-mail, T time pressure
    window      one row, one minute: the table's columns are themselves means and spreads over the minute (`...avg`,
                `...stdv`), so nothing is pooled over rows, and no length had to be chosen by a score
    face        columns of FaceReader, `S...`. `Sn...` but `Sneutral` are of the computer's log, and not used; nor are
                heart and skin, which a webcam does not see
    posture     columns of the Kinect, `...avg` and `...stdv`
    missing     empty and 999 alike. A modality counts as not seen where more than half of its columns are missing; a
                column that is missing beside others stands at the person's centre so far
    baseline    causal: mean and standard deviation of all the person's earlier minutes, of whatever condition, as an
                agent that has been running since the morning knows them. The first minutes have few or none before
                them, so all begin with `PRIOR_MINUTES` minutes' worth of the middle of all people (a median and a
                spread, no labels). Raw: that middle for everyone
    scales      self-reports, one per block: Stress and MentalEffort (0 to 10 and to 12 or so), Valence_rc, Arousal_rc
                (1 to 9)

The trap: N is always the first block. What tells N from the others may be the time of day, fatigue, or the way people
settle in their chairs. Only T and I are counterbalanced.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from sentry_proto.tasks import AlertRule, Task
from sentry_proto.types import Float32
from training.datasets.exclusions import Exclusions
from training.datasets.layout import DatasetError, read_csv
from training.feature_space import FeatureSpace
from training.windows import WindowSet

NAME = "SWELL-KW"
STRESS = Task("stress", "binary", ("interruptions", "time pressure"), AlertRule(("time pressure",), 0.5, 0.5))
NEUTRAL = Task("neutral", "binary", ("neutral", "stressor"), AlertRule(("stressor",), 0.5, 0.5))
TASKS = (STRESS, NEUTRAL)
"""`stress` tells T from I; `neutral` tells N from both, and with it the first block from the later ones."""

SCALES = ("Stress", "MentalEffort", "Valence_rc", "Arousal_rc")
CONDITIONS = ("N", "I", "T", "R")
RELAXATION = "R"
MISSING = 999
PRIOR_MINUTES = 5
MINUTE_S = 60

_KEYS = ("PP", "Blok", "Condition", "timestamp")
_CLASSES = {"stress": {"I": 0, "T": 1}, "neutral": {"N": 0, "I": 1, "T": 1}}
_POSTURE = re.compile(r"(avg|stdv)$")
_FACE = re.compile(r"^S([a-z]|Au\d)")
_NOT_FACE = re.compile(r"^(Sn[A-Z]|Stress$)")
_NORMAL = 1.4826
"""What turns a median absolute deviation into the standard deviation of a normal distribution."""

Floats = npt.NDArray[np.float64]


def load_swell(path: Path, baseline: bool = True, relaxation: bool = False) -> tuple[WindowSet, Exclusions]:
    """The minutes of the table, by person and time.

    Args:
        path: the csv file.
        baseline: whether each person has a causal baseline of their own; else all have the same.
        relaxation: whether to keep the minutes of relaxation, which carry no label.

    Returns:
        The windows with tasks `TASKS` and scales `SCALES`, and what was left out.

    Raises:
        DatasetError: the file is missing, half-copied, or not the table.
    """
    table = _read(path)
    space, values = _features(path, table)
    coverage = _coverage(space, values)
    middle, spread = _of_all(values)
    baselines = _causal(values, table["PP"].to_numpy(str), middle, spread)
    values = np.where(np.isnan(values), baselines[:, 0], values)
    if not baseline:
        baselines = np.broadcast_to(np.stack([middle, spread]), baselines.shape)
    kept, exclusions = _keep(table, coverage, relaxation)
    people = table["PP"].to_numpy(str)
    rows = WindowSet(
        space=space,
        values=values.astype(np.float32),
        coverage=coverage,
        ends=np.arange(1, len(table) + 1, dtype=np.int64),
        length=1,
        baselines=baselines.astype(np.float32),
        people=people,
        sessions=people,
        blocks=np.array([f"{person}/{block}" for person, block in zip(people, table["Blok"], strict=True)]),
        elapsed=_elapsed(table),
        allowed={task.name: _allowed(task, table["Condition"]) for task in TASKS},
        scales={name: _scale(table, name) for name in SCALES},
    )
    return rows.take(np.flatnonzero(kept)), exclusions


def _read(path: Path) -> pd.DataFrame:
    table = read_csv(path, NAME, (*_KEYS, *SCALES)).copy()  # one block of memory instead of 172 columns
    if not len(table):
        raise DatasetError(f"{path}: {NAME} is half-copied: there is no row below the header")
    times = pd.to_datetime(table["timestamp"].astype(str).str[:15], format="%Y%m%dT%H%M%S", errors="coerce")
    conditions = table["Condition"].astype(str)
    for wrong, what in (
        (table[list(_KEYS)].isna().any(axis=1), "PP, Blok, Condition and timestamp in each row"),
        (times.isna(), "a timestamp like 20120918T131600000"),
        (~conditions.isin(CONDITIONS), f"a condition among {', '.join(CONDITIONS)}"),
    ):
        if wrong.any():
            raise DatasetError(f"{path}, row {int(np.argmax(wrong)) + 2}: expected {what}; is the file half-copied?")
    table = table.assign(time=times, PP=table["PP"].astype(str)).sort_values(["PP", "time"], kind="stable")
    if (twice := table.duplicated(["PP", "time"])).any():
        row = int(table.index.to_numpy()[np.argmax(twice)]) + 2
        raise DatasetError(f"{path}, row {row}: a second row of the same person and minute")
    return table.reset_index(drop=True)


def _features(path: Path, table: pd.DataFrame) -> tuple[FeatureSpace, Floats]:
    """Which columns are whose, and their values [S, F] with NaN where missing."""
    posture = [name for name in table.columns if _POSTURE.search(name)]
    face = [name for name in table.columns if _FACE.match(name) and not _NOT_FACE.match(name) and name not in posture]
    for what, names in (("of the face (as SmouthOpen)", face), ("of posture (as leanAngleavg)", posture)):
        if not names:
            raise DatasetError(f"{path}: expected columns {what}; there is none")
    space = FeatureSpace((*face, *posture), ("face", "posture"), (0,) * len(face) + (1,) * len(posture))
    return space, _numbers(path, table[[*face, *posture]])


def _numbers(path: Path, columns: pd.DataFrame) -> Floats:
    numbers = columns.apply(pd.to_numeric, errors="coerce")
    if (wrong := (numbers.isna() & columns.notna()).any()).any():
        raise DatasetError(f"{path}: column {wrong.idxmax()} holds what is no number")
    values = numbers.to_numpy(np.float64)
    return np.where((values == MISSING) | ~np.isfinite(values), np.nan, values)


def _coverage(space: FeatureSpace, values: Floats) -> Float32:
    """1 where at least half of a modality's columns are there, else 0; float32 [S, M]."""
    there = ~np.isnan(values)
    shares = [there[:, space.feature_modality == modality].mean(1) for modality in range(len(space.modalities))]
    return (np.stack(shares, 1) >= 0.5).astype(np.float32)


def _of_all(values: Floats) -> tuple[Floats, Floats]:
    """Median and robust spread of each column over all rows, [F]; 0 and 1 of a column that is empty."""
    empty = np.isnan(values).all(0)
    known = np.where(empty, 0.0, values)
    middle = np.nanmedian(known, 0)
    spread = _NORMAL * np.nanmedian(np.abs(known - middle), 0)
    return middle, np.where(spread > 0, spread, np.where(empty, 1.0, np.maximum(np.nanstd(known, 0), 1e-6)))


def _causal(values: Floats, people: npt.NDArray[np.str_], middle: Floats, spread: Floats) -> Floats:
    """Centre and scale of each minute from the person's earlier ones and the prior, [S, 2, F]."""
    result = np.empty((len(values), 2, values.shape[1]))
    for person in np.unique(people):
        own = people == person
        offset = values[own] - middle
        seen = ~np.isnan(offset)
        offset = np.where(seen, offset, 0.0)
        count, total, squares = (_before(part) for part in (seen.astype(np.float64), offset, offset**2))
        weight = count + PRIOR_MINUTES
        mean = total / weight
        variance = (squares + PRIOR_MINUTES * spread**2) / weight - mean**2
        result[own, 0] = middle + mean
        result[own, 1] = np.sqrt(np.maximum(variance, (1e-3 * spread) ** 2))
    return result


def _before(values: Floats) -> Floats:
    """Sum over the rows above each."""
    return np.cumsum(values, 0) - values


def _keep(table: pd.DataFrame, coverage: Float32, relaxation: bool) -> tuple[npt.NDArray[np.bool_], Exclusions]:
    exclusions = Exclusions()
    resting = (table["Condition"] == RELAXATION).to_numpy(np.bool_) & (not relaxation)
    blind = (coverage == 0).all(1) & ~resting
    for rows, why in (
        (resting, "minutes of relaxation"),
        (blind, "minutes in which neither face nor posture is there"),
    ):
        for person, count in table["PP"][rows].value_counts(sort=False).items():
            exclusions.add(why, str(person), int(count))
    return ~resting & ~blind, exclusions


def _allowed(task: Task, conditions: pd.Series[str]) -> npt.NDArray[np.bool_]:
    allowed = np.ones((len(conditions), len(task.classes)), np.bool_)
    for condition, label in _CLASSES[task.name].items():
        allowed[(conditions == condition).to_numpy()] = np.arange(len(task.classes)) == label
    return allowed


def _elapsed(table: pd.DataFrame) -> Floats:
    """Seconds since the person's first row."""
    since = table["time"] - table.groupby("PP")["time"].transform("min")
    return np.array(since.dt.total_seconds(), np.float64)


def _scale(table: pd.DataFrame, name: str) -> Floats:
    ratings = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    return np.where((ratings == MISSING) | (table["Condition"] == RELAXATION).to_numpy(), np.nan, ratings)
