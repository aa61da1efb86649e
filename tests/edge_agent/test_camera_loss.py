"""R4: camera loss heals, with a real reader process that blocks, repeats, fakes success or loses its camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.sources import isolated
from edge_agent.sources.isolated import IsolatedDevice
from perception.chain import Perception
from perception.schedule import Schedule
from sentry_proto.errors import CameraError
from sentry_proto.types import CameraState
from tests.conftest import Reached
from tests.edge_agent.acted_device import OPENER
from tests.edge_agent.room import ActedRoom
from tests.edge_agent.trainer import eventually

REPLUG_S = 12.5
"""Whoever unplugs a camera more often than five times a minute waits for the rest of the minute."""


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
def test_loss_is_shown_within_5_s_and_heals_within_10_s(
    room: ActedRoom, act: str, shown: CameraState, reached: Reached
) -> None:
    begin = time.monotonic()
    room.act(act)
    eventually(room.shows(shown), f"{shown.value} is shown", 10)
    seen = time.monotonic() - begin
    reached(f"{act} is shown after", seen, "5 s")
    assert seen < 5
    time.sleep(3)
    assert room.state.camera in (shown, CameraState.UNPLUGGED), "and not taken back"
    begin = time.monotonic()
    room.act("live")
    eventually(room.shows(CameraState.OK), "the camera is back", 30)
    back = time.monotonic() - begin
    reached(f"back from {act} after", back, "10 s")
    assert back < 10
    eventually(room.stored(shown), "the very state is stored", 5)
    assert room.most_opened_in_a_minute() <= 6, "the first, and five a minute"


@pytest.mark.promise("R4")
@pytest.mark.parametrize(
    "times",
    [pytest.param(3, marks=pytest.mark.slow), pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])],
)
def test_a_camera_may_be_replugged_again_and_again(tmp_path: Path, times: int, reached: Reached) -> None:
    seen, back = 0.0, 0.0
    room = ActedRoom(tmp_path, local=True)
    try:
        eventually(room.shows(CameraState.OK), "the camera is seen", 30)
        threads = threading.active_count()
        for count in range(times):
            begin = time.monotonic()
            eventually(room.shows(CameraState.OK), f"the camera is back from loss {count}", 10)
            back = max(back, time.monotonic() - begin)
            time.sleep(1)
            room.act("lost")
            lost = time.monotonic()
            eventually(room.shows(CameraState.UNPLUGGED), f"loss {count} is shown", 5)
            seen = max(seen, time.monotonic() - lost)
            time.sleep(max(0.0, begin + REPLUG_S - time.monotonic()) if times > 5 else 0)
            room.act("live")
        eventually(room.shows(CameraState.OK), "the camera is back for good", 10)
        reached(f"slowest of {times} losses to be shown", seen, "5 s")
        reached(f"slowest of {times} returns", back, "10 s")
        reached("most openings in a minute", room.most_opened_in_a_minute(), "the first and 5")
        assert len(room.opened()) == times + 1, "each opening succeeds: nothing is tried while it is unplugged"
        assert room.most_opened_in_a_minute() <= 6
        assert room.loop.figures()["camera_states"]["unplugged"] >= 2 * times, "in the report"
        assert threading.active_count() <= threads
    finally:
        room.close()


@pytest.mark.promise("R4")
@pytest.mark.slow
@pytest.mark.parametrize(("act", "shown"), [("live", CameraState.NO_FACE), ("people", CameraState.SEVERAL_FACES)])
def test_nobody_and_several_people_are_shown_and_stored(tmp_path: Path, act: str, shown: CameraState) -> None:
    pytest.importorskip("skimage", reason="needs scikit-image for its public-domain portrait")
    with Perception(schedule=Schedule()) as models:
        room = ActedRoom(tmp_path, "person", models=models)
        try:
            eventually(room.shows(CameraState.OK), "the person is seen", 30)
            for act_now, state in ((act, shown), ("person", CameraState.OK)):
                begin = time.monotonic()
                room.act(act_now)
                eventually(room.shows(state), f"{state.value} is shown", 10)
                assert time.monotonic() - begin < 5
                time.sleep(2)
            eventually(room.stored(shown), "the very state is stored", 5)
            assert len(room.opened()) == 1, "a camera that shows nobody is well"
        finally:
            room.close()


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


def test_a_device_that_no_signal_reaches_while_it_opens_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "act"
    script.write_text("block")
    device = IsolatedDevice(OPENER, str(script))
    kill = device._process.kill
    monkeypatch.setattr(isolated, "OPEN_S", 1.0)
    monkeypatch.setattr(device._process, "kill", lambda: None)  # as one that sleeps in its driver
    begin = time.monotonic()
    with pytest.raises(CameraError, match="gives no picture"):
        device.wait_ready()
    assert time.monotonic() - begin < 4
    kill()
    monkeypatch.undo()
    device.release()
