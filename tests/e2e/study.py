"""A small study in a folder: keys, one trainer and any number of agents, all real processes."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable
from sentry_proto.keys import CONTROL, KeyFile

T = TypeVar("T")
BIN = Path(sys.executable).parent
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.cycle(range(15_000 + 1_500 * _WORKER, 16_500 + 1_500 * _WORKER, 3))
"""Below those that the system gives to whoever connects, so that a port that is free now stays free."""


def command(name: str, *arguments: object) -> list[str]:
    """A console script of the environment that runs the tests."""
    return [str(BIN / name), *(str(argument) for argument in arguments)]


def run(name: str, *arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; the caller looks at the return code."""
    return subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=timeout_s, check=False)


def eventually(look: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Poll until `look` returns something true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except PeerUnreachable:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s:g} s: {what}")


def free_port(count: int = 3) -> int:
    """The first of up to three consecutive free ports, which no other test process of this run is given."""
    for first in itertools.islice(_PORTS, 500):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no three consecutive ports are free")


class Study:
    """Keys in `folder/trainer`, one data folder per agent; everything ends with `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trainer_dir = folder / "trainer"
        self.processes: list[subprocess.Popen[str]] = []
        done = self.run("sentry-keys", "init", "--dir", self.trainer_dir, "--host", "127.0.0.1", "--port", free_port())
        assert done.returncode == 0, done.stderr
        self.control = ControlClient(KeyFile.load(self.trainer_dir / "control.key", CONTROL), timeout_s=10)

    def command(self, name: str, *arguments: object) -> list[str]:
        """How a console script is started."""
        return command(name, *arguments)

    def run(self, name: str, *arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; the caller looks at the return code."""
        how = self.command(name, *arguments)
        return subprocess.run(how, capture_output=True, text=True, timeout=timeout_s, check=False)

    def start(self, name: str, *arguments: object, log: str) -> subprocess.Popen[str]:
        """Start a command; its standard error goes to `folder/log`."""
        with (self.folder / log).open("a") as errors:
            process = subprocess.Popen(self.command(name, *arguments), stdout=subprocess.PIPE, stderr=errors, text=True)
        self.processes.append(process)
        return process

    def start_trainer(self, *arguments: object) -> subprocess.Popen[str]:
        """Start the trainer and wait until it answers."""
        process = self.start("sentry-trainer", "serve", "--dir", self.trainer_dir, *arguments, log="trainer.log")
        eventually(self.status, 90, "the trainer answers")
        return process

    def enroll(self, name: str) -> Path:
        """Enrol an agent; returns its key file."""
        path = self.folder / f"{name}.sentrykey"
        done = self.run("sentry-keys", "enroll", name, "--dir", self.trainer_dir, "--out", path)
        assert done.returncode == 0, done.stderr
        return path

    def consent(self, name: str, participant: str, *extras: str) -> None:
        """Record a participant's consent on an agent's machine."""
        who = ("--participant", participant, "--data-dir", self.data_dir(name))
        done = self.run("sentry-agent", "consent", "grant", *who, *extras)
        assert done.returncode == 0, done.stderr

    def data_dir(self, name: str) -> Path:
        """Where an agent keeps its spool and its bundle."""
        return self.folder / name

    def start_agent(self, name: str, key: Path, source: object, *arguments: object) -> subprocess.Popen[str]:
        """Start an agent on a source."""
        where = ("--key", key, "--data-dir", self.data_dir(name))
        return self.start("sentry-agent", "run", "--source", source, *where, *arguments, log=f"{name}.log")

    def status(self) -> Any:
        """The trainer's own status."""
        return self.control.call("status")

    def teach(self, truth: Iterable[tuple[str, str]]) -> None:
        """Label windows for stress: pairs of a window's id and its state."""
        for window_id, state in truth:
            about = {"window_id": window_id, "task": "stress", "value": state, "source": "import", "rater": "ann"}
            self.control.call("label", label_id=uuid.uuid4().hex, **about)

    def agent(self, name: str) -> Any:
        """What the trainer knows of one agent; one whose key it has not read yet is not alive."""
        unheard = {"alive": False}
        return next((agent for agent in self.control.call("agents") if agent["name"] == name), unheard)

    def stop(self, process: subprocess.Popen[str], timeout_s: float = 20) -> str:
        """End a process politely and return what it printed."""
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=timeout_s)
        return output

    def close(self) -> None:
        """End whatever still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.control.close()
