"""How long a person waits for the dashboard, and whether it grows while it is left open: in Chromium.

    python -m benchmarks.dashboard_browser [--windows 100000] [--minutes 0] [--study DIR] [--json]

A trainer serves a seeded study (`tests.dashboard.seeded_study`; DIR keeps it for the next run), a dashboard asks it.
Each page is opened in a browser context of its own, and each interaction timed from the click or key until what it
asks for stands on the page; the figures are medians of `REPEATS`. With `--minutes`, one window a page is then left
open, each refreshing itself, and memory read every `SAMPLE_S`: of the dashboard's and the trainer's process as the
kernel counts it, of the pages' JavaScript heap after a collection. The slope of a straight line through all but the
first third is extrapolated to `OPEN_H` hours. Exit code 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from sentry_proto.control import ControlClient
from sentry_proto.keys import CONTROL, KeyFile
from tests.dashboard import seeded_study
from tests.dashboard.seeded_study import LiveAgents, SeededStudy
from tests.e2e.study import command, eventually, free_port
from trainer_service.keyring import Home

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FIRST_PAGE_S, INTERACTION_S = 2.0, 0.5
REPEATS = 5
PATIENCE_S = 120.0
"""After which it is called broken and not slow."""

LOOK_S = 0.005
SAMPLE_S, OPEN_H, WARM_SHARE = 15.0, 8.0, 1 / 3
GROWN_MIB = 200.0
"""What a process or page may grow by in `OPEN_H`."""

PAGES = {
    "": "Agents",
    "alerts": "When alerts came",
    "rates": "False-discovery share",
    "review?rater=R9": "What the model says",
    "models": "Versions",
}
"""Address of each page, and what stands on it once it has its answers."""


@dataclass(frozen=True)
class Served:
    """The processes, and where the pages are."""

    url: str
    dashboard: int
    trainer: int


@contextmanager
def serving(folder: Path, windows: int) -> Iterator[Served]:
    """A trainer with the study in this folder, which is made if it is not there, and a dashboard."""
    study = _study(folder, windows)
    log = (folder / "processes.log").open("w")
    arguments = ("serve", "--dir", study.home.folder, "--tasks", study.task_file)
    trainer = subprocess.Popen(command("sentry-trainer", *arguments), stdout=log, stderr=log)
    client = ControlClient(KeyFile.load(study.home.control_key, CONTROL), timeout_s=10)
    eventually(lambda: client.call("status"), PATIENCE_S, "the trainer answers")
    client.close()
    agents = LiveAgents(study)
    agents.start()
    port = free_port(1)
    options = ("--key", study.home.control_key, "--port", port, "--no-sign-in")
    dashboard = subprocess.Popen(command("sentry-dashboard", *options), stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: _serves(url) or None, PATIENCE_S, "the dashboard answers")
    try:
        yield Served(url, dashboard.pid, trainer.pid)
    finally:
        agents.stop()
        for process in (dashboard, trainer):
            process.terminate()
            process.wait(PATIENCE_S)


def _study(folder: Path, windows: int) -> SeededStudy:
    task_file = folder / "tasks.toml"
    if not task_file.exists():
        return seeded_study.build(folder, free_port(), time.time(), windows)
    keys = {name: folder / f"{name}.key" for name in seeded_study.AGENTS}
    return SeededStudy(Home(folder / "trainer"), keys, task_file, seeded_study.Truth(), windows, 0)


def _serves(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def first_pages(browser: Browser, url: str) -> dict[str, float]:
    """Seconds from the address to the answers on the page, in a fresh browser context each time."""

    def opened(where: str, there: str) -> float:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        began = time.perf_counter()
        page.goto(f"{url}/{where}", wait_until="commit")
        _see(page.get_by_text(there).first)
        took = time.perf_counter() - began
        context.close()
        return took

    opened("", PAGES[""])  # the server's own first page
    return {
        f"open {where.split('?')[0] or 'overview'}": statistics.median(opened(where, there) for _ in range(REPEATS))
        for where, there in PAGES.items()
    }


def interactions(page: Page, url: str) -> dict[str, float]:
    """Seconds from each click or key to its answer on the page."""
    found: dict[str, list[float]] = {}

    def timed(what: str, do: Callable[[], None], there: Locator) -> None:
        began = time.perf_counter()
        do()
        _see(there)
        found.setdefault(what, []).append(time.perf_counter() - began)
        time.sleep(0.7)  # the next one meets a page at rest, as a person's would

    for _ in range(REPEATS):
        _overview(page, url, timed)
        _alerts(page, url, timed)
        _rates(page, url, timed)
        _review(page, url, timed)
    return {what: statistics.median(seconds) for what, seconds in found.items()}


def _see(there: Locator) -> None:
    """Until it is there. Playwright's own waiting looks again after half a second only."""
    given_up = time.perf_counter() + PATIENCE_S
    while not there.is_visible():
        if time.perf_counter() > given_up:
            raise TimeoutError(f"nothing is seen of {there}")
        time.sleep(LOOK_S)


Timed = Callable[[str, Callable[[], None], Locator], None]


def _settled(page: Page, url: str, where: str) -> None:
    page.goto(f"{url}/{where}")
    page.get_by_text(PAGES[where]).first.wait_for()
    time.sleep(1.0)


def _overview(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "")
    timed(
        "overview: to Models", page.get_by_role("link", name="Models").click, page.get_by_text("Compare two versions")
    )
    timed("overview: and back", page.get_by_role("link", name="Overview").click, page.get_by_text("Last alerts"))


