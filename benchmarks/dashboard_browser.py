"""How long a person waits for the dashboard, and whether it grows while it is left open: in Chromium.

    python -m benchmarks.dashboard_browser [--windows 100000] [--minutes 0] [--study DIR] [--json]

A trainer serves a seeded study (`tests.dashboard.seeded_study`; DIR keeps it for the next run), a dashboard asks it
in the name of an admin who is signed in. Once the trainer has read its store, each page is opened by a browser that
never saw it and by one that did, and each interaction timed from the click or key until what it asks for stands on
the page; the page's own clock is read, each time it draws, and the figures are median and worst of `REPEATS`; limits
are held to the median. A bare Streamlit page, with a title, a button and a chart, is opened and clicked beside it:
what is slower than that is ours. Then the same is clicked once more while `CROWD` other browsers lie open, each
refreshing itself. With `--minutes`, one window a page is then left open, each refreshing itself, while a window or
an alert arrives every `ARRIVAL_S`, as from four busy agents. Memory is read every `SAMPLE_S`: of the dashboard's and
the trainer's process as the kernel counts it, of the pages' JavaScript heap after a collection. The slope of a
straight line through all but the first third is extrapolated to `OPEN_H` hours, with twice its standard error.
Exit code 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from dashboard.who import COOKIE
from sentry_proto.control import ControlClient
from sentry_proto.keys import CONTROL, KeyFile
from tests.dashboard import seeded_study
from tests.dashboard.seeded_study import LiveAgents, SeededStudy
from tests.e2e.study import command, eventually, free_port
from tests.e2e.wire_agent import WireAgent
from trainer_service.fleet_sim import children, usage
from trainer_service.keyring import Home
from training.active_learning.review.serve import server_arguments

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FIRST_PAGE_S, INTERACTION_S = 2.0, 0.5
REPEATS = 3
RATER, PASSWORD = "R9", "a password of the benchmark"
PATIENCE_S = 120.0
"""After which it is called broken and not slow."""

REST_S, SETTLE_S = 1.0, 5.0
CROWD = 4
SAMPLE_S, OPEN_H, WARM_SHARE, ARRIVAL_S = 15.0, 8.0, 1 / 3, 2.5
GROWN_MIB = 200.0
"""What a process or page may grow by in `OPEN_H`."""


Figures = dict[str, dict[str, float]]
"""What was opened or clicked -> seconds: median and worst."""

Look = Literal["light", "dark"]
DESKTOP: ViewportSize = {"width": 1440, "height": 900}

Visitor = Callable[[], BrowserContext]


@dataclass(frozen=True)
class Sign:
    """What to see: the first element of a CSS selector, and the texts within it."""

    selector: str
    texts: tuple[str, ...] = ()


def words(*texts: str) -> Sign:
    """They stand anywhere on the page."""
    return Sign("body", texts)


PAGES = {
    "": words("Agents", "Last alerts"),
    "alerts": words("When alerts came"),
    "rates": words("False-discovery share"),
    "review": words("windows left", "It cannot be told"),
    "models": words("Versions", "Card"),
    "data-and-people": words("People", "Retention"),
    "system": words("Signatures of the update repository"),
    "audit-log": words("newest first"),
    "account": words("Accounts"),
}
"""Address of each page, and what stands on it once it has its answers."""

BARE_PAGE = words("Bare", "Press")
BARE = """
import streamlit as st
st.title("Bare")
if st.button("Press"):
    st.write("Pressed.")
values = [{"x": x, "y": x * x} for x in range(20)]
axes = {name: {"field": name, "type": "quantitative"} for name in "xy"}
st.vega_lite_chart({"mark": "line", "data": {"values": values}, "encoding": axes})
"""

SEEN = """
window.seen = (sign, start) => new Promise((seen, never) => {
  const given_up = performance.now() + PATIENCE;
  const look = () => {
    const there = document.body && document.querySelector(sign.selector);
    if (there && sign.texts.every((text) => there.textContent.includes(text))) seen(performance.now() - start());
    else if (performance.now() > given_up) never(new Error("never seen: " + JSON.stringify(sign)));
    else requestAnimationFrame(look);
  };
  look();
});
""".replace("PATIENCE", str(1000 * PATIENCE_S))
"""Milliseconds from a start until the sign is there; Playwright's own waiting looks every half second only."""

