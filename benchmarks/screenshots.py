"""Pictures of every page of the dashboard, in light and dark and at three sizes: in Chromium, of a seeded study.

    python -m benchmarks.screenshots --out DIR [--windows 4000] [--study DIR] [--sizes 1280x720] [--looks light]

One PNG a page, size and look, named such as `alerts-1280x720-dark.png`, in the name of an admin who is signed in. DIR
of `--study` keeps the study for the next run; a tall size, such as 1280x2600, shows what is further down. Exit code 1
if a page does not show what belongs there, shows an error or is wider than its screen, with a sentence that says which.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from playwright.sync_api import Error, Page, ViewportSize, sync_playwright

from benchmarks import dashboard_browser
from benchmarks.dashboard_browser import ARGUMENTS, CHROMIUM, Look, Served, serving, words

PAGES = {**dashboard_browser.PAGES, "self-report?participant=P01": words("Answers of", "What is stored")}
"""Address of each page, and what stands on it."""

SIZES = ("1440x900", "1280x720", "390x844")
LOOKS: tuple[Look, ...] = get_args(Look)
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
        faults = list(_take(served, arguments))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--windows", type=int, default=4_000, help="about how many the study holds (%(default)s)")
    parser.add_argument("--study", type=Path, help="folder that keeps the study (a temporary one)")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH", help="of the screen (all three)")
    parser.add_argument("--pages", nargs="+", default=PAGES, choices=PAGES, metavar="ADDRESS", help="(all)")
    parser.add_argument("--looks", nargs="+", default=LOOKS, choices=LOOKS, help="(both)")
    return parser


def _take(served: Served, arguments: argparse.Namespace) -> Iterator[str]:
    """Take all pictures; yields what is wrong with a page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for look in arguments.looks:
            for size in arguments.sizes:
                visitor = served.visitor(browser, _screen(size), look)
                page = visitor.new_page()
                for address in arguments.pages:
                    name = address.partition("?")[0] or "overview"
                    path = arguments.out / f"{name}-{size}-{look}.png"
                    fault = _picture(page, served.url, address, path)
                    if fault:
                        yield f"{path.name}: {fault}"
                visitor.close()
        browser.close()


def _screen(size: str) -> ViewportSize:
    width, height = map(int, size.split("x"))
    return ViewportSize(width=width, height=height)


def _picture(page: Page, url: str, address: str, path: Path) -> str:
    page.goto(f"{url}/{address}")
    fault = ""
    try:
        page.evaluate("(sign) => window.seen(sign, () => 0)", asdict(PAGES[address]))
    except Error as error:
        fault = error.message.splitlines()[0]
    page.locator(FINISHED).wait_for()
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    if page.locator("[data-testid=stException]").count():
        return "it shows an error"
    wide = int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
    return fault or (f"it is {wide} pixels wider than the screen" if wide > 0 else "")


if __name__ == "__main__":
    sys.exit(main())
