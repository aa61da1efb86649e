"""Pictures of every page of the dashboard, in light and dark and at three sizes: in Chromium, of a seeded study.

    python -m benchmarks.screenshots --out DIR [--windows 4000] [--study DIR] [--sizes 1280x720] [--looks light]

One PNG a page, size and look, named such as `alerts-1280x720-dark.png`. DIR of `--study` keeps the study for the next
run. Exit code 1 if a page shows an error or is wider than its screen, with a sentence that says which.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from benchmarks.dashboard_browser import ARGUMENTS, CHROMIUM, PATIENCE_S, Served, serving

PAGES = {
    "overview": "", "alerts": "alerts?rater=R9", "review": "review?rater=R9", "rates": "rates", "models": "models",
    "data-and-people": "data-and-people", "audit-log": "audit-log", "system": "system",
    "self-report": "self-report?participant=P01",
}  # fmt: skip
"""Name of a picture -> address of the page."""

SIZES = ("1440x900", "1280x720", "390x844")
LOOKS = ("light", "dark")
DRAWN = ".s-panel, .s-head, .s-title"
FINISHED = ".stApp[data-test-script-state=notRunning]"
SETTLE_MS = 1_500
"""Charts are drawn after the page stands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Take the pictures."""
    arguments = _parser().parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        serving(arguments.study or Path(temporary), arguments.windows) as served,
    ):
        faults = list(_take(served, arguments.out, arguments.sizes, arguments.looks))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--windows", type=int, default=4_000, help="about how many the study holds (%(default)s)")
    parser.add_argument("--study", type=Path, help="folder that keeps the study (a temporary one)")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH", help="of the screen (all three)")
    parser.add_argument("--looks", nargs="+", default=LOOKS, choices=LOOKS, help="(both)")
    return parser


def _take(served: Served, out: Path, sizes: Sequence[str], looks: Sequence[str]) -> Iterator[str]:
    """Take all pictures; yields what is wrong with a page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for look in looks:
            for size in sizes:
                page = _opened(browser, size, look)
                for name, address in PAGES.items():
                    path = out / f"{name}-{size}-{look}.png"
                    fault = _picture(page, f"{served.url}/{address}", path)
                    if fault:
                        yield f"{path.name}: {fault}"
                page.close()
        browser.close()


def _opened(browser: Browser, size: str, look: str) -> Page:
    width, height = map(int, size.split("x"))
    screen = ViewportSize(width=width, height=height)
    page = browser.new_page(viewport=screen, color_scheme="dark" if look == "dark" else "light")
    page.set_default_timeout(1_000 * PATIENCE_S)
    return page


def _picture(page: Page, url: str, path: Path) -> str:
    page.goto(url)
    page.locator(DRAWN).first.wait_for()
    page.locator(FINISHED).wait_for()
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    if page.locator("[data-testid=stException]").count():
        return "it shows an error"
    wide = int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
    return f"it is {wide} pixels wider than the screen" if wide > 0 else ""


if __name__ == "__main__":
    sys.exit(main())
