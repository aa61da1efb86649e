"""The live preview's page in a real browser: mesh, bars and the reason of an alert are drawn."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from edge_agent.preview import Preview
from edge_agent.preview_server import serving
from edge_agent.state import State
from tests.dashboard.test_browser import CHROMIUM, browser, page
from tests.edge_agent.test_preview import show

__all__ = ["browser", "page"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium at /usr/bin/chromium"),
]

INKED = """() => {
    const canvas = document.getElementById("points"), {width, height} = canvas;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const inked = {face: 0, body: 0, left: width, right: 0, top: height, bottom: 0};
    for (let i = 0; i < pixels.length; i += 4) {
        if (!pixels[i + 3]) continue;
        const x = (i / 4) % width, y = Math.floor(i / 4 / width);
        if (pixels[i + 2] > pixels[i + 1] && pixels[i + 1] > pixels[i]) {
            inked.face += 1;
            inked.left = Math.min(inked.left, x); inked.right = Math.max(inked.right, x);
            inked.top = Math.min(inked.top, y); inked.bottom = Math.max(inked.bottom, y);
        } else if (pixels[i + 1] > pixels[i]) inked.body += 1;
    }
    return {...inked, width, height};
}"""
"""Pixels of the canvas in the blue of the face and in the green of the body, and where the former lie."""


@pytest.fixture
def shown() -> Preview:
    """Of a run whose newest frame shows a face, and whose alert is on."""
    made = Preview(State(participant="P-01", session="s1"), pictures=False)
    show(made)
    return made


@pytest.fixture
def opened(page: Page, shown: Preview) -> Iterator[Page]:
    with serving(shown, 0) as address:
        page.goto(address)
        expect(page.locator("#participant")).to_have_text("P-01")
        yield page


def test_points_bars_and_the_reason_of_an_alert_are_drawn(opened: Page, shown: Preview) -> None:
    inked = opened.evaluate(INKED)
    assert (inked["width"], inked["height"]) == (1280, 960), "twice the picture's size"
    assert inked["face"] > 2000
    assert inked["body"] > 500
    face = shown.snapshot(0.0)["face"]
    across, down = [x for x, _ in face], [y for _, y in face]
    found = [inked[side] / 2 for side in ("left", "right", "top", "bottom")]
    assert found == pytest.approx([min(across), max(across), min(down), max(down)], abs=6), "where the points are"

    alert = opened.locator("#alert")
    expect(alert).to_be_visible()
    expect(alert).to_contain_text("Alert: stressed")
    expect(alert).to_contain_text("stressed was at 60\u00a0% or more for 10\u00a0s; now it is at 100\u00a0%")
    bar = opened.locator("#tasks .event b")
    filled, whole = bar.bounding_box(), bar.locator("..").bounding_box()
    assert filled is not None
    assert whole is not None
    assert filled["width"] == pytest.approx(whole["width"], rel=0.05), "a probability of 1 is a full bar"
    assert filled["height"] > 2
    neutral = opened.locator("#expression > div", has_text="neutral").locator("b").bounding_box()
    angry = opened.locator("#expression > div", has_text="angry").locator("b").bounding_box()
    assert neutral is not None
    assert neutral["width"] > 20
    assert angry is None or angry["width"] < 1
    expect(opened.locator("#posture dt")).to_have_count(6)
    expect(opened.locator("#picture")).to_be_hidden()
    expect(opened.locator("#caption")).to_contain_text("no picture leaves the agent")
    keep(opened, "alert")


def test_a_browser_that_may_show_the_picture_shows_it_beneath_the_points(page: Page) -> None:
    made = Preview(State(participant="P-01", session="s1"), pictures=True)
    show(made)
    with serving(made, 0) as address:
        page.goto(address)
        picture = page.locator("#picture")  # in the same place, so that the points lie on it
        expect(picture).to_be_visible()
        expect(picture).to_have_js_property("naturalWidth", 640)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The address that an agent on the puppet prints for its preview."""
    command = [sys.executable, "-m", "edge_agent.cli", "run", "--source", "puppet", "--preview", "0"]
    with subprocess.Popen([*command, "--data-dir", tmp_path], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield next(re.findall(r"http://\S+", line)[0] for line in process.stderr if "live preview at" in line)
        finally:
            process.terminate()
            process.wait(20)


def test_a_running_agent_draws_the_face_that_it_sees(page: Page, agent: str) -> None:
    page.goto(agent)
    expect(page.locator("#camera")).to_have_text("camera: ok")
    expect(page.locator("#tasks")).to_contain_text("Not calibrated yet")
    inked = page.evaluate(INKED)
    assert inked["face"] > 5000
    assert inked["bottom"] - inked["top"] > inked["right"] - inked["left"] > 100, "as a face is, higher than wide"
    keep(page, "agent")


def keep(page: Page, name: str) -> None:
    """For whoever wants to look, in the folder that SCREENSHOTS names."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_an_agent_that_ends_is_said_to(page: Page, shown: Preview) -> None:
    with serving(shown, 0) as address:
        page.goto(address)
        expect(page.locator("#camera")).to_contain_text("camera:")
    expect(page.locator("#camera")).to_have_text("the agent does not answer")
