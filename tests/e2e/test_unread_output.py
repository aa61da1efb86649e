"""Every command ends without a word when whoever reads its output has left, as `head` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perception.session_metadata import SessionMetadata
from perception.session_writer import SessionWriter
from sentry_proto.pipes import UNREAD

pytestmark = pytest.mark.e2e


def make_consents(folder: Path) -> list[str]:
    where = ["--data-dir", str(folder / "agent")]
    run("edge_agent.cli", "consent", "grant", "--participant", "P07", *where)
    return ["edge_agent.cli", "consent", "list", *where]


def make_keys(folder: Path) -> list[str]:
    where = ["--dir", str(folder / "trainer")]
    run("trainer_service.keys_cli", "init", *where)
    return ["trainer_service.keys_cli", "list", *where]


def make_session(folder: Path) -> list[str]:
    SessionWriter(folder, SessionMetadata(session_id="s1", participant="P07")).close()
    return ["training.cli", "sessions", "check", str(folder)]


COMMANDS = {"sentry-agent": make_consents, "sentry-keys": make_keys, "sentry-train": make_session}


def run(module: str, *arguments: str, stdout: int = subprocess.PIPE, unbuffered: bool = False) -> tuple[int, str]:
    """Run a console script; returns its exit status and what it said on standard error."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {"PYTHONUNBUFFERED": "1"} if unbuffered else {}
    start = f"import sys; from {module} import main; sys.exit(main())"
    process = subprocess.run(
        [sys.executable, "-c", start, *arguments],
        stdout=stdout, stderr=subprocess.PIPE, env=environment, text=True, timeout=120, check=False,
    )  # fmt: skip
    return process.returncode, process.stderr


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_leaves_is_no_error(name: str, unbuffered: bool, tmp_path: Path) -> None:
    command = COMMANDS[name](tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(*command, stdout=writer, unbuffered=unbuffered) == (UNREAD, "")
    finally:
        os.close(writer)
