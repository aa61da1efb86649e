"""The demo's study: a folder with the keys of a trainer, one agent and a dashboard, and the commands that run them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sentry_proto.errors import EnvironmentFault

AGENT = "demo-agent"


@dataclass(frozen=True)
class Study:
    """Where everything of the demo lies.

    Attributes:
        folder: holds all of it; deleting it deletes the study.
        trainer_port: the first of the trainer's three.
        dashboard_port: of the page.
    """

    folder: Path
    trainer_port: int
    dashboard_port: int

    @property
    def trainer_dir(self) -> Path:
        """The trainer's folder."""
        return self.folder / "trainer"

    @property
    def control_key(self) -> Path:
        """The key of the dashboard and the labeller."""
        return self.trainer_dir / "control.key"

    @property
    def agent_dir(self) -> Path:
        """The agent's folder."""
        return self.folder / "agent"

    @property
    def agent_key(self) -> Path:
        """The agent's key file."""
        return self.folder / f"{AGENT}.key"

    @property
    def url(self) -> str:
        """Of the dashboard's first page."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    def prepare(self) -> None:
        """Make the keys, as a lab would with `sentry-keys`; a folder that has them keeps them."""
        if self.control_key.exists():
            return
        home = ["--dir", str(self.trainer_dir)]
        run_module("trainer_service.keys_cli", "init", *home, "--host", "127.0.0.1", "--port", str(self.trainer_port))
        run_module("trainer_service.keys_cli", "enroll", AGENT, *home, "--out", str(self.agent_key))

    def trainer(self, options: Sequence[str] = ()) -> list[str]:
        """The trainer's command."""
        return module("trainer_service.cli", "serve", "--dir", str(self.trainer_dir), *options)

    def agent(self, source: str, options: Sequence[str] = ()) -> list[str]:
        """The agent's command."""
        files = ["--key", str(self.agent_key), "--data-dir", str(self.agent_dir)]
        return module("edge_agent.cli", "run", "--source", source, *files, *options)

    def dashboard(self, options: Sequence[str] = ()) -> list[str]:
        """The dashboard's command."""
        where = ["--key", str(self.control_key), "--port", str(self.dashboard_port)]
        return module("dashboard.cli", *where, "--no-sign-in", *options)


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of this environment, whether or not its scripts are on the path."""
    return [sys.executable, "-m", name, *arguments]


def run_module(name: str, *arguments: str) -> None:
    """Run a module to its end.

    Raises:
        EnvironmentFault: with what it complained of.
    """
    done = subprocess.run(module(name, *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFault(done.stderr.strip() or f"{name} ended with code {done.returncode}")


def free_ports(number: int, first: int, last: int = 65_000) -> int:
    """The first of `number` consecutive ports on this machine that nobody listens on.

    Raises:
        EnvironmentFault: if there are none.
    """
    for start in range(first, last):
        if all(_is_free(port) for port in range(start, start + number)):
            return start
    raise EnvironmentFault(f"no {number} free ports from {first} on")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
