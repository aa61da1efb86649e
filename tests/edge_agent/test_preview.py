"""The live preview: what it tells, why an alert is on, and that no picture is shown that may not be."""

from __future__ import annotations

import dataclasses
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from edge_agent.app import ask_permit, previewing
from edge_agent.consent import ConsentBook
from edge_agent.heads import Heads
from edge_agent.preview import Preview, SeenObserver, standing_out
from edge_agent.preview_server import serving
from edge_agent.state import RunOptions, State
from perception.schedule import EVERY_FRAME, Schedule
from sentry_proto.errors import ConsentMissing, InputError, PeerUnreachable
from sentry_proto.layout import MODALITIES, SECOND_FEATURES
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Baseline, FeatureWindow
from tests.edge_agent.bundles import bundle
from tests.perception.stages import stand_in
from tests.perception.test_face_features import make_face
from tests.perception.test_pose import upright
from tests.sentry_proto.records import window
from training.active_learning.selection import Selector

INDEX = {feature.name: index for index, feature in enumerate(SECOND_FEATURES)}


def unusual(changes: dict[str, float], baseline_s: int = 60) -> FeatureWindow:
    """A window that lies this many of the person's own spreads from their own centre."""
    found = window().features
    n = found.values.shape[1]
    values = np.zeros_like(found.values)
    for name, spreads in changes.items():
        values[:, INDEX[name]] = spreads
    coverage = np.ones_like(found.coverage)
    baseline = Baseline(np.zeros(n, np.float32), np.ones(n, np.float32), baseline_s)
    return dataclasses.replace(found, values=values, coverage=coverage, baseline=baseline)


def told(features: FeatureWindow) -> list[tuple[str, float]]:
    return [(entry["name"], entry["spreads"]) for entry in standing_out(features)]


def test_what_is_most_unusual_comes_first_and_once() -> None:
    changes = {
        "shoulder_tilt_mean": -2.5, "blendshape_browDown_mean": 4.0, "blendshape_browDown_spread": 3.9,
        "mouth_opening_mean": 1.9, "brightness_mean": 50.0,
    }  # fmt: skip
    assert told(unusual(changes)) == [("brow down, mean", 4.0), ("shoulder tilt, mean", -2.5)]


def test_nothing_stands_out_without_a_baseline_or_unseen() -> None:
    assert told(unusual({"shoulder_tilt_mean": 9.0}, baseline_s=0)) == []
    features = unusual({"shoulder_tilt_mean": 9.0})
    coverage = features.coverage.copy()
    coverage[:, MODALITIES.index("pose")] = 0
    assert told(dataclasses.replace(features, coverage=coverage)) == []


@pytest.fixture
def preview() -> Preview:
    """Of a run whose newest frame shows a face, and whose alert is on."""
    made = Preview(State(participant="P-01", session="s1"), pictures=False)
    show(made)
    return made


def show(preview: Preview) -> None:
    image = np.full((480, 640, 3), 90, np.uint8)
    result = stand_in(schedule=Schedule(EVERY_FRAME)).process(image, 1_750_000_000.0)
    preview.saw(image, result, make_face().landmarks, upright())
    judge = SeenObserver(preview, Selector(np.random.default_rng(0), 0.0, 0.0))
    heads = Heads(bundle(bias=20.0), DEFAULT_TASKS)
    for t in range(0, 60, 5):
        found = window().features
        judge.window(dataclasses.replace(found, start=float(t), end=t + 30.0), heads, "c")


def test_it_tells_what_is_seen_and_why_an_alert_is_on(preview: Preview) -> None:
    snapshot = json.loads(json.dumps(preview.snapshot(time.monotonic())))
    assert (snapshot["participant"], snapshot["size"]) == ("P-01", [640, 480])
    assert len(snapshot["face"]) == 478
    assert snapshot["body"][0] is not None
    assert snapshot["expression"]["neutral"] == 1.0
    (stress,) = snapshot["tasks"]
    assert stress["alerting"]
    assert stress["rule"] == {"event": "stressed", "probability": 1.0, "threshold": 0.6, "duration_s": 10.0}
    assert [entry["name"] for entry in stress["classes"]] == ["calm", "mildly stressed", "stressed"]


