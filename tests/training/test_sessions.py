"""Sessions on disk as labelled windows: the agent's own windows, stated rules, nothing dropped in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from perception.baseline import no_baseline
from perception.session_features import PARQUET
from perception.session_folder import LABELS
from perception.session_metadata import FILE
from perception.session_rows import QuestionnaireResult
from perception.window import Windower
from sentry_proto.errors import InputError
from sentry_proto.layout import MODALITY_INDEX, SECOND_FEATURES
from sentry_proto.tasks import FOCUS, STRESS
from sentry_proto.types import FeatureWindow
from tests.training.session_trees import BEGIN, label, make_seconds, write_session
from training.datasets.feature_cache import CACHE
from training.datasets.sessions import load_windows


def live_windows(*sessions: tuple[str, str, int]) -> list[FeatureWindow]:
    """What one run of the agent would have cut of these sessions of (participant, session, seed)."""
    windower = Windower("", "")
    windows = []
    for participant, session, seed in sessions:
        windower.start_session(participant, session)
        windows += [window for second in make_seconds(100, seed=seed) if (window := windower.push(second))]
    return windows


def test_windows_and_baselines_are_those_of_the_agent(tmp_path: Path) -> None:
    sessions = [("P01", "a", 1), ("P01", "b", 2), ("P02", "c", 3)]
    for order, (participant, session, seed) in enumerate(sessions):
        write_session(tmp_path, participant, session, make_seconds(100, seed=seed), start=BEGIN + order)
    expected = [window for window in live_windows(*sessions) if window.baseline.seconds]
    windows, exclusions = load_windows(tmp_path)
    values, coverage, baselines = windows.batch(np.arange(len(windows)))
    assert list(zip(windows.people, windows.sessions, strict=True)) == [(w.participant, w.session) for w in expected]
    np.testing.assert_array_equal(values, [window.values for window in expected])
    np.testing.assert_array_equal(coverage, [window.coverage for window in expected])
    np.testing.assert_array_equal(baselines, [[w.baseline.centre, w.baseline.scale] for w in expected])
    np.testing.assert_array_equal(windows.elapsed, [window.start - BEGIN for window in expected])
    left_out = len(live_windows(*sessions)) - len(expected)
    assert exclusions.total("windows: before their person's baseline") == left_out == 12


def test_without_baseline_every_window_is_kept_as_it_is(tmp_path: Path) -> None:
    write_session(tmp_path, seconds=100)
    windows, exclusions = load_windows(tmp_path, baseline=False)
    assert len(windows) == 15
    assert not exclusions.counts
    np.testing.assert_array_equal(windows.baselines[0], [no_baseline().centre, no_baseline().scale])


def test_labels_reach_the_windows_whose_last_seconds_they_hold_for(tmp_path: Path) -> None:
    labels = [label(0, 100, "calm"), label(100, 200, "stressed"), label(0, 200, "4", "focus")]
    write_session(tmp_path, seconds=200, labels=labels)
    windows, exclusions = load_windows(tmp_path, (STRESS, FOCUS))
    ends = windows.elapsed + 30
    calm, mild, stressed = windows.allowed["stress"].T
    clear = (ends <= 100) | (ends >= 115)
    np.testing.assert_array_equal(windows.labelled("stress"), np.flatnonzero(clear))
    np.testing.assert_array_equal(calm[clear], ends[clear] <= 100)
    np.testing.assert_array_equal(stressed[clear], ends[clear] >= 115)
    assert not mild[clear].any()
    assert exclusions.total("labels of windows: stress") == np.count_nonzero(~clear) == 2
    np.testing.assert_array_equal(windows.allowed["focus"], np.tile([False, False, False, True, False], (len(ends), 1)))


def test_blocks_are_named_by_labels_of_that_task(tmp_path: Path) -> None:
    labels = [label(0, 60, "rest", "block"), label(60, 120, "task", "block")]
    write_session(tmp_path, session="a", labels=labels)
    write_session(tmp_path, session="b", start=BEGIN + 200)
    windows, exclusions = load_windows(tmp_path)
    assert set(windows.blocks[windows.sessions == "a"]) == {"a/rest", "a/task", "a"}
    assert set(windows.blocks[windows.sessions == "b"]) == {"b"}
    assert not exclusions.total("labels: ")


def test_a_questionnaire_is_a_scale_of_its_session(tmp_path: Path) -> None:
    results = [QuestionnaireResult(BEGIN + t, "phq8", (1,) * 8, score, "mild") for t, score in ((90, 8), (30, 5))]
    write_session(tmp_path, session="a", questionnaires=results)
    write_session(tmp_path, session="b", start=BEGIN + 200)
    windows, _ = load_windows(tmp_path)
    assert set(windows.scales["phq8"][windows.sessions == "a"]) == {8.0}
    assert np.isnan(windows.scales["phq8"][windows.sessions == "b"]).all()


UNUSABLE = {
    "an unknown word": (label(0, 60, "tense"), "task stress knows no value 'tense'"),
    "an unknown task": (label(0, 60, "high", "arousal"), "task arousal is not asked for"),
    "before the recording": (label(-90, 0, "calm"), "outside the recording"),
    "after the recording": (label(120, 180, "calm"), "outside the recording"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_label_that_cannot_be_used_is_counted(case: str, tmp_path: Path) -> None:
    bad, reason = UNUSABLE[case]
    write_session(tmp_path, labels=[bad, label(0, 120, "calm")])
    windows, exclusions = load_windows(tmp_path)
    assert len(windows.labelled("stress")) == len(windows)
    assert exclusions.total(f"labels: {reason}") == exclusions.total("labels: ") == 1
    assert reason in str(exclusions)


def test_a_malformed_row_is_counted_and_the_others_stay(tmp_path: Path) -> None:
    folder = write_session(tmp_path, labels=[label(0, 120, "calm")])
    with (folder / LABELS).open("a") as file:
        file.write("soon,later,stress,calm,observer,R1,1,0\n")
    windows, exclusions = load_windows(tmp_path)
    assert len(windows.labelled("stress")) == len(windows)
    assert "row 3: start must be a number, not 'soon'" in str(exclusions)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_a_wrong_number_counts_as_not_seen(value: float, tmp_path: Path) -> None:
    seconds = make_seconds(120)
    seconds[100].values[0] = value
    write_session(tmp_path, seconds=seconds)
    windows, exclusions = load_windows(tmp_path)
    face = MODALITY_INDEX["face"]
    own = [i for i, feature in enumerate(SECOND_FEATURES) if feature.modality == "face"]
    assert exclusions.total("seconds of a modality") == 1
    assert windows.coverage[100].tolist() == [float(i != face) for i in range(len(MODALITY_INDEX))]
    assert not windows.values[100, own].any()
    assert np.isfinite(windows.values).all()
    assert windows.coverage[99].all()
    assert windows.coverage[101].all()


def test_sessions_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    write_session(tmp_path, "P01", "good")
    (write_session(tmp_path, "P01", "no-features") / PARQUET).unlink()
    (write_session(tmp_path, "P01", "ruined") / PARQUET).write_bytes(b"PAR1 no more")
    (write_session(tmp_path, "P01", "no-json") / FILE).write_text("{")
    write_session(tmp_path, "P01", "short", 20)
    write_session(tmp_path, "P01", "empty", 0)
    write_session(tmp_path, "P02", "good")
    windows, exclusions = load_windows(tmp_path)
    assert set(windows.sessions) == {"good"}
    assert set(windows.people) == {"P01"}
    named = {
        where for reason, places in exclusions.counts.items() if reason.startswith("sessions: ") for where in places
    }
    assert named == {"P01/no-features", "P01/ruined", "P01/no-json", "P01/short", "P01/empty", "P02/good"}


@pytest.mark.parametrize(("seconds", "reason"), [(None, "no session that can be read"), (29, "shorter than a window")])
def test_nothing_to_cut_is_an_error(seconds: int | None, reason: str, tmp_path: Path) -> None:
    if seconds is not None:
        write_session(tmp_path, seconds=seconds)
    with pytest.raises(InputError, match=reason):
        load_windows(tmp_path)


def test_the_cache_is_used_until_something_changes(tmp_path: Path) -> None:
    write_session(tmp_path, session="a")
    first, _ = load_windows(tmp_path)
    made = (tmp_path / CACHE / "windows-30-5-baseline").stat().st_ino
    again, exclusions = load_windows(tmp_path)
    assert (tmp_path / CACHE / "windows-30-5-baseline").stat().st_ino == made
    assert exclusions.total("windows: before") == 6
    np.testing.assert_array_equal(first.pooled(), again.pooled())
    write_session(tmp_path, session="b", start=BEGIN + 500)
    more, _ = load_windows(tmp_path)
    assert set(more.sessions) == {"a", "b"}
    assert first.values[0].any(), "whoever has mapped the old files keeps them"
    assert [path.name for path in (tmp_path / CACHE).iterdir()] == ["windows-30-5-baseline"]


def test_a_torn_cache_is_made_anew(tmp_path: Path) -> None:
    write_session(tmp_path)
    expected, _ = load_windows(tmp_path)
    expected_pooled = expected.pooled()
    values = tmp_path / CACHE / "windows-30-5-baseline" / "values"
    values.write_bytes(values.read_bytes()[:-4])
    windows, _ = load_windows(tmp_path)
    np.testing.assert_array_equal(windows.pooled(), expected_pooled)


def test_values_are_mapped_and_not_read(tmp_path: Path) -> None:
    write_session(tmp_path)
    windows, _ = load_windows(tmp_path)
    assert isinstance(windows.values, np.memmap)
    assert isinstance(windows.baselines, np.memmap)


def test_a_folder_as_an_older_version_wrote_it_says_so(tmp_path: Path) -> None:
    write_session(tmp_path, session="good")
    folder = write_session(tmp_path, session="old")
    table = pq.read_table(folder / PARQUET)
    pq.write_table(table.replace_schema_metadata({"sentry_layout": "0123456789ab"}), folder / PARQUET)
    _, exclusions = load_windows(tmp_path)
    assert "layout 0123456789ab" in str(exclusions)
