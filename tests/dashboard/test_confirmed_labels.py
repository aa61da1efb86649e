"""A label that the page has confirmed is in the trainer, once: whatever happens to the dashboard and the browser."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Reached
from tests.dashboard.test_browser import CHROMIUM, CLEAR, browser, page, serves
from tests.e2e.study import Study, eventually, free_port
from tests.e2e.wire_agent import WireAgent
from tests.sentry_proto.records import window

__all__ = ["browser", "page"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium"),
]
KILLS = 50
WINDOWS = KILLS + 20


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A trainer with windows to label."""
    made = Study(tmp_path)
    made.start_trainer()
    agent = WireAgent(made.enroll("lab-1"))
    start = 1_750_000_000.0
    given = [
        window(f"{i:032x}", start=start + 60 * i, seed=i, model_version=1, predictions=(CLEAR,))
        for i in range(1, WINDOWS + 1)
    ]
    assert agent.send(given) == []
    yield made
    agent.close()
    made.close()


class Server:
    """A dashboard that can be killed and comes back at the same address."""

    def __init__(self, study: Study) -> None:
        port = free_port(1)
        self.url = f"http://127.0.0.1:{port}"
        key = str(study.trainer_dir / "control.key")
        self._command = [sys.executable, "-m", "dashboard.cli", "--no-sign-in", "--key", key, "--port", str(port)]
        self._log = (study.folder / "dashboard.log").open("a")
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        eventually(lambda: serves(self.url) or None, 120, "the dashboard answers")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._log.close()


@contextmanager
def served(study: Study) -> Iterator[Server]:
    server = Server(study)
    yield server
    server.close()


def open_queue(page: Page, url: str) -> None:
    page.goto(f"{url}/review?rater=R1")
    expect(page.get_by_role("button", name=re.compile("^Calm"))).to_be_enabled(timeout=90_000)
    time.sleep(0.6)  # sooner, a click is taken for the second half of a double click


def stored(study: Study) -> Counter[str]:
    """Window -> standing labels of the rater on it."""
    found: list[dict[str, Any]] = study.control.call("windows", limit=WINDOWS)
    return Counter(w["window_id"] for w in found for label in w["labels"] if label["rater"] == "R1")


def confirmations(page: Page) -> int:
    return page.get_by_text("Stored: calm, by R1.").count()


@pytest.mark.promise("R9")
def test_labels_outlive_a_killed_dashboard_a_double_click_and_two_tabs(page: Page, study: Study) -> None:
    """The short form; `test_labels_outlive_many_killed_dashboards` is the long one."""
    with served(study) as server:
        _label_and_kill(page, study, server, kills=1)
        _double_click(page, study, server)
        _two_tabs(page, study, server)
        assert max(stored(study).values()) == 1


@pytest.mark.soak
@pytest.mark.promise("R9")
def test_labels_outlive_many_killed_dashboards(page: Page, study: Study, reached: Reached) -> None:
    with served(study) as server:
        confirmed = _label_and_kill(page, study, server, kills=KILLS)
        reached(f"labels confirmed in {KILLS} kills", confirmed, "none lost or doubled")
        assert max(stored(study).values()) == 1


def _label_and_kill(page: Page, study: Study, server: Server, kills: int) -> int:
    """The dashboard dies at a moment of a click that differs from round to round; returns how many were confirmed."""
    confirmed: list[str] = []
    for number in range(kills):
        open_queue(page, server.url)
        before = stored(study)
        page.get_by_role("button", name=re.compile("^Calm")).click()
        time.sleep(0.07 * (number % 8))
        server.kill()
        fresh = list((stored(study) - before).elements())
        assert len(fresh) <= 1
        if confirmations(page):
            assert len(fresh) == 1, "what the page has confirmed is stored at that moment"
            confirmed += fresh
        server.start()
    after = stored(study)
    assert len(set(confirmed)) == len(confirmed)
    assert all(after[window_id] == 1 for window_id in confirmed)
    assert max(after.values(), default=0) <= 1
    open_queue(page, server.url)
    count = sum(after.values())
    page.get_by_role("button", name=re.compile("^Calm")).click()
    expect(page.get_by_text("Stored: calm, by R1.")).to_be_visible(timeout=90_000)
    server.kill()
    assert sum(stored(study).values()) == count + 1
    server.start()
    return len(confirmed)


def _double_click(page: Page, study: Study, server: Server) -> None:
    open_queue(page, server.url)
    before = stored(study)
    page.get_by_role("button", name=re.compile("^Calm")).dblclick()
    expect(page.get_by_text("Stored: calm, by R1.")).to_be_visible(timeout=90_000)
    fresh = stored(study) - before
    assert list(fresh.values()) == [1]


def _two_tabs(page: Page, study: Study, server: Server) -> None:
    """Both tabs show the same window; the second answer is a correction, and one opinion of the rater counts."""
    open_queue(page, server.url)
    assert page.context.browser is not None
    other = page.context.browser.new_page()
    open_queue(other, server.url)
    before = stored(study)
    for tab in (page, other):
        tab.get_by_role("button", name=re.compile("^Calm")).click()
    for tab in (page, other):
        expect(tab.get_by_text("Stored: calm, by R1.")).to_be_visible(timeout=90_000)
    fresh = stored(study) - before
    other.close()
    assert set(fresh.values()) == {1}
