"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine must not turn a property that holds into a failure; pytest-timeout catches what hangs.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

Reached = Callable[[str, float, str], None]
"""Takes down a figure of a promise: what it is, how much, and its limit with a unit."""

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with videos and data sets beside the project; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "videos").is_dir():
        pytest.skip("needs the recordings that lie beside the project (../shared), which are not on this machine")
    return folder


@pytest.fixture
def reached(record_property: Callable[[str, object], None]) -> Reached:
    """Figures, printed at the end of the run and kept in its JUnit file, whether their limit is kept or not."""

    def take_down(what: str, figure: float, limit: str) -> None:
        record_property(what, f"{figure:.3g} (limit {limit})")

    return take_down


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was reached."""
    ended = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    told = [(one.nodeid, what, figure) for one in ended if one.when == "call" for what, figure in one.user_properties]
    if told:
        terminalreporter.section("reached")
    for test, what, figure in told:
        terminalreporter.write_line(f"{test}: {what}: {figure}")
