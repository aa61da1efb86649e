"""The benchmark of the dashboard's questions asks what pages ask, as somebody who may."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.dashboard import measure


@pytest.mark.slow
def test_every_question_is_answered_on_a_small_study(tmp_path: Path) -> None:
    found = measure(tmp_path, 300)
    assert found["windows"] > 100
    assert len(found["questions"]) > 20