def test_a_preview_without_pictures_keeps_none(preview: Preview) -> None:
    assert preview.jpeg() is None
    shown = Preview(State(), pictures=True)
    show(shown)
    picture = shown.jpeg()
    assert picture is not None
    assert picture.startswith(b"\xff\xd8")


# ---- the page -------------------------------------------------------------------------------------------------------


@pytest.fixture
def address(preview: Preview) -> Iterator[str]:
    with serving(preview, 0) as found:
        yield found


def get(address: str) -> Any:
    return urllib.request.urlopen(address, timeout=5)


@pytest.mark.parametrize("path", ["", "style.css", "preview.js", "icon.svg", "mesh"])
def test_the_page_loads_from_nowhere_else(address: str, path: str) -> None:
    answer = get(address + path)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "https://" not in answer.read().decode()


@pytest.mark.parametrize("path", ["", "style.css", "mesh", "events", "picture"])
def test_another_user_of_the_machine_who_does_not_know_the_token_sees_nothing(path: str) -> None:
    shown = Preview(State(), pictures=True)
    show(shown)
    with serving(shown, 0) as address:
        base, token, _ = address.rsplit("/", 2)
        for guess in ("", f"{token[:-1]}/", "AAAAAAAAAAAAAAAAAAAAAA/", f"{token}A/", "%c3%a9/"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(f"{base}/{guess}{path}")
    with serving(shown, 0) as again:
        assert token not in again, "each start has its own"


def test_events_come_as_json(address: str) -> None:
    with get(address + "events") as answer:
        line = answer.readline().decode()
    assert json.loads(line.removeprefix("data: "))["participant"] == "P-01"


def test_no_picture_is_handed_out_that_may_not_be_shown(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(address + "picture")


def test_pictures_come_where_they_may_be_shown() -> None:
    shown = Preview(State(), pictures=True)
    show(shown)
    with serving(shown, 0) as address, get(address + "picture") as answer:
        assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        assert b"\xff\xd8" in answer.read(200)


def test_a_page_elsewhere_cannot_reach_it_under_another_name(address: str) -> None:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=5)
    connection.request("GET", f"{parts.path}events", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 403
    connection.close()


def test_a_taken_port_is_reported_in_words(preview: Preview, address: str) -> None:
    port = urlsplit(address).port or 0
    with pytest.raises(PeerUnreachable, match=f"port {port}"), serving(preview, port):
        pass


# ---- who decides ----------------------------------------------------------------------------------------------------


def options(folder: Path, **more: Any) -> RunOptions:
    return RunOptions("0", folder, **more)


def test_there_is_no_preview_unless_one_is_wished_for(tmp_path: Path) -> None:
    with previewing(options(tmp_path), State()) as made:
        assert made is None


def test_a_picture_needs_a_preview(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--preview"), previewing(options(tmp_path, preview_picture=True), State()):
        pass


@pytest.mark.parametrize("source", ["0", "recording.mp4"])
def test_a_picture_is_shown_only_under_a_consent_that_covers_it(tmp_path: Path, source: str) -> None:
    book = ConsentBook(tmp_path / "consent.json")
    book.grant("P01", None, time.time())
    wanted = RunOptions(source, tmp_path, preview=0, preview_picture=True)
    with pytest.raises(ConsentMissing, match="does not cover video"):
        ask_permit(wanted, book)
    assert ask_permit(dataclasses.replace(wanted, preview_picture=False), book)
    record = book.grant("P01", None, time.time(), video=True)
    assert ask_permit(wanted, book).consent_id == record.consent_id
