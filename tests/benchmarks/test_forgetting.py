"""The forgetting benchmark: replay keeps the old, and another camera is seen and answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import forgetting
from benchmarks.forgetting import TRAINERS, Run, new_camera, play, render, summarise


@pytest.fixture
def _few_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "Study", replace(forgetting.Study, people=forgetting.STREAM + 12))


@pytest.mark.slow
@pytest.mark.usefixtures("_few_judges")
def test_replay_keeps_what_was_known_before_the_camera_changed() -> None:
    before, after = new_camera(0)
    runs = [play(TRAINERS[name], before, after) for name in ("replay, drift trigger", "neither")]
    assert all(runs)
    both, neither = (summarise([run]) for run in runs if run)
    assert both["old_end"] > neither["old_end"] + 0.05
    assert both["new_end"] > both["new_before"] + 0.05
    assert both["drift_seen_in"] == 1
    assert both["windows_to_run"] < neither["windows_to_run"]


def test_a_trainer_that_saw_no_drift_has_none_in_the_table() -> None:
    run = Run([(-24, 0.8, 0.6), (0, 0.8, 0.6), (24, 0.7, 0.8)], [-30, 12], [-30], [])
    found = {"change": "new people", "trainer": "replay", **summarise([run, run])}
    assert (found["old_before"], found["old_lowest"], found["new_end"]) == (0.8, 0.7, 0.8)
    assert found["curve"][-1] == [24, 0.7, 0.8]
    assert "| 80.0 | 70.0 | 70.0 | 60.0 | 80.0 | 80.0 | 2 of 4 | 0 of 2 | - | 12 | 0 |" in render([found])
