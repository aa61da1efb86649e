"""The labelling page on an exported file, without a trainer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from sentry_proto.errors import StorageError
from tests.e2e.study import eventually, free_port
from tests.training.label_sheets import sheet
from training.active_learning import labeling_ui
from training.active_learning.file_tray import FileTray
from training.active_learning.labelling_files import to_lines

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 30_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "queue.jsonl"
    file.write_text(to_lines([sheet(n) for n in range(1, 7)]))
    return file


def open_page(path: Path) -> AppTest:
    """Run the page as a browser would, with R1 before it."""
    script = "from pathlib import Path\nfrom training.active_learning import labeling_ui\n"
    test = AppTest.from_string(f"{script}labeling_ui.page(Path({str(path)!r}))", default_timeout=20)
    test.query_params["rater"] = "R1"
    return test.run()


def press(test: AppTest, label: str) -> AppTest:
    desk = test.session_state["desk"]
    desk._shown = (desk._shown[0], 0.0)  # the window has been there for a while
    return next(button for button in test.button if button.label == label).click().run()


def said(test: AppTest) -> str:
    return " ".join(element.proto.body for element in test.get("html"))


def test_one_click_is_kept_and_undo_takes_it_back(path: Path) -> None:
    test = open_page(path)
    assert "6 windows left" in said(test)
    press(test, "Calm")
    (kept,) = FileTray(path).answers()
    assert (kept.window_id, kept.value, kept.rater, kept.source) == (f"{1:032x}", "calm", "R1", "observer")
    assert "Stored: calm, by R1." in said(test)
    assert "5 windows left" in said(test)
    press(test, "Undo")
    assert FileTray(path).answers() == []
    assert "6 windows left" in said(test)


def test_a_page_that_is_opened_again_goes_on_where_it_stopped(path: Path) -> None:
    press(open_page(path), "Stressed")
    assert "5 windows left" in said(open_page(path))


def test_neither_the_model_nor_the_reason_is_heard(path: Path) -> None:
    test = open_page(path)
    for _ in range(3):  # one of each reason
        assert "Which stress do you see?" in said(test)
        assert "True alarm" not in [button.label for button in test.button]
        assert not any(word in said(test) for word in ("What the model says", "audit", "uncertain", "alert"))
        press(test, "Calm")


def test_when_all_is_answered_it_says_what_to_do_with_the_file(path: Path) -> None:
    test = open_page(path)
    for _ in range(6):
        press(test, "Calm")
    assert "sentry-trainer labels import queue.answers.jsonl" in said(test)


def test_a_disk_that_fails_is_no_stored_label(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = open_page(path)

    def full(_path: Path, _data: bytes) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("training.active_learning.file_tray.write_durable", full)
    press(test, "Calm")
    assert "Not stored: the disk is full." in said(test)
    assert FileTray(path).answers() == []


def test_a_file_that_cannot_be_labelled_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labeling_ui.main([str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err.startswith("labeling_ui: cannot read")


def test_it_starts_streamlit_on_its_own_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []

    def stop_here(command: list[str]) -> None:
        started.append(command)
        raise SystemExit

    monkeypatch.setattr(labeling_ui, "become", stop_here)
    with pytest.raises(SystemExit):
        labeling_ui.main([str(path), "--port", "9123"])
    assert started[0][-2:] == ["--", str(path)]
    assert "--browser.gatherUsageStats=false" in started[0]
    assert "queue.answers.jsonl" in capsys.readouterr().out


@contextmanager
def serving(path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port(1)
    command = [sys.executable, "-m", "training.active_learning.labeling_ui", str(path), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: serves(url) or None, 60, "the page answers")
    try:
        yield url, server
    finally:
        server.kill()
        server.wait(20)


def serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium")
def test_keys_label_a_file_and_a_killed_server_loses_nothing(path: Path) -> None:
    from playwright.sync_api import Page, expect, sync_playwright

    def hit(page: Page, key: str, then: str) -> None:
        time.sleep(0.6)  # sooner it would be taken for the second half of a double press
        page.keyboard.press(key)
        expect(page.get_by_text(then)).to_be_visible(timeout=PATIENCE_MS)

    def opened(browser: Any, url: str) -> Page:
        page: Page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(f"{url}/?rater=R1")
        expect(page.get_by_role("button", name="Calm")).to_be_enabled(timeout=PATIENCE_MS)
        return page

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        with serving(path) as (url, server):
            page = opened(browser, url)
            hit(page, "1", "5 windows left")
            hit(page, "L", "4 windows left")
            hit(page, "3", "3 windows left")
            hit(page, "2", "2 windows left")
            hit(page, "U", "Withdrawn: mildly stressed.")
            server.kill()
            page.close()
        with serving(path) as (url, _):
            page = opened(browser, url)
            expect(page.get_by_text("4 windows left")).to_be_visible(timeout=PATIENCE_MS)
            hit(page, "3", "3 windows left")
    assert [(kept.window_id[-1], kept.value) for kept in FileTray(path).answers()] == [
        ("1", "calm"),
        ("3", "stressed"),
        ("2", "stressed"),
    ]
