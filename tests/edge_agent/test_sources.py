"""Live sources over devices that fail in every way that cameras do, and recordings on their clock."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.capture import DirectCapture, LiveCapture
from edge_agent.sources import Frame, Source, SourceOptions, is_live, open_source
from edge_agent.sources.base import Pacer
from edge_agent.sources.camera import LiveSource, ReopenBudget, answers, opening_patience, without_credentials
from edge_agent.sources.device import Shot
from perception.video import Thinner
from sentry_proto.errors import CameraError, InputError, MediaError
from tests.edge_agent.trainer import eventually

PICTURE = np.zeros((48, 64, 3), np.uint8)


class Device:
    """A camera whose reads a test scripts; `frames` reads succeed, then `then` happens."""

    def __init__(self, frames: int, then: Callable[[], bool] = lambda: False) -> None:
        self.left, self.then, self.released = frames, then, False

    def read(self) -> Shot | None:
        time.sleep(0.002)
        if self.left == 0:
            return (time.time(), None) if self.then() else None
        self.left -= 1
        return time.time(), PICTURE

    def release(self) -> None:
        self.released = True


class Port:
    """Where devices are plugged in, one after the other; None is an empty port."""

    def __init__(self, *devices: Device | None) -> None:
        self._devices = iter(devices)
        self.opened: list[float] = []

    def open(self) -> Device:
        self.opened.append(time.monotonic())
        device = next(self._devices, None)
        if device is None:
            raise CameraError("nothing is plugged in")
        return device


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    stop = threading.Event()
    yield stop
    stop.set()


def live(port: Port, stop: threading.Event, present: Callable[[], bool] = lambda: True) -> LiveSource:
    return LiveSource("camera 0", port.open, "P01", stop, present=present)


def pictures(source: Source) -> Iterator[Frame]:
    return (frame for frame in source.frames() if frame is not None)


def test_a_camera_that_is_not_there_is_an_error_at_once(stop: threading.Event) -> None:
    with pytest.raises(CameraError):
        live(Port(), stop)


def test_a_failed_read_reopens_the_device_in_the_same_session(stop: threading.Event) -> None:
    first, second = Device(3), Device(3)
    port = Port(first, second)
    frames = list(itertools.islice(pictures(live(port, stop)), 6))
    assert [frame.index for frame in frames] == list(range(6))
    assert len({frame.session for frame in frames}) == 1
    assert first.released
    assert len(port.opened) == 2


def test_an_unplugged_camera_is_not_tried_until_it_is_back(stop: threading.Event) -> None:
    plugged = threading.Event()
    port = Port(Device(1), Device(1))
    source = live(port, stop, present=plugged.is_set)
    frames = pictures(source)
    next(frames)
    threading.Timer(0.6, plugged.set).start()
    begin = time.monotonic()
    next(frames)
    assert len(port.opened) == 2
    assert 0.5 < time.monotonic() - begin < 2


def test_a_blocked_read_is_left_behind(stop: threading.Event) -> None:
    released = threading.Event()
    port = Port(Device(2, then=lambda: released.wait(20)), Device(1000))
    capture = LiveCapture(live(port, stop), stop, stall_s=0.5)
    seen = [frame for frame, _ in zip(capture, range(30), strict=False) if frame is not None]
    released.set()
    assert len(port.opened) == 2
    assert len(seen) > 2
    assert all(a.time <= b.time for a, b in itertools.pairwise(seen))


def test_a_long_absence_leaves_one_reader_and_opens_the_device_once(stop: threading.Event) -> None:
    plugged = threading.Event()
    plugged.set()
    port = Port(Device(1), Device(1000))
    capture = LiveCapture(live(port, stop, present=plugged.is_set), stop, stall_s=0.6)
    plugged.clear()
    threads = threading.active_count()
    for _ in zip(capture, range(8), strict=False):
        pass
    assert threading.active_count() <= threads
    plugged.set()
    assert any(frame is not None for frame, _ in zip(capture, range(8), strict=False))
    assert len(port.opened) == 2


def test_a_slow_reader_gets_the_newest_frame_and_loss_is_counted(stop: threading.Event) -> None:
    capture = LiveCapture(live(Port(Device(10_000)), stop), stop)
    taken: list[Frame] = []
    for frame in capture:
        if frame is not None:
            assert time.time() - frame.time < 0.5
            taken.append(frame)
            time.sleep(0.05)
        if len(taken) == 5:
            break
    assert capture.dropped >= 10
    stop.set()
    eventually(lambda: capture.read - capture.dropped in (5, 6), "every frame was taken, dropped or is in the slot")


def test_an_error_of_the_reader_reaches_the_loop(stop: threading.Event) -> None:
    def broken() -> bool:
        raise ZeroDivisionError

    capture = LiveCapture(live(Port(Device(0, then=broken)), stop), stop)
    with pytest.raises(ZeroDivisionError):
        list(capture)


def test_at_most_five_attempts_a_minute() -> None:
    budget, attempts = ReopenBudget(), []
    for tick in range(6000):
        now = tick / 10
        if budget.due(now):
            budget.attempted(now)
            attempts.append(now)
    assert attempts[:3] == [0, 1, 3]
    for begin in attempts:
        assert sum(begin <= t < begin + 60 for t in attempts) <= 5
    assert len(attempts) >= 45, "and it never gives up"


def test_a_camera_that_flaps_is_reopened_five_times_a_minute_too() -> None:
    budget, attempts = ReopenBudget(), []
    for tick in range(1200):
        now = tick / 10
        if budget.due(now):
            budget.attempted(now)
            budget.healed()
            attempts.append(now)
    assert sum(t < 60 for t in attempts) == 5


def test_a_camera_that_is_replugged_50_times_is_back_at_once_each_time() -> None:
    budget, attempts, back_after = ReopenBudget(), [], []
    for replug in range(50):
        plugged = 12.5 * replug
        for tick in range(34):  # it is unplugged again after 8.5 s
            now = plugged + tick / 4
            if budget.due(now):
                budget.attempted(now)
                budget.healed()
                attempts.append(now)
                back_after.append(now - plugged)
                break
    assert len(back_after) == 50
    assert max(back_after) < 1
    assert all(sum(t <= other < t + 60 for other in attempts) <= 5 for t in attempts)


# ---- clocks


@pytest.mark.parametrize("fps", [5, 10, 12, 30, 60])
def test_thinning_keeps_the_wanted_rate(fps: float) -> None:
    thinner = Thinner(fps)
    kept = sum(thinner.passes(index / 30) for index in range(300))
    assert kept == pytest.approx(10 * min(fps, 30), rel=0.02)


def test_thinning_survives_a_clock_that_is_set_back() -> None:
    thinner = Thinner(10)
    assert thinner.passes(1000)
    assert thinner.passes(10)
    assert not thinner.passes(10.05)
    assert thinner.passes(10.1)


def test_a_pacer_holds_the_clock_back_and_says_how_fast_it_ran() -> None:
    pacer = Pacer(10, threading.Event())
    begin = time.monotonic()
    for index in range(11):
        assert pacer.wait(1e9 + index)
    assert time.monotonic() - begin == pytest.approx(1.0, abs=0.15)
    assert pacer.rate == pytest.approx(10, rel=0.2)


def test_a_stopped_run_waits_for_no_frame() -> None:
    stop = threading.Event()
    pacer = Pacer(1, stop)
    pacer.wait(0)
    stop.set()
    assert not pacer.wait(1000)


# ---- recordings


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of noise at 10 frames a second."""
    path = tmp_path_factory.mktemp("recording") / "noise.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    random = np.random.default_rng(0)
    for _ in range(20):
        writer.write(random.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    return path


def frames_of(path: Path, **options: object) -> Iterator[Frame]:
    return pictures(open_source(SourceOptions(str(path), "P01", **{"speed": None, **options})))  # type: ignore[arg-type]


def test_a_recording_loses_nothing_and_begins_on_a_whole_hop(recording: Path) -> None:
    frames = list(frames_of(recording))
    assert len(frames) == 20
    assert frames[0].time % 5 == 0
    assert frames[-1].time - frames[0].time == pytest.approx(1.9)


def test_a_loop_goes_on_in_time_and_session(recording: Path) -> None:
    frames = list(itertools.islice(frames_of(recording, loop=True), 50))
    assert np.diff([frame.time for frame in frames]) == pytest.approx(0.1, abs=1e-5)
    assert len({frame.session for frame in frames}) == 1
    assert [frame.index for frame in frames] == list(range(50))


def test_fewer_frames_of_a_recording(recording: Path) -> None:
    assert len(list(frames_of(recording, fps=5))) == 10


def test_a_picture_that_is_none_is_counted_and_ends_no_run(tmp_path: Path) -> None:
    for number, side in enumerate([20, 1, 20]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((side, side), 9, np.uint8))
    frames = DirectCapture(open_source(SourceOptions(str(tmp_path), "P01", speed=None)))
    indices = [frame.index for frame in frames if frame is not None]
    assert indices == [0, 1]
    assert (frames.read, frames.dropped) == (3, 1)


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_a_broken_recording_is_an_error_before_anything_starts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError):
        frames_of(path)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:secret@10.0.0.1:554/live?token=abc", "rtsp://10.0.0.1:554/live"),
        ("http://10.0.0.1/video", "http://10.0.0.1/video"),
    ],
)
def test_credentials_are_never_shown(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("0", True), ("/dev/video3", True), ("rtsp://host/x", True), ("RTSP://host/X", True), ("puppet", False),
     ("clip.mp4", False), ("/dev/null", False), ("rtmp://host/x", False)],
)  # fmt: skip
def test_a_person_is_before_cameras_and_streams_only(spec: str, expected: bool) -> None:
    assert is_live(spec) is expected


