"""A running study for every end-to-end test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """Keys in a fresh folder; nothing runs yet."""
    study = Study(tmp_path)
    yield study
    study.close()
