"""R11: a hang restarts. A manager of our own does as systemd does: it restarts what does not feed its watchdog."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT_S = 10.0


class Manager:
    """Starts an agent on the puppet and restarts it after `LIMIT_S` without a word."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(0.2)
        self.starts = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "edge_agent.cli", "run", "--source", "puppet", "--fps", "5"]
        environment = os.environ | {
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "WATCHDOG_USEC": str(int(LIMIT_S * 1e6)),
        }
        environment.pop("WATCHDOG_PID", None)
        self.agent = subprocess.Popen(
            [*command, "--data-dir", str(self._folder / "data")], env=environment, stderr=subprocess.DEVNULL
        )
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

    def close_agent(self) -> None:
        self.agent.send_signal(signal.SIGCONT)
        self.agent.kill()
        self.agent.wait()

    def close(self) -> None:
        self.close_agent()
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


@pytest.mark.promise("R11")
@pytest.mark.e2e
@pytest.mark.slow
def test_an_agent_that_hangs_is_restarted_within_30_s(manager: Manager) -> None:
    assert manager.hears("READY=1", 60)
    assert manager.hears("WATCHDOG=1", LIMIT_S)
    assert not manager.restart_if_silent(), "a healthy agent is left alone"
    manager.agent.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    while not manager.restart_if_silent():
        assert time.monotonic() - begin < 30
    assert time.monotonic() - begin < 30
    assert manager.starts == 2
    assert manager.hears("WATCHDOG=1", 60), "and the new one works"
