"""R11: a hang restarts. A manager of our own does as systemd does: it restarts what does not feed its watchdog."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.consent import ConsentBook
from sentry_proto.types import CameraState
from tests.conftest import Reached
from tests.e2e.network_camera import NetworkCamera
from tests.edge_agent.trainer import Lab, Trainer, eventually

LIMIT_S = 10.0
AGENT = ("-m", "edge_agent.cli")
PUPPET = ("--source", "puppet", "--fps", "5")


class Manager:
    """Starts an agent and restarts it after `LIMIT_S` without a word."""

    def __init__(self, folder: Path, *what: str, program: tuple[str, ...] = AGENT) -> None:
        self._folder = folder
        self._command = [sys.executable, *program, "run", *what, "--data-dir", str(folder / "data")]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(0.2)
        self.starts = 0
        self.start()

    def start(self) -> None:
        environment = os.environ | {
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "WATCHDOG_USEC": str(int(LIMIT_S * 1e6)),
        }
        environment.pop("WATCHDOG_PID", None)
        with (self._folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(self._command, env=environment, stderr=log)
        self.starts += 1

    def hears(self, word: str, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                if word in self._socket.recv(1000).decode().splitlines():
                    return True
            except TimeoutError:
                continue
        return False

    def restart_if_silent(self) -> bool:
        if self.hears("WATCHDOG=1", LIMIT_S):
            return False
        self.close_agent()
        self.start()
        return True

    def restarts_within(self, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while not self.restart_if_silent():
            if time.monotonic() > deadline:
                return False
        return time.monotonic() < deadline

    def leaves_alone(self, span_s: float) -> bool:
        return not self.restarts_within(span_s)

    def close_agent(self) -> None:
        self.agent.send_signal(signal.SIGCONT)
        self.agent.kill()
        self.agent.wait()

    def close(self) -> None:
        self.close_agent()
        self._socket.close()


Hire = Callable[..., Manager]


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Hire]:
    managers: list[Manager] = []

    def hired(*what: str, program: tuple[str, ...] = AGENT) -> Manager:
        managers.append(Manager(tmp_path, *what, program=program))
        return managers[-1]

    yield hired
    for manager in managers:
        manager.close()


@pytest.mark.promise("R11")
@pytest.mark.e2e
@pytest.mark.slow
def test_an_agent_that_hangs_is_restarted_within_30_s(hire: Hire, reached: Reached) -> None:
    manager = hire(*PUPPET)
    assert manager.hears("READY=1", 60)
    assert manager.hears("WATCHDOG=1", LIMIT_S)
    assert not manager.restart_if_silent(), "a healthy agent is left alone"
    manager.agent.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    assert manager.restarts_within(30)
    reached("started anew after", time.monotonic() - begun, "30 s")
    assert manager.starts == 2
    assert manager.hears("WATCHDOG=1", 60), "and the new one works"


@pytest.mark.promise("R11")
@pytest.mark.e2e
@pytest.mark.slow
def test_an_agent_with_one_stage_in_a_deadlock_is_restarted_within_30_s(hire: Hire, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    manager = hire(*PUPPET, program=("-m", "tests.e2e.deadlocked_agent", str(locked)))
    assert manager.hears("WATCHDOG=1", 60)
    locked.touch()
    eventually(lambda: locked.with_suffix(".reached").exists(), "the stage blocks", LIMIT_S)
    locked.unlink()
    assert manager.agent.poll() is None, "the process lives"
    assert manager.restarts_within(30)
    assert manager.hears("WATCHDOG=1", 60), "and the new one works"


class Room:
    """A lab machine with a trainer that listens, a participant who agreed, and a network camera that comes and goes."""

    def __init__(self, folder: Path) -> None:
        lab = Lab(folder)
        self.camera, self.trainer = NetworkCamera(), Trainer(lab)
        lab.key.save(folder / "agent.key")
        (folder / "data").mkdir(mode=0o700)
        ConsentBook(folder / "data" / "consent.json").grant("P01", None, time.time())
        self.run = ("--source", self.camera.address, "--wait-for-camera", "--key", str(folder / "agent.key"))

    def told(self, *states: CameraState) -> Callable[[], bool]:
        """Whether the newest heartbeat shows one of these."""
        values = [state.value for state in states]
        return lambda: bool(self.trainer.heartbeats) and self.trainer.heartbeats[-1].camera_state in values

    def close(self) -> None:
        self.camera.close()
        self.trainer.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.close()


SEEN = (CameraState.OK, CameraState.NO_FACE, CameraState.DARK)
REOPENED_S = 75.0
"""A network camera is tried five times a minute at most, so that one which comes late may have to wait for its turn."""


@pytest.mark.promise("R4")
@pytest.mark.e2e
@pytest.mark.slow
def test_an_agent_starts_without_its_camera_and_takes_it_when_it_comes(hire: Hire, room: Room) -> None:
    manager = hire(*room.run)
    assert manager.hears("READY=1", 60), "without a camera it is as ready as it can be"
    eventually(room.told(CameraState.UNPLUGGED), "the trainer is told", 10)
    assert manager.leaves_alone(1.5 * LIMIT_S)
    room.camera.plug_in()
    eventually(room.told(*SEEN), "the camera is taken", REOPENED_S)
    assert (manager.starts, manager.agent.poll()) == (1, None)


@pytest.mark.promise("R4")
@pytest.mark.e2e
@pytest.mark.slow
def test_a_loss_that_lasts_longer_than_the_watchdogs_limit_restarts_nothing(hire: Hire, room: Room) -> None:
    room.camera.plug_in()
    manager = hire(*room.run)
    eventually(room.told(*SEEN), "the camera is seen", 60)
    room.camera.unplug()
    eventually(room.told(CameraState.UNPLUGGED), "its loss is told", 15)
    assert manager.leaves_alone(2.5 * LIMIT_S), "a restart brings no camera back"
    assert room.told(CameraState.UNPLUGGED)()
    room.camera.plug_in()
    eventually(room.told(*SEEN), "and taken again", REOPENED_S)
    assert (manager.starts, manager.agent.poll()) == (1, None)


@pytest.mark.e2e
def test_at_a_terminal_a_camera_that_is_not_there_is_an_error_at_once(room: Room, tmp_path: Path) -> None:
    run = [word for word in room.run if word != "--wait-for-camera"]
    command = [sys.executable, *AGENT, "run", *run, "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "cannot be opened: it sends no video" in done.stderr
