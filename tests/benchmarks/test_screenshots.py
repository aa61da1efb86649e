"""Pictures are of the pages, and not of the way in."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import screenshots
from tests.dashboard.test_browser import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium"),
]
FEW = ("--windows", "300", "--sizes", "1280x720", "--looks", "dark")


def test_pages_are_taken_as_an_admin_sees_them(tmp_path: Path) -> None:
    assert screenshots.main(["--out", str(tmp_path), "--pages", "audit-log", "account", *FEW]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"audit-log-1280x720-dark.png", "account-1280x720-dark.png"}
