"""Every page in a real browser, before a real trainer that holds the seeded study."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from sentry_proto.control import ControlClient
from sentry_proto.keys import CONTROL, KeyFile
from tests.dashboard import seeded_study
from tests.dashboard.seeded_study import PICTURED, LiveAgents, SeededStudy
from tests.dashboard.test_browser import CHROMIUM, PATIENCE_MS, browser, page, serving_key
from tests.e2e.study import command, eventually, free_port, run

__all__ = ["browser", "page"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium"),
]
THIRTY, TWO_MINUTES_S = 30, 120.0
LEAST_BETWEEN_S = 0.6
"""An answer as soon as a window appears is taken for the second half of a double click."""
UNHEARD_S = 5.0

DRAWN = ".s-panel, .s-head, .s-title"
SIZES = ((1440, 900), (1280, 720), (390, 844))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the study."""
    return tmp_path_factory.mktemp("seeded")


@pytest.fixture(scope="module")
def study(folder: Path) -> SeededStudy:
    """What the trainer holds."""
    return seeded_study.build(folder, free_port(), time.time(), windows=1_500)


@pytest.fixture(scope="module")
def trainer(study: SeededStudy, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Its process."""
    arguments = ("serve", "--dir", study.home.folder, "--tasks", study.task_file)
    with (folder / "trainer.log").open("w") as log:
        process = subprocess.Popen(command("sentry-trainer", *arguments), stdout=log, stderr=log)
    yield process
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def control(study: SeededStudy, trainer: subprocess.Popen[bytes]) -> Iterator[ControlClient]:
    """The way to the trainer, with the agents that are alive."""
    client = ControlClient(KeyFile.load(study.home.control_key, CONTROL), timeout_s=10)
    eventually(lambda: client.call("status"), 60, "the trainer answers")
    agents = LiveAgents(study)
    agents.start()
    yield client
    agents.stop()
    client.close()


@pytest.fixture(scope="module")
def address(control: ControlClient, folder: Path) -> Iterator[str]:
    """Of a dashboard on it."""
    with serving_key(folder / "trainer" / "control.key", folder / "dashboard.log") as url:
        yield url


def test_the_overview_names_the_silent_agent_and_the_wrong_clock(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_text(re.compile(r"^lab-5 has been silent for \d+ min\.$"))).to_be_visible()
    expect(page.get_by_text("2 h ahead")).to_be_visible()
    expect(page.get_by_text("alive", exact=True)).to_have_count(5)
    expect(page.get_by_text("10 more labels")).to_be_visible()


def test_an_alert_is_judged_with_one_key_and_taken_back(page: Page, address: str, control: ControlClient) -> None:
    page.goto(f"{address}/alerts?rater=R9")
    expect(page.get_by_text("What moved")).to_be_visible()
    expect(page.get_by_text("Probability of")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^False alarm"))).to_be_enabled()
    before = control.call("status")["unjudged"]
    page.locator("body").press("f")
    expect(page.get_by_text("Stored: false alarm, by R9.")).to_be_visible()
    assert control.call("status")["unjudged"] == before - 1
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Withdrawn: false alarm.")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Unsure")).click()
    expect(page.get_by_text("Stored: unsure, by R9.")).to_be_visible()
    (remark,) = control.call("remarks", kind="unsure")
    assert remark["rater"] == "R9"
    assert control.call("status")["unjudged"] == before - 1
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Withdrawn: unsure.")).to_be_visible()
    assert control.call("remarks", kind="unsure") == []


def test_a_link_to_one_persons_alerts_shows_only_those(page: Page, address: str) -> None:
    page.goto(f"{address}/alerts?participant=P12")
    rows = page.locator(".st-key-window-list button")
    expect(rows.first).to_contain_text("P12")
    expect(page.get_by_role("link", name="Rates")).to_be_visible()
    assert all("P12" in words for words in rows.all_inner_texts())


def test_an_old_alert_is_turned_to_and_its_link_opens_it(page: Page, address: str, control: ControlClient) -> None:
    *newer, oldest = control.call("alerts", limit=1_000)
    page.goto(f"{address}/alerts?rater=R9")
    rows = page.locator(".st-key-window-list [class*='st-key-open-'] button")
    expect(rows).to_have_count(40)
    page.get_by_role("button", name="Show older").click()
    expect(page.get_by_text("41 to 80, newest first")).to_be_visible()
    page.get_by_role("button", name="Show older").click()
    expect(page.get_by_role("button", name="Show older")).to_have_count(0)
    expect(rows).to_have_count(len(newer) + 1 - 80)  # until then some are still those of the page before
    rows.last.click()
    expect(page).to_have_url(re.compile(oldest["alert_id"]))
    expect(page.locator(".st-key-answers")).to_contain_text(oldest["participant"])
    link = page.url
    page.goto(f"{address}/alerts")
    page.goto(link)
    expect(page.get_by_text("1 to 40, newest first")).to_be_visible()
    expect(page.locator(".st-key-answers")).to_contain_text(oldest["participant"])
    expect(page).to_have_url(re.compile(oldest["alert_id"]))


def test_stills_of_who_agreed_to_them_are_seen(page: Page, address: str) -> None:
    page.goto(f"{address}/alerts?participant={PICTURED}")
    pictures = page.locator(".s-pictures img")
    expect(pictures).to_have_count(3)
    assert pictures.evaluate_all("all => all.map((one) => one.naturalWidth)") == [120, 120, 120]
    page.goto(f"{address}/alerts?participant=P12")
    expect(page.get_by_text("No picture came with it.")).to_be_visible()


def test_a_missed_event_is_reported(page: Page, address: str, control: ControlClient) -> None:
    page.goto(f"{address}/alerts?rater=R9")
    expect(page.get_by_text("What moved")).to_be_visible()
    page.get_by_text("Report a missed event").click()
    page.get_by_label("What you saw (may be left empty)").fill("rubbed both eyes")
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_text(re.compile(r"^Stored: stress of P01"))).to_be_visible()
    (remark,) = control.call("remarks", kind="missed event")
    assert (remark["words"], remark["participant"], remark["rater"]) == ("rubbed both eyes", "P01", "R9")


def test_a_choice_that_a_busy_trainer_leaves_unanswered_is_kept(
    page: Page, address: str, trainer: subprocess.Popen[bytes]
) -> None:
    page.goto(f"{address}/rates")
    focus = page.get_by_role("radio", name="Focus")
    expect(page.get_by_text("False-discovery share").first).to_be_visible()
    trainer.send_signal(signal.SIGSTOP)
    try:
        focus.click()
        expect(page.get_by_text("The trainer does not answer.")).to_be_visible()
    finally:
        trainer.send_signal(signal.SIGCONT)
    expect(page.get_by_text("False-discovery share").first).to_be_visible()
    expect(focus).to_be_checked()


PAGES = (
    "", "alerts", "review", "rates", "models", "data-and-people", "audit-log", "system", "self-report?participant=P01",
)  # fmt: skip


@pytest.mark.parametrize("where", PAGES)
def test_no_page_fails_or_is_wider_than_the_screen(page: Page, address: str, where: str) -> None:
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{address}/{where}")
        expect(page.locator(DRAWN).first).to_be_visible()
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


FAINT = """(least) => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((c) => c / 255).map(
      (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const [, , , opacity = 1] = parts(colour);
      if (opacity > 0.9) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (element) => {
    const [one, two] = [getComputedStyle(element).color, behind(element)].map(light);
    return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  };
  const words = "h1, h2, .stHtml p, .stHtml td, .stHtml th, .stHtml dd, .s-muted, .s-pill";
  const shown = [...document.querySelectorAll(words)].filter((one) => one.innerText && one.checkVisibility());
  const faint = shown.filter((one) => contrast(one) < least);
  return faint.map((one) => `${contrast(one).toFixed(1)}: ${one.innerText.slice(0, 60)}`);
}"""
"""Which words stand out too little from what is behind them, by the contrast ratio of WCAG 2."""

LEAST_CONTRAST = 4.5

SQUEEZED = """() => [...document.querySelectorAll(".s-table td")]
  .filter((one) => one.innerText.trim().length > 4 && one.clientWidth < 40).map((one) => one.innerText)"""
"""Cells of tables that are so narrow that their words break within."""


@pytest.mark.parametrize("where", PAGES)
@pytest.mark.parametrize("look", ["light", "dark"])
def test_every_page_can_be_read_in_light_and_dark_and_on_a_phone(
    browser: Browser, address: str, where: str, look: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=look)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}/{where}")
    expect(page.locator(DRAWN).first).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
    background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 128) == (look == "dark"), background
    assert page.evaluate(FAINT, LEAST_CONTRAST) == []
    assert page.evaluate(SQUEEZED) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_data_of_a_person_are_exported_and_that_is_written_down(
    page: Page, address: str, control: ControlClient
) -> None:
    page.goto(f"{address}/data-and-people?of=P05")
    expect(page.get_by_text("12 participants")).to_be_visible()
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Export P05").click()
    with zipfile.ZipFile(fetched.value.path()) as archive:
        assert '"participant": "P05"' in archive.read("labels.jsonl").decode()
    assert control.call("audit_log", action="export")[0]["participant"] == "P05"


def test_a_link_made_on_the_page_lets_its_participant_answer_and_ends(
    browser: Browser, page: Page, address: str
) -> None:
    page.goto(f"{address}/data-and-people?of=P06")
    page.get_by_role("button", name="Make a link").click()
    made = page.locator("code").filter(has_text="self-report?link=")
    expect(made).to_be_visible()
    link = made.inner_text().strip()
    assert link.startswith(f"{address}/self-report?link=link-")
    theirs = browser.new_page()
    theirs.set_default_timeout(PATIENCE_MS)
    theirs.goto(link)
    expect(theirs.get_by_text("Answers of P06")).to_be_visible()
    expect(theirs.get_by_role("link", name="Overview")).to_have_count(0)
    field = theirs.get_by_label("A sentence in your own words")
    field.fill("I slept badly.")
    theirs.get_by_role("button", name="Send it").click()
    expect(theirs.get_by_text("last sentence stored:")).to_be_visible()
    expect(field).to_have_count(1)  # a form that was sent stands beside the next one for a moment
    expect(field).to_have_value("")
    theirs.close()

    page.reload()
    page.get_by_text("Read the answers").click()
    expect(page.get_by_text("I slept badly.")).to_be_visible()
    page.get_by_role("button", name="End the link").click()
    expect(page.get_by_text("P06 has no link to answer by.")).to_be_visible()
    page.goto(link)
    expect(page.get_by_text("This link is not valid any more")).to_be_visible()
    page.goto(f"{address}/audit-log")
    for did in ("made a link", "ended a link", "read answers", "answered"):
        expect(page.get_by_role("cell", name=did, exact=True).first).to_be_visible()


def test_a_person_is_erased_after_the_name_was_typed(page: Page, address: str, control: ControlClient) -> None:
    page.goto(f"{address}/data-and-people?of=P12")
    erase = page.get_by_role("button", name="Erase P12")
    expect(erase).to_be_disabled()
    field = page.get_by_label("Type P12 to confirm")
    field.fill("P12")
    field.press("Enter")
    erase.click()
    expect(page.get_by_text(re.compile(r"^Erased: "))).to_be_visible()
    expect(page.get_by_text("11 participants")).to_be_visible()
    assert "P12" not in {one["participant"] for one in control.call("participants")}


def test_the_log_is_saved_as_a_file(page: Page, address: str, study: SeededStudy) -> None:
    done = run("sentry-keys", "enroll", "lab-9", "--dir", study.home.folder, "--out", study.home.folder / "lab-9.key")
    assert done.returncode == 0
    page.goto(f"{address}/audit-log")
    eventually(lambda: page.reload() or page.get_by_text("lab-9").count(), 20, "the log has the command")
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download as CSV").click()
    text = Path(fetched.value.path()).read_text()
    assert text.startswith("row,time,actor,role,action")
    assert ",enroll,lab-9," in text
    assert run("sentry-keys", "revoke", "lab-9", "--dir", study.home.folder).returncode == 0


def test_the_system_page_says_what_is_wrong_and_how_much_room_there_is(page: Page, address: str) -> None:
    page.goto(f"{address}/system")
    expect(page.get_by_text("Disk free")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^lab-5 has been silent"))).to_be_visible()
    expect(page.get_by_text("Signatures of the update repository")).to_be_visible()


def test_a_card_can_be_read_and_the_rollout_seen(page: Page, address: str) -> None:
    page.goto(f"{address}/models")
    expect(page.get_by_text("Rollout", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^lab-5 version 4 version 3"))).to_be_visible()
    page.get_by_text("Read it here").click()
    expect(page.get_by_role("heading", name="Heads, version 4")).to_be_visible()
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download", exact=True).click()
    assert "## Limits" in Path(fetched.value.path()).read_text()


def test_the_models_page_rolls_back_after_asking(page: Page, address: str, control: ControlClient) -> None:
    """Last, since it changes the version in use."""
    page.goto(f"{address}/models")
    expect(page.get_by_text("Candidates that were refused")).to_be_visible()
    page.get_by_role("button", name="Roll back to version 3").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Leave it as it is").click()
    expect(dialog).to_have_count(0)
    assert control.call("status")["model_version"] == 4
    page.get_by_role("button", name="Roll back to version 3").click()
    dialog.get_by_role("button", name="Roll back to version 3").click()
    eventually(lambda: control.call("status")["model_version"] == 5, 30, "version 5")


def test_thirty_windows_are_labelled_within_two_minutes(page: Page, address: str, control: ControlClient) -> None:
    """After the others, since it starts a run of the learner."""
    page.goto(f"{address}/review?rater=R30&task=stress")
    answer = page.locator(".st-key-answers [class*='st-key-stress']").first

    def shown() -> str | None:
        """The window that is asked about, from the keys of its buttons."""
        found = re.search(r"[0-9a-f]{32}", answer.get_attribute("class") or "")
        return found.group() if found else None

    pressed = -math.inf

    def gone_on(window_id: str | None) -> bool:
        """Press the key, and say whether another window is asked about.

        It is pressed again where a busy trainer did not take the answer, as the page says, and where the browser did
        not hear it, since the page had just been drawn.
        """
        nonlocal pressed
        refused = page.get_by_text("Not stored:").is_visible()
        if time.monotonic() - pressed > (LEAST_BETWEEN_S if refused else UNHEARD_S):
            page.keyboard.press("1")
            pressed = time.monotonic()
        return shown() not in (window_id, None)

    expect(answer).to_be_visible()
    before, began = control.call("status")["labels"], time.monotonic()
    for _ in range(THIRTY):
        now, pressed = shown(), -math.inf
        time.sleep(LEAST_BETWEEN_S)
        eventually(lambda now=now: gone_on(now), 30, "the next window")  # type: ignore[misc]
    assert control.call("status")["labels"] == before + THIRTY
    assert time.monotonic() - began < TWO_MINUTES_S
