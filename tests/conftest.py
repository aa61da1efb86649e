"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine must not turn a property that holds into a failure; pytest-timeout catches what hangs.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with videos and data sets beside the project; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "videos").is_dir():
        pytest.skip("needs the recordings that lie beside the project (../shared), which are not on this machine")
    return folder
