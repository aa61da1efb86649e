"""Latency of `sentry-agent webrtc` over minutes, with real browsers: does delay build up?

    python -m benchmarks.webrtc --minutes 10 --participants 1 [--video FILE] [--json]

Chromium shows the video as its camera. Before a picture goes to the encoder, the page's canvas writes the time of this
machine's clock into its lowest rows as black and white blocks; the agent reads it back when the features of that
picture are known. So the figure `drawn_to_feature` holds everything: encoder, network, decoder, waiting, models. Beside
it stands what the agent believes by its own clock (`captured_to_feature`, see edge_agent.webrtc.clock); the difference
is the path's least delay, which it cannot see. Browser and agent share this machine, so both slow each other down.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agent.puppet.renderer import Puppet
from edge_agent.puppet.script import Playlist
from edge_agent.state import RunOptions
from edge_agent.webrtc.app import SOURCE, ServeOptions, invites, serve
from perception.chain import FrameResult, Image, Perception
from perception.schedule import Schedule
from perception.video import VideoFile

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
)
WIDTH, HEIGHT = 640, 480
BITS, CHECK = 24, 8
"""Milliseconds modulo 2**24 (4.6 hours), then the sum of their three bytes."""

STAMP_SCRIPT = """
const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const video = document.createElement("video");
  video.srcObject = await real(wanted);
  video.muted = true;
  await video.play();
  const canvas = document.createElement("canvas");
  canvas.width = 640; canvas.height = 480;
  const pen = canvas.getContext("2d");
  const draw = () => {
    pen.drawImage(video, 0, 0, 640, 480);
    const ms = Date.now() % 2 ** 24;
    const code = ms * 256 + ((ms >> 16) + (ms >> 8 & 255) + (ms & 255)) % 256;
    for (let i = 0; i < 32; i++) {
      pen.fillStyle = Math.floor(code / 2 ** (31 - i)) % 2 ? "#fff" : "#000";
      pen.fillRect(20 * i, 460, 20, 20);
    }
    video.requestVideoFrameCallback(draw);
  };
  video.requestVideoFrameCallback(draw);
  return canvas.captureStream(30);
};
"""


def read_stamp(image: Image, now: float) -> float | None:
    """The Unix second written into a picture, the latest one before `now`; None where it cannot be read."""
    height, width = image.shape[:2]
    row = image[int(height * 0.98), :, 1]
    bits = row[((np.arange(BITS + CHECK) + 0.5) * width / (BITS + CHECK)).astype(int)] > 127
    code = int("".join("1" if bit else "0" for bit in bits), 2)
    ms, check = code >> CHECK, code & 255
    if sum(ms.to_bytes(3, "big")) % 256 != check:
        return None
    age_ms = (int(1000 * now) - ms) % 2**BITS
    return float(now - age_ms / 1000)


class Ages:
    """Ages of features in milliseconds, by the minute since the first."""

    def __init__(self) -> None:
        self.begin: float | None = None
        self.unread = 0
        self.drawn: defaultdict[int, list[float]] = defaultdict(list)
        self.captured: defaultdict[int, list[float]] = defaultdict(list)

    def add(self, image: Image, t: float, now: float) -> None:
        """Features of `image`, captured at `t` by the agent's belief, are known at `now`."""
        self.begin = self.begin or now
        minute = int((now - self.begin) // 60)
        self.captured[minute].append(1000 * (now - t))
        drawn = read_stamp(image, now)
        if drawn is None:
            self.unread += 1
        else:
            self.drawn[minute].append(1000 * (now - drawn))

    def figures(self) -> dict[str, Any]:
        """Median and 95th percentile overall and by the minute."""
        return {
            "drawn_to_feature": summary(self.drawn),
            "captured_to_feature": summary(self.captured),
            "unread_stamps": self.unread,
        }


def summary(minutes: dict[int, list[float]]) -> dict[str, Any]:
    """Of ages by the minute."""
    every = np.concatenate([np.array(ages) for ages in minutes.values()]) if minutes else np.full(1, np.nan)
    return {
        "median_ms": round(float(np.median(every)), 1),
        "p95_ms": round(float(np.percentile(every, 95)), 1),
        "most_ms": round(float(every.max()), 1),
        "frames": sum(map(len, minutes.values())),
        "median_ms_by_minute": [round(float(np.median(ages)), 1) for _, ages in sorted(minutes.items())],
    }


class TimedPerception(Perception):
    """Notes how old each frame's features are."""

    def __init__(self, schedule: Schedule, ages: Ages) -> None:
        super().__init__(schedule=schedule)
        self._ages = ages

    def process(self, image: Image, t: float) -> FrameResult:
        """Look, and note the age."""
        result = super().process(image, t)
        self._ages.add(image, t, time.time())
        return result


def puppet_pictures(seconds: float, fps: float = 30.0) -> Iterable[Image]:
    """The acted puppet, for machines without a recording."""
    puppet, playlist = Puppet(), Playlist()
    for index in range(int(seconds * fps)):
        person, _, session_t = playlist.at(index / fps)
        yield puppet.render(person, session_t)


def write_camera(path: Path, pictures: Iterable[Image]) -> None:
    """A file that Chromium shows as its camera, again and again, at 30 pictures a second."""
    with path.open("wb") as file:
        for picture in pictures:
            scale = max(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
            fitted = cv2.resize(picture, None, fx=scale, fy=scale)
            x, y = (fitted.shape[1] - WIDTH) // 2, (fitted.shape[0] - HEIGHT) // 2
            file.write(cv2.imencode(".jpg", fitted[y : y + HEIGHT, x : x + WIDTH])[1].tobytes())


def measure(minutes: float, participants: int, video: Path | None, folder: Path, port: int) -> dict[str, Any]:
    """Serve, send participants in, wait, and report."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the rest of this module serves tests without it

    camera = folder / "camera.mjpeg"
    pictures = (image for image, _ in VideoFile(video)) if video else puppet_pictures(6)
    write_camera(camera, islice(pictures, 900))
    ages: list[Ages] = []

    def perception(schedule: Schedule) -> Perception:
        ages.append(Ages())
        return TimedPerception(schedule, ages[-1])

    stop, reports = threading.Event(), []
    options = ServeOptions(RunOptions(SOURCE, folder), port=port, most=participants)
    server = threading.Thread(target=lambda: reports.append(serve(options, stop, perception)))
    server.start()
    try:
        with sync_playwright() as playwright:
            flags = [*FLAGS, "--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            for number in range(participants):
                page = browser.new_page()
                page.add_init_script(STAMP_SCRIPT)
                token = invites(folder).issue(f"P-{number + 1:02d}", time.time(), 600)
                page.goto(f"http://127.0.0.1:{port}/#{token}")
                page.check("#agreed", timeout=60_000)
                page.click("button[type=submit]")
            page.wait_for_selector("#sign[data-tone=recording]", timeout=60_000)
            page.wait_for_timeout(60_000 * minutes)
            browser.close()
    finally:
        stop.set()
        server.join()
    kept = ("received", "replaced", "frames_scored", "load_level", "cpu_ms_per_frame")
    visits = [{name: visit.get(name) for name in kept} for visit in reports[0]["visits"]]
    return {
        "minutes": minutes,
        "participants": [{**figures.figures(), **visit} for figures, visit in zip(ages, visits, strict=True)],
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--participants", type=int, default=1)
    parser.add_argument("--video", type=Path, help="what the camera shows (default: the puppet)")
    parser.add_argument("--port", type=int, default=8491)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.minutes, options.participants, options.video, Path(folder), options.port)
    if options.json:
        print(json.dumps(found))
        return
    for number, person in enumerate(found["participants"], 1):
        for name in ("drawn_to_feature", "captured_to_feature"):
            ages = person[name]
            print(
                f"participant {number}, {name}: median {ages['median_ms']} ms, p95 {ages['p95_ms']} ms, most "
                f"{ages['most_ms']} ms, by minute {ages['median_ms_by_minute']}"
            )


if __name__ == "__main__":
    main()
