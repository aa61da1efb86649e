"""The pages in a real browser, before a real trainer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sentry_proto.types import Prediction
from tests.e2e.study import Study, eventually, free_port
from tests.e2e.wire_agent import WireAgent
from tests.sentry_proto.records import alert, window

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 30_000
CLEAR = Prediction("stress", (0.1, 0.2, 0.7), 0.8, 0.05, alerting=True)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        yield playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A trainer with four windows from one agent, one of them with an alert."""
    made = Study(tmp_path)
    made.start_trainer()
    agent = WireAgent(made.enroll("lab-1"))
    windows = [
        window(f"{i:032x}", start=1_750_000_000.0 + 60 * i, seed=i, model_version=1, predictions=(CLEAR,))
        for i in range(1, 5)
    ]
    assert agent.send([*windows, alert()]) == []
    yield made
    agent.close()
    made.close()


@pytest.fixture
def address(study: Study) -> Iterator[str]:
    """Of a dashboard on that trainer."""
    with serving(study) as url:
        yield url


@contextmanager
def serving(study: Study, *arguments: str) -> Iterator[str]:
    with serving_key(study.trainer_dir / "control.key", study.folder / "dashboard.log", *arguments) as url:
        yield url


@contextmanager
def serving_key(key: Path, log_file: Path, *arguments: str, sign_in: bool = False, port: int = 0) -> Iterator[str]:
    arguments = arguments if sign_in else ("--no-sign-in", *arguments)
    port = port or free_port(1)
    command = [sys.executable, "-m", "dashboard.cli", "--key", str(key), "--port", str(port), *arguments]
    with log_file.open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: serves(url) or None, 60, "the dashboard answers")
    try:
        yield url
    finally:
        server.terminate()
        server.wait(20)


def serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    opened.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield opened
    opened.close()


def labels(study: Study) -> list[dict[str, Any]]:
    return [label for found in study.control.call("windows") for label in found["labels"]]


def open_review(page: Page, address: str) -> None:
    page.goto(f"{address}/review?rater=R1")
    expect(page.get_by_role("button", name="Calm")).to_be_enabled()
    time.sleep(0.6)  # a click as soon as a window appears is taken for the second half of a double click


def test_four_pages_show_the_study(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("row", name="lab-1 never called")).to_be_visible()  # not its disk, which is this machine's
    expect(page.get_by_text("Not calibrated yet", exact=True)).to_be_visible()
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_text("4 windows left")).to_be_visible()
    page.get_by_role("link", name="Rates").click()
    expect(page.get_by_text("False-discovery share").first).to_be_visible()
    page.get_by_role("link", name="Self-report").click()
    expect(page.get_by_text("Who are you?")).to_be_visible()


def test_one_click_persists_in_the_trainer_and_undo_takes_it_back(page: Page, address: str, study: Study) -> None:
    open_review(page, address)
    page.get_by_role("button", name="Calm").click()
    expect(page.get_by_text("Stored: calm, by R1.")).to_be_visible()
    expect(page.get_by_text("3 windows left")).to_be_visible()
    (stored,) = labels(study)
    assert (stored["task"], stored["value"], stored["rater"], stored["source"]) == ("stress", "calm", "R1", "observer")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Withdrawn: calm.")).to_be_visible()
    assert labels(study) == []


def test_double_click_stores_one_label(page: Page, address: str, study: Study) -> None:
    open_review(page, address)
    page.get_by_role("button", name=re.compile("^Stressed")).dblclick()
    expect(page.get_by_text("Stored: stressed, by R1.")).to_be_visible()
    expect(page.get_by_text("3 windows left")).to_be_visible()
    time.sleep(1.5)
    assert len(labels(study)) == 1


def test_refreshed_page_still_knows_the_rater_and_what_is_done(page: Page, address: str) -> None:
    open_review(page, address)
    page.get_by_role("button", name="Calm").click()
    expect(page.get_by_text("3 windows left")).to_be_visible()
    page.reload()
    expect(page.get_by_text("3 windows left")).to_be_visible()
    expect(page.get_by_label("Rater (a pseudonym)")).to_have_value("R1")


def test_a_participant_answers_with_one_click_and_sees_no_way_to_the_estimates(
    page: Page, address: str, study: Study
) -> None:
    page.goto(f"{address}/self-report?participant=P07")
    page.get_by_role("button", name="Mildly stressed").click()
    expect(page.get_by_text("Still open: focus.")).to_be_visible()
    page.get_by_role("button", name="4", exact=True).click()
    expect(page.get_by_text("Still open")).to_have_count(0)
    expect(page.get_by_role("link", name="Overview")).to_have_count(0)
    said = study.control.call("self_reports", participant="P07")
    assert [(report["task"], report["value"]) for report in said] == [("focus", "4"), ("stress", "mildly stressed")]


def test_the_page_for_participants_can_be_served_alone(page: Page, study: Study) -> None:
    with serving(study, "--self-report") as url:
        for where in (url, f"{url}/self-report"):
            page.goto(f"{where}?participant=P07")
            expect(page.get_by_role("button", name="Mildly stressed")).to_be_visible()
            expect(page.get_by_text("Page not found")).to_have_count(0)
        page.goto(f"{url}/review")
        expect(page.get_by_text("Who are you?")).to_be_visible()
        expect(page.get_by_role("link", name="Review")).to_have_count(0)


def test_a_questionnaire_is_sent_when_complete_and_outlives_a_stopped_trainer(
    page: Page, address: str, study: Study
) -> None:
    page.goto(f"{address}/self-report?participant=P07&form=gad7")
    send = page.get_by_role("button", name="Send my answers")
    rows = page.get_by_role("radiogroup", name=re.compile(r"^\d\. "))
    expect(rows).to_have_count(7)
    for row in range(7):
        expect(page.get_by_text(f"{row} of 7 answered")).to_be_visible()
        expect(send).to_be_disabled()
        rows.nth(row).locator("label").nth(2).click()
    expect(send).to_be_enabled()
    study.stop(study.processes[0])
    send.click()
    expect(page.get_by_text("Not stored yet.")).to_be_visible()
    study.start_trainer()
    expect(page.get_by_text("Your answers to GAD-7 were stored")).to_be_visible()
    (report,) = study.control.call("self_reports")
    assert (report["answers"], report["score"], report["value"]) == ([2] * 7, 14, "moderate")
    expect(page.get_by_text("moderate")).to_have_count(0)


def test_stopped_trainer_gives_a_calm_message_and_the_page_recovers(page: Page, address: str, study: Study) -> None:
    page.goto(address)
    expect(page.get_by_text("Last alerts")).to_be_visible()
    study.stop(study.processes[0])
    expect(page.get_by_text("The trainer does not answer.")).to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)
    study.start_trainer()
    expect(page.get_by_text("Last alerts")).to_be_visible()
    expect(page.get_by_text("The trainer does not answer.")).to_have_count(0)
