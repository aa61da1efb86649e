"""A lab machine installs `.[edge]` and nothing else: no torch, and the agent runs."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import cv2
import pytest

from edge_agent.puppet.renderer import Puppet
from edge_agent.puppet.script import Playlist
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.packaging

NOT_ON_THE_EDGE = ("torch", "river", "streamlit", "sqlalchemy", "pandas", "onnx", "skimage", "ray")


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a fresh environment with the edge extra from a built wheel."""
    folder = tmp_path_factory.mktemp("edge")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(REPOSITORY / "constraints.txt")]
    done = subprocess.run([*install, f"{REPOSITORY}[edge]"], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return python.parent


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds of the puppet at 5 frames a second, as a file."""
    path = tmp_path_factory.mktemp("clip") / "puppet.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (640, 480))
    puppet, playlist = Puppet(), Playlist()
    for index in range(200):
        person, _, session_t = playlist.at(index / 5)
        writer.write(puppet.render(person, session_t))
    writer.release()
    return path


def in_edge(edge: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in the fresh environment, away from the sources."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(edge / arguments[0]), *arguments[1:]],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=edge,
        env=environment,
        check=False,
    )


def test_what_the_edge_does_not_need_is_not_there(edge: Path) -> None:
    looked = f"import importlib.util as u; print([m for m in {NOT_ON_THE_EDGE!r} if u.find_spec(m)])"
    assert in_edge(edge, "python", "-c", looked).stdout.strip() == "[]"


def test_pip_finds_the_environment_consistent(edge: Path) -> None:
    assert in_edge(edge, "python", "-m", "pip", "check").returncode == 0


def test_the_agent_runs_a_recording(edge: Path, clip: Path) -> None:
    done = in_edge(edge, "sentry-agent", "run", "--source", str(clip), "--speed", "max", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert 39 <= report["seconds"] <= 41
    assert report["face_seconds"] >= 38
    assert report["windows"] == 3


def test_the_puppet_names_the_extra_that_it_misses(edge: Path) -> None:
    done = in_edge(edge, "sentry-agent", "run", "--source", "puppet", "--duration", "2")
    assert done.returncode != 0
    assert "demo" in done.stderr
    assert "Traceback" not in done.stderr
