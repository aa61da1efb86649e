from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo import family
from demo.family import Family
from sentry_proto.errors import EnvironmentFault

SLEEPER = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
]  # fmt: skip


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_children_end_with_the_family(tmp_path: Path) -> None:
    with Family(tmp_path) as children:
        children.start("one", SLEEPER)
        children.start("two", SLEEPER)
        pids = [children.pid("one"), children.pid("two")]
        children.check()
        assert all(map(alive, pids))
        assert all(os.getpgid(pid) == pid for pid in pids)
    assert not any(map(alive, pids))


def test_child_that_ignores_the_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "PATIENCE_S", 0.1)
    with Family(tmp_path) as children:
        children.start("stubborn", STUBBORN)
        wait_for(lambda: "ready" in children.last_words("stubborn"))
        pid = children.pid("stubborn")
    assert not alive(pid)


def test_dead_child_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Family(tmp_path) as children:
        children.start("camera", [sys.executable, "-c", "import sys; print('no such camera'); sys.exit(3)"])
        wait_for(lambda: "no such camera" in children.last_words("camera"))
        time.sleep(0.2)
        with pytest.raises(EnvironmentFault, match=r"the camera has ended with code 3[\s\S]*no such camera"):
            children.check()


def test_child_gets_its_environment(tmp_path: Path) -> None:
    with Family(tmp_path) as children:
        command = [sys.executable, "-c", "import os, time; print(os.environ['WORD'], flush=True); time.sleep(60)"]
        children.start("child", command, {"WORD": "puppet"})
        wait_for(lambda: "puppet" in children.last_words("child"))
