from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentry_proto.watchdog import Watchdog


class Manager:
    """What systemd hears."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        lines = []
        while True:
            try:
                lines += self._socket.recv(1000).decode().splitlines()
            except BlockingIOError:
                return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_a_frame_makes_ready_and_feeds_and_nothing_else_does(manager: Manager) -> None:
    watchdog = Watchdog(manager.address, 20.0)
    assert manager.heard() == []
    watchdog.passed(100.0)
    assert manager.heard() == ["READY=1", "STATUS=working", "WATCHDOG=1"]
    watchdog.passed(101.0)
    assert manager.heard() == [], "four times in the limit is enough"
    watchdog.passed(105.0)
    assert manager.heard() == ["WATCHDOG=1"]
    watchdog.close()
    assert manager.heard() == ["STOPPING=1"]


def test_a_camera_that_is_known_to_be_gone_feeds_too_and_says_so(manager: Manager) -> None:
    watchdog = Watchdog(manager.address, 20.0)
    watchdog.waits(100.0)
    assert manager.heard() == ["READY=1", "STATUS=waiting for the camera", "WATCHDOG=1"]
    watchdog.waits(101.0)
    assert manager.heard() == []
    watchdog.passed(102.0)
    assert manager.heard() == ["STATUS=working"]
    watchdog.passed(105.0)
    assert manager.heard() == ["WATCHDOG=1"]
    watchdog.close()


def test_the_environment_names_the_manager(manager: Manager) -> None:
    pid = os.getpid()
    named = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(pid)}
    for environment, expected in (
        (named, ["READY=1", "STATUS=working", "WATCHDOG=1"]),
        (named | {"WATCHDOG_PID": "1"}, ["READY=1", "STATUS=working"]),
        ({"NOTIFY_SOCKET": manager.address}, ["READY=1", "STATUS=working"]),
        ({}, []),
    ):
        watchdog = Watchdog.of(environment, pid)
        watchdog.passed(0.0)
        assert manager.heard() == expected
        watchdog.close()
        manager.heard()


def test_a_manager_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    watchdog = Watchdog(str(tmp_path / "nobody"), 10.0)
    watchdog.passed(0.0)
    watchdog.close()


@pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX") or os.uname().sysname != "Linux", reason="abstract names are Linux's"
)
def test_an_abstract_address(tmp_path: Path) -> None:
    name = f"sentry-{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind("\0" + name)
    watchdog = Watchdog("@" + name, None)
    watchdog.passed(0.0)
    assert listener.recv(100).startswith(b"READY=1")
    watchdog.close()
    listener.close()
