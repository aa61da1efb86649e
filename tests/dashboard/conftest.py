"""A trainer in memory, and pages that talk to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import connection
from dashboard.cli import KEY_VARIABLE, OPEN_VARIABLE
from tests.dashboard.fake_trainer import FakeTrainer, busy

Page = Callable[[str], AppTest]


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTrainer]:
    """A busy study; the dashboard's key points to it."""
    fake = busy(tmp_path).start()
    monkeypatch.setenv(KEY_VARIABLE, str(fake.key_path))
    monkeypatch.setenv(OPEN_VARIABLE, "1")
    monkeypatch.setattr(connection, "PATIENCE_S", 1.0)
    yield fake
    connection._client.clear()
    fake.stop()


def open_page(name: str, **address: str) -> AppTest:
    """Run one page as the browser would."""
    test = AppTest.from_string(f"from dashboard import {name}\n{name}.page()", default_timeout=20)
    for key, value in address.items():
        test.query_params[key] = value
    return test.run()


def markup(test: AppTest) -> str:
    """The page's own markup; a broken page has none."""
    assert not test.exception
    return " ".join(element.proto.body for element in test.get("html"))


def words(test: AppTest) -> str:
    """Everything a reader sees in it, without tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", markup(test))))