ASKED = """(sign) => {
  let start = Infinity;
  const asked = () => { start = Math.min(start, performance.now()); };
  for (const kind of ["pointerdown", "keydown"]) window.addEventListener(kind, asked, {once: true, capture: true});
  window.answered = new Promise((seen) => {
    const wait = () => start < Infinity ? seen(window.seen(sign, () => start)) : requestAnimationFrame(wait);
    wait();
  });
}"""
"""From the next click or key on."""


@dataclass(frozen=True)
class Served:
    """The processes, and where the pages are."""

    url: str
    dashboard: int
    trainer: int
    token: str
    sender: Path

    def visitor(self, browser: Browser, size: ViewportSize = DESKTOP, look: Look = "light") -> BrowserContext:
        """A browser that never saw a page, and is signed in."""
        context = browser.new_context(viewport=size, color_scheme=look)
        context.add_cookies([{"name": COOKIE, "value": self.token, "url": self.url}])
        context.set_default_timeout(1000 * PATIENCE_S)
        context.add_init_script(SEEN)
        return context


@contextmanager
def serving(folder: Path, windows: int) -> Iterator[Served]:
    """A trainer with the study in this folder, which is made if it is not there, and a dashboard."""
    study = _study(folder, windows)
    with ExitStack() as stack:
        log = stack.enter_context((folder / "processes.log").open("w"))

        def started(name: str, *what: object) -> int:
            process = subprocess.Popen(command(name, *what), stdout=log, stderr=log)
            stack.callback(process.wait, PATIENCE_S)
            stack.callback(process.terminate)
            return process.pid

        trainer = started("sentry-trainer", "serve", "--dir", study.home.folder, "--tasks", study.task_file)
        token = _signed_in(study)
        agents = LiveAgents(study)
        agents.start()
        stack.callback(agents.stop)
        port = free_port(1)
        dashboard = started("sentry-dashboard", "--key", study.home.control_key, "--port", port)
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _serves(url) or None, PATIENCE_S, "the dashboard answers")
        yield Served(url, dashboard, trainer, token, study.keys[seeded_study.SILENT])


def _signed_in(study: SeededStudy) -> str:
    """The token of an admin, whose account is made if it is not there."""
    with closing(ControlClient(KeyFile.load(study.home.control_key, CONTROL), timeout_s=10)) as client:
        eventually(lambda: client.call("status"), PATIENCE_S, "the trainer answers (see processes.log)")
        if not client.call("accounts"):
            client.call("add_account", name=RATER, role="admin", password=PASSWORD)
        return str(client.call("sign_in", name=RATER, password=PASSWORD)["token"])


@contextmanager
def bare() -> Iterator[str]:
    """Address of a Streamlit page with next to nothing on it."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "bare.py"
        script.write_text(BARE)
        port = free_port(2)
        arguments = server_arguments(script, "127.0.0.1", port)
        process = subprocess.Popen([sys.executable, "-m", "streamlit", *arguments], stdout=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _serves(url) or None, PATIENCE_S, "the bare page answers")
        try:
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _at_rest(trainer: int) -> None:
    """A trainer that just started reads, and learns if labels wait; that is another benchmark's matter."""

    def spent() -> float:
        return sum(usage(process).cpu_s for process in (trainer, *children(trainer)))

    given_up = time.monotonic() + PATIENCE_S
    before = spent()
    while time.monotonic() < given_up:
        time.sleep(SETTLE_S)
        if spent() - before < 0.1 * SETTLE_S:
            return
        before = spent()


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


def first_pages(visitor: Visitor, url: str, pages: Mapping[str, Sign]) -> Figures:
    """Seconds from the address to the answers on the page, in a fresh browser context each time, and again there."""

    def opened(context: BrowserContext, where: str) -> float:
        page = context.new_page()
        page.goto(f"{url}/{where}", wait_until="commit")
        took = page.evaluate("(sign) => window.seen(sign, () => 0)", asdict(pages[where]))
        time.sleep(REST_S)
        page.close()
        return float(took) / 1000

    found: dict[str, list[float]] = {}
    for where in [where for where in pages for _ in range(REPEATS)]:
        context = visitor()
        for again in ("", " again"):
            found.setdefault(f"{_name(where)}{again}", []).append(opened(context, where))
        context.close()
    return _figures(found)


def _figures(found: Mapping[str, Sequence[float]]) -> Figures:
    return {
        what: {"median": round(statistics.median(took), 2), "worst": round(max(took), 2)}
        for what, took in found.items()
    }