def test_a_link_that_leads_nowhere_is_no_camera_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "desk").symlink_to(tmp_path / "desk")
    assert not is_live(str(tmp_path / "desk"))
    with pytest.raises(MediaError, match="There is no video file"):
        open_source(SourceOptions(str(tmp_path / "desk"), "P01"))


@pytest.mark.parametrize("spec", ["97", "/dev/video97", "a link"])
def test_a_camera_is_named_by_its_number_its_device_or_a_link_to_it(tmp_path: Path, spec: str) -> None:
    if spec == "a link":
        (tmp_path / "desk").symlink_to("/dev/video97")
        spec = str(tmp_path / "desk")
    with pytest.raises(CameraError, match="There is no camera 97"):
        open_source(SourceOptions(spec, "P01"))


def test_an_address_in_capitals_is_a_stream_and_shows_no_password() -> None:
    with pytest.raises(CameraError, match=r"The stream rtsp://127.0.0.1:9/Live cannot be opened"):
        open_source(SourceOptions("RTSP://me:secret@127.0.0.1:9/Live", "P01"))


@pytest.mark.parametrize("spec", ["rtmp://me:secret@10.0.0.1/x", "v4l2://0", "file:///clip.mp4"])
def test_an_address_that_nothing_can_play_is_answered_with_those_that_can(spec: str) -> None:
    with pytest.raises(InputError, match="rtsp://, rtsps://, http://, https://") as raised:
        open_source(SourceOptions(spec, "P01"))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("first_s", "patience_s"), [(0.2, 4), (1.3, 4), (2.0, 6), (3.3, 9.9), (5, 10), (9, 13.5), (15, 22.5)]
)
def test_a_slow_device_gets_time_to_open_again_and_no_eternity(first_s: float, patience_s: float) -> None:
    assert opening_patience(first_s) == pytest.approx(patience_s)


def test_a_server_that_is_back_is_seen_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"rtsp://me:secret@127.0.0.1:{server.getsockname()[1]}/x"
        assert answers(address)
    assert not answers(address)
    assert not answers("rtsp://127.0.0.1:nonsense/x")