def _alerts(page: Page, url: str, timed: Timed) -> None:
    page.goto(f"{url}/alerts?rater=R9")
    page.get_by_text("What moved").wait_for()
    time.sleep(1.0)
    rows, asked = page.locator(".st-key-window-list button"), page.locator(".st-key-answers .s-head")
    words = rows.nth(3).inner_text().split(" · ")
    timed(
        "alerts: open another", rows.nth(3).click, asked.get_by_text(f"{words[2]} at").and_(asked.get_by_text(words[0]))
    )
    timed(
        "alerts: verdict by key",
        lambda: page.locator("body").press("f"),
        page.get_by_text("Stored: false alarm, by R9."),
    )
    timed("alerts: undo", page.get_by_role("button", name="Undo").click, page.get_by_text("Withdrawn: false alarm."))
    page.locator(".st-key-alerts-participant").get_by_role("combobox").click()
    only = page.get_by_role("option", name="P07", exact=True)
    timed("alerts: one person's", only.click, rows.first.filter(has_text="P07"))


def _rates(page: Page, url: str, timed: Timed) -> None:
    def table(title: str) -> Locator:
        return page.get_by_role("heading", name=title)

    _settled(page, url, "rates")
    timed("rates: another task", page.get_by_role("radio", name="Focus").click, table("Focus by model version"))
    for by in ("week", "participant"):
        page.get_by_label("Table by").first.click()
        option = page.get_by_role("option", name=by.capitalize(), exact=True)
        timed(f"rates: by {by}", option.click, table(f"Focus by {by}"))
    timed("rates: advice", page.get_by_role("button", name="Advise").click, page.locator(".st-key-threshold .s-note"))


def _review(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "review?rater=R9")
    timed("review: label by key", lambda: page.locator("body").press("1"), page.get_by_text("Stored: calm, by R9."))
    timed("review: undo", page.get_by_role("button", name="Undo").click, page.get_by_text("Withdrawn: calm."))


def growth(browser: Browser, served: Served, minutes: float) -> dict[str, dict[str, float]]:
    """MiB of each process and page at the end, and what it would grow by in `OPEN_H` hours."""
    pages = {where: browser.new_page() for where in ("", "alerts", "rates")}
    for where, page in pages.items():
        page.set_default_timeout(1000 * PATIENCE_S)
        page.goto(f"{served.url}/{where}")
        page.get_by_text(PAGES[where]).first.wait_for()
    heaps = {where or "overview": page.context.new_cdp_session(page) for where, page in pages.items()}
    samples: list[dict[str, float]] = []
    began = time.monotonic()
    while (now := time.monotonic() - began) < 60 * minutes:
        sample = {"hours": now / 3_600, "dashboard": _rss(served.dashboard), "trainer": _rss(served.trainer)}
        for name, session in heaps.items():
            session.send("HeapProfiler.collectGarbage")
            used = session.send("Runtime.getHeapUsage")["usedSize"]
            sample[f"heap of {name}"] = used / 2**20
        samples.append(sample)
        next(iter(pages.values())).wait_for_timeout(1000 * SAMPLE_S)
    late = samples[int(WARM_SHARE * len(samples)) :]
    hours = np.array([sample["hours"] for sample in late])
    return {
        what: {
            "first_mib": round(samples[0][what], 1),
            "last_mib": round(samples[-1][what], 1),
            "grows_mib": round(float(np.polyfit(hours, [sample[what] for sample in late], 1)[0]) * OPEN_H, 1),
        }
        for what in samples[0]
        if what != "hours"
    }


def _rss(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def measure(folder: Path, windows: int, minutes: float) -> dict[str, Any]:
    """Serve, open, click, and leave open."""
    with serving(folder, windows) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = first_pages(browser, served.url)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(1000 * PATIENCE_S)
        answered = interactions(page, served.url)
        page.close()
        grown = growth(browser, served, minutes) if minutes else {}
        browser.close()
    return {
        "load": os.getloadavg()[0],
        "first_page_s": {what: round(seconds, 2) for what, seconds in opened.items()},
        "interaction_s": {what: round(seconds, 3) for what, seconds in answered.items()},
        "growth": grown,
    }


def missed(found: dict[str, Any]) -> list[str]:
    """What is over its limit."""
    return [
        *(what for what, seconds in found["first_page_s"].items() if seconds > FIRST_PAGE_S),
        *(what for what, seconds in found["interaction_s"].items() if seconds > INTERACTION_S),
        *(what for what, figures in found["growth"].items() if figures["grows_mib"] > GROWN_MIB),
    ]


def main() -> int:
    """Print a table, or JSON; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=100_000, help="about how many are stored (100000)")
    parser.add_argument("--minutes", type=float, default=0.0, help="to leave the pages open (0: not at all)")
    parser.add_argument("--study", type=Path, help="a folder that keeps the study")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.study or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(folder, chosen.windows, chosen.minutes)
    if chosen.json:
        print(json.dumps(found, indent=1))
    else:
        _print(found)
    return int(bool(missed(found)))


def _print(found: dict[str, Any]) -> None:
    print(f"medians of {REPEATS}; load of the machine {found['load']:.1f}")
    for limit, kind in ((FIRST_PAGE_S, "first_page_s"), (INTERACTION_S, "interaction_s")):
        for what, seconds in found[kind].items():
            print(f"{what:28} {seconds:8.2f} s   limit {limit:.1f} s{'   MISSED' if seconds > limit else ''}")
    for what, figures in found["growth"].items():
        words = f"{figures['first_mib']:8.1f} to {figures['last_mib']:8.1f} MiB, {figures['grows_mib']:+.1f} in"
        print(f"{what:28} {words} {OPEN_H:.0f} h{'   MISSED' if figures['grows_mib'] > GROWN_MIB else ''}")


if __name__ == "__main__":
    sys.exit(main())