Timed = Callable[[str, Callable[[], None], Sign], None]


def _name(where: str) -> str:
    return where or "overview"


def interactions(page: Page, url: str, pages: Sequence[Callable[[Page, str, Timed], None]]) -> Figures:
    """Seconds from each click or key to its answer on the page."""
    found: dict[str, list[float]] = {}

    def timed(what: str, do: Callable[[], None], there: Sign) -> None:
        page.evaluate(ASKED, asdict(there))
        do()
        found.setdefault(what, []).append(float(page.evaluate("window.answered")) / 1000)
        time.sleep(REST_S)  # the next one meets a page at rest, as a person's would

    for walk in [walk for _ in range(REPEATS) for walk in pages]:
        walk(page, url, timed)
    return _figures(found)


def _settled(page: Page, url: str, where: str, there: Sign | None = None) -> None:
    page.goto(f"{url}/{where}", wait_until="commit")
    page.evaluate("(sign) => window.seen(sign, () => 0)", asdict(there or PAGES[where]))
    time.sleep(REST_S)


def _overview(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "")
    timed("overview: to Models", page.get_by_role("link", name="Models").click, words("Compare two versions"))
    timed("overview: and back", page.get_by_role("link", name="Overview").click, words("Last alerts"))


def _alerts(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "alerts")
    page.get_by_text("What moved").wait_for()
    time.sleep(REST_S)
    rows = page.locator(".st-key-window-list button")
    said = rows.nth(3).inner_text().split(" · ")
    other = Sign(".st-key-answers .s-head", (f"{said[2]} at", said[0]))
    timed("alerts: open another", rows.nth(3).click, other)
    timed("alerts: verdict by key", lambda: page.keyboard.press("f"), words("Stored: false alarm, by R9."))
    timed("alerts: undo", page.get_by_role("button", name="Undo").click, words("Withdrawn: false alarm."))
    page.locator(".st-key-alerts-participant").get_by_role("combobox").click()
    only = page.get_by_role("option", name="P07", exact=True)
    timed("alerts: one person's", only.click, Sign(".st-key-window-list button", ("P07",)))


def _rates(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "rates")
    timed("rates: another task", page.get_by_role("radio", name="Focus").click, words("Focus by model version"))
    for by in ("week", "participant"):
        page.get_by_label("Table by").first.click()
        option = page.get_by_role("option", name=by.capitalize(), exact=True)
        timed(f"rates: by {by}", option.click, words(f"Focus by {by}"))
    advice = Sign(".st-key-threshold .s-note")
    timed("rates: advice", page.get_by_role("button", name="Advise").click, advice)


def _review(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "review")
    timed("review: label by key", lambda: page.keyboard.press("1"), words("Stored: calm, by R9."))
    timed("review: undo", page.get_by_role("button", name="Undo").click, words("Withdrawn: calm."))


def _people(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "data-and-people")
    timed("people: to System", page.get_by_role("link", name="System").click, PAGES["system"])
    timed("system: to Audit log", page.get_by_role("link", name="Audit log").click, PAGES["audit-log"])


def _bare(page: Page, url: str, timed: Timed) -> None:
    _settled(page, url, "", BARE_PAGE)
    timed("press", page.get_by_role("button", name="Press").click, words("Pressed."))


@contextmanager
def crowd(visitor: Visitor, url: str) -> Iterator[None]:
    """Other browsers with a page open each."""
    contexts = [visitor() for _ in range(CROWD)]
    for context, where in zip(contexts, cycle(PAGES), strict=False):
        _settled(context.new_page(), url, where)
    yield
    for context in contexts:
        context.close()


def growth(browser: Browser, served: Served, minutes: float) -> dict[str, dict[str, float]]:
    """MiB of each process and page at the end, and what it would grow by in `OPEN_H` hours."""
    pages = {where: served.visitor(browser).new_page() for where in ("", "alerts", "rates", "system")}
    for where, page in pages.items():
        _settled(page, served.url, where)
    heaps = {_name(where): page.context.new_cdp_session(page) for where, page in pages.items()}
    samples: list[dict[str, float]] = []
    began = time.monotonic()
    arrivals = Arrivals(served.sender)
    arrivals.start()
    while (now := time.monotonic() - began) < 60 * minutes:
        sample = {"hours": now / 3_600, "dashboard": _rss(served.dashboard), "trainer": _rss(served.trainer)}
        for name, session in heaps.items():
            session.send("HeapProfiler.collectGarbage")
            used = session.send("Runtime.getHeapUsage")["usedSize"]
            sample[f"heap of {name}"] = used / 2**20
        samples.append(sample)
        next(iter(pages.values())).wait_for_timeout(1000 * SAMPLE_S)
    arrivals.stop()
    late = samples[int(WARM_SHARE * len(samples)) :]
    hours = np.array([sample["hours"] for sample in late])
    return {
        what: {
            "first_mib": round(samples[0][what], 1),
            "last_mib": round(samples[-1][what], 1),
            **_extrapolated(hours, np.array([sample[what] for sample in late])),
        }
        for what in samples[0]
        if what != "hours"
    }


