"""R4: camera loss heals, with a real reader process that blocks, repeats, fakes success or loses its camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.sources.isolated import IsolatedDevice
from sentry_proto.errors import CameraError
from sentry_proto.types import CameraState
from tests.edge_agent.acted_device import OPENER
from tests.edge_agent.room import ActedRoom
from tests.edge_agent.trainer import eventually


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ActedRoom]:
    room = ActedRoom(tmp_path)
    eventually(room.shows(CameraState.OK), "the acted camera is seen", 30)
    yield room
    room.close()


@pytest.mark.promise("R4")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "shown"),
    [
        ("block", CameraState.UNPLUGGED),
        ("lost", CameraState.UNPLUGGED),
        ("nothing", CameraState.UNPLUGGED),
        ("tiny", CameraState.UNPLUGGED),
        ("repeat", CameraState.FROZEN),
        ("fake", CameraState.FROZEN),
        ("dark", CameraState.DARK),
    ],
)
def test_loss_is_shown_within_5_s_and_heals_within_10_s(room: ActedRoom, act: str, shown: CameraState) -> None:
    begin = time.monotonic()
    room.act(act)
    eventually(room.shows(shown), f"{shown.value} is shown", 10)
    assert time.monotonic() - begin < 5
    time.sleep(3)
    assert room.state.camera in (shown, CameraState.UNPLUGGED), "and not taken back"
    begin = time.monotonic()
    room.act("live")
    eventually(room.shows(CameraState.OK), "the camera is back", 30)
    assert time.monotonic() - begin < 10
    eventually(lambda: len({s.camera_state for s in room.keeper.kept} & {shown, CameraState.UNPLUGGED}), "stored", 5)
    times = room.opened()
    assert all(sum(t <= other < t + 60 for other in times) <= 6 for t in times), "the first, and five a minute"


@pytest.mark.slow
@pytest.mark.parametrize("act", ["grey", "alpha"])
def test_a_camera_may_change_to_grey_or_alpha(room: ActedRoom, act: str) -> None:
    room.act(act)
    frames = room.state.frames
    eventually(lambda: room.state.frames > frames + 20, "frames go on", 10)
    assert room.state.camera is CameraState.OK
    assert len(room.opened()) == 1


def test_a_camera_that_cannot_be_opened_is_an_error_in_words(tmp_path: Path) -> None:
    script = tmp_path / "act"
    script.write_text("lost")
    with pytest.raises(CameraError, match="There is no camera"):
        IsolatedDevice(OPENER, str(script)).wait_ready()


def test_a_reader_that_hangs_can_be_killed_from_another_thread(tmp_path: Path) -> None:
    script = tmp_path / "act"
    script.write_text("live")
    device = IsolatedDevice(OPENER, str(script))
    device.wait_ready()
    assert device.read() is not None
    script.write_text("block")
    threading.Timer(0.5, device.release).start()
    begin = time.monotonic()
    while device.read() is not None:
        pass
    assert time.monotonic() - begin < 3


def test_a_reader_that_no_signal_reaches_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "act"
    script.write_text("live")
    device = IsolatedDevice(OPENER, str(script))
    device.wait_ready()
    script.write_text("block")
    reading = threading.Thread(target=lambda: [*iter(device.read, None)], daemon=True)
    reading.start()
    kill = device._process.kill
    monkeypatch.setattr(device._process, "kill", lambda: None)  # as one that sleeps in its driver
    begin = time.monotonic()
    device.release()
    assert time.monotonic() - begin < 3
    kill()
    reading.join(5)
    assert not reading.is_alive()
    device.release()
