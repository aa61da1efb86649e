"""docker/compose.yaml as far as it can be shown without an engine: who gets which key, and what a kill leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentry_proto.keys import AGENT, CONTROL, AllowList, KeyFile
from tests.conftest import REPOSITORY
from tests.e2e.study import BIN, run
from trainer_service import keyring
from trainer_service.keyring import Home

DOCKER = REPOSITORY / "docker"
SERVICES: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
RUNNING = {"trainer", "dashboard", "agent"}


def volumes(service: str) -> dict[str, tuple[str, ...]]:
    """Where each named volume is mounted in a service, with its options."""
    parts = [text.split(":") for text in SERVICES[service]["volumes"] if text[0] not in "./$"]
    return {name: (path, *options) for name, path, *options in parts}


def test_no_service_sees_the_keys_or_the_data_of_another() -> None:
    assert set(SERVICES) == RUNNING | {"keys"}
    mounted = {service: set(volumes(service)) for service in RUNNING}
    assert mounted == {"trainer": {"trainer"}, "dashboard": {"dashboard-key"}, "agent": {"agent", "agent-key"}}
    assert volumes("dashboard")["dashboard-key"] == ("/key", "ro")
    assert volumes("agent")["agent-key"] == ("/key", "ro")
    assert "offline" in volumes("keys")


def test_every_service_is_bounded() -> None:
    for name, service in SERVICES.items():
        assert service["mem_limit"], name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
    assert SERVICES["keys"]["network_mode"] == "none"


def test_a_withdrawn_consent_stays_withdrawn_when_the_agent_restarts(tmp_path: Path) -> None:
    """What the agent's container runs, with its folder put elsewhere and an agent that only says that it ran."""
    script = SERVICES["agent"]["command"][0].replace("/var/lib/sentry", str(tmp_path)).replace("exec ", "echo ")

    def restart() -> None:
        subprocess.run(["sh", "-euc", script], env=typed(), capture_output=True, timeout=60, check=True)

    def agent(*arguments: str) -> str:
        done = run("sentry-agent", "consent", *arguments, "--data-dir", tmp_path / "agent")
        assert done.returncode == 0, done.stderr
        return done.stdout

    restart()
    assert "live" in agent("list")
    agent("withdraw", "--participant", "P01")
    restart()
    assert "live" not in agent("list")
    assert len(agent("list").splitlines()) == 1


def typed(**more: str) -> dict[str, str]:
    """An environment in which our commands are found."""
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **more}


# ---- keys.sh, killed ------------------------------------------------------------------------------------------------

STEPS = ("sentry-keys", "mv", "rm", "cp", "sync", "grep")
SHIM = """#!/bin/sh
point() {
    number=$(($(cat "$POINTS") + 1))
    echo $number > "$POINTS"
    [ $number != "$KILL" ] || kill -9 $PPID $$
}
point
WHAT
"""
KEYS = """import os, signal, sys
from pathlib import Path
points, fsync = Path(os.environ["POINTS"]), os.fsync

def fsync_or_die(handle):
    number = int(points.read_text()) + 1
    points.write_text(str(number))
    if str(number) == os.environ["KILL"]:
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)

os.fsync = fsync_or_die
from trainer_service.keys_cli import main
sys.exit(main())
"""
"""Every step of the script, and everything that `sentry-keys` forces to the disk, is a point at which it may die."""


@pytest.fixture
def shims(tmp_path: Path) -> Path:
    """Stand-ins that count and die; each runs what it stands for."""
    folder = tmp_path / "shims"
    folder.mkdir()
    for name in STEPS:
        own = f"exec {sys.executable} {folder}/keys.py" if name == "sentry-keys" else f"exec {shutil.which(name)}"
        (folder / name).write_text(SHIM.replace("WHAT", f'{own} "$@"'))
        (folder / name).chmod(0o755)
    (folder / "keys.py").write_text(KEYS)
    return folder


def run_keys(folder: Path, shims: Path, kill: int) -> subprocess.CompletedProcess[str]:
    """The script, which dies at that point; 0 for never."""
    for name in ("offline", "handed/dashboard", "handed/demo"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "points").write_text("0")
    places = {"SENTRY_DIR": folder / "trainer", "OFFLINE": folder / "offline", "HANDED": folder / "handed"}
    environment = typed(KILL=str(kill), POINTS=str(folder / "points"), **{k: str(v) for k, v in places.items()})
    environment["PATH"] = f"{shims}:{environment['PATH']}"
    return subprocess.run(
        ["sh", DOCKER / "keys.sh"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def check_keys(folder: Path) -> None:
    """All that the services need is there, enrolled, and apart from one another."""
    home = Home(folder / "trainer")
    allowed, server = AllowList(home.enrolled), keyring.load_server_key(home)
    for name, role in (("dashboard", CONTROL), ("demo", AGENT)):
        key = KeyFile.load(folder / "handed" / name / "sentry.key", role)
        assert (allowed.name_of(key.public, role), key.server) == (name, server.public)
        assert [path.name for path in (folder / "handed" / name).iterdir()] == ["sentry.key"]
    keyring.load_control_key(home)
    keyring.load_online_signers(home)
    assert not home.offline.exists()
    assert {path.name for path in (folder / "offline").iterdir()} == {"root.pem", "targets.pem"}
    assert [path.name for path in folder.glob("trainer*")] == ["trainer"]


@pytest.mark.slow
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.soak)])
def test_the_keys_are_whole_wherever_their_making_was_killed(tmp_path: Path, shims: Path, every: int) -> None:
    whole = tmp_path / "whole"
    assert run_keys(whole, shims, 0).returncode == 0
    check_keys(whole)
    count = int((whole / "points").read_text())
    before = {path: path.read_bytes() for path in whole.rglob("*.*") if path.is_file()}
    assert run_keys(whole, shims, 0).returncode == 0
    assert {path: path.read_bytes() for path in before} == before, "a second start changes nothing"
    for point in range(every, count + 1, every):
        folder = tmp_path / str(point)
        assert run_keys(folder, shims, point).returncode == -signal.SIGKILL
        again = run_keys(folder, shims, 0)
        assert again.returncode == 0, f"killed at {point} of {count}: {again.stderr}"
        check_keys(folder)
        shutil.rmtree(folder)