def _extrapolated(hours: NDArray[np.float64], mib: NDArray[np.float64]) -> dict[str, float]:
    """MiB in `OPEN_H` hours by the slope, and twice its standard error."""
    (slope, _), covariance = np.polyfit(hours, mib, 1, cov=True)
    return {"grows_mib": round(slope * OPEN_H, 1), "give_or_take_mib": round(2 * OPEN_H * covariance[0, 0] ** 0.5, 1)}


class Arrivals(threading.Thread):
    """Windows and alerts that come in until `stop`."""

    def __init__(self, sender: Path) -> None:
        super().__init__(name="arrivals", daemon=True)
        self._sender, self._ended = sender, threading.Event()

    def run(self) -> None:
        """Send one after the other."""
        agent = WireAgent(self._sender)
        for record in seeded_study.arriving(time.time()):
            if self._ended.wait(ARRIVAL_S):
                break
            agent.send([record])
        agent.close()

    def stop(self) -> None:
        """Send no more."""
        self._ended.set()
        self.join()


def _rss(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def measure(folder: Path, windows: int, minutes: float) -> dict[str, Any]:
    """Serve, open, click, and leave open."""
    with serving(folder, windows) as served, bare() as peer, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        _at_rest(served.trainer)

        def visitor() -> BrowserContext:
            return served.visitor(browser)

        def asked(url: str, *walks: Callable[[Page, str, Timed], None]) -> Figures:
            context = visitor()
            answered = interactions(context.new_page(), url, walks)
            context.close()
            return answered

        walks = (_overview, _alerts, _rates, _review, _people)
        opened = first_pages(visitor, served.url, PAGES)
        answered = asked(served.url, *walks)
        with crowd(visitor, served.url):
            answered |= {f"{what}, of five": took for what, took in asked(served.url, *walks).items()}
        beside = {**first_pages(visitor, peer, {"": BARE_PAGE}), **asked(peer, _bare)}
        grown = growth(browser, served, minutes) if minutes else {}
        browser.close()

    return {
        "load": os.getloadavg()[0],
        "first_page_s": opened,
        "interaction_s": answered,
        "bare_s": dict(zip(("open", "open again", "press"), beside.values(), strict=True)),
        "growth": grown,
    }


def missed(found: dict[str, Any]) -> list[str]:
    """What is over its limit."""
    return [
        *(what for what, took in found["first_page_s"].items() if took["median"] > FIRST_PAGE_S),
        *(what for what, took in found["interaction_s"].items() if took["median"] > INTERACTION_S),
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
    print(f"median and worst of {REPEATS}; load of the machine {found['load']:.1f}")
    bare = found["bare_s"]
    for kind, limit, peers in (
        ("first_page_s", FIRST_PAGE_S, ("open", "open again")),
        ("interaction_s", INTERACTION_S, ("press", "press")),
    ):
        for what, took in found[kind].items():
            peer = bare[peers[what.endswith("again")]]["median"]
            verdict = "   MISSED" if took["median"] > limit else ""
            seconds = f"{took['median']:6.2f} s, {took['worst']:.2f} s"
            print(f"{what:34} {seconds}   bare page {peer:5.2f} s   limit {limit:.1f} s{verdict}")
    for what, figures in found["growth"].items():
        told = f"{figures['first_mib']:8.1f} to {figures['last_mib']:8.1f} MiB, {figures['grows_mib']:+.1f}"
        verdict = "   MISSED" if figures["grows_mib"] > GROWN_MIB else ""
        print(f"{what:28} {told} ± {figures['give_or_take_mib']:.1f} in {OPEN_H:.0f} h{verdict}")


if __name__ == "__main__":
    sys.exit(main())
