"""What `make soak` and `make fuzz` run, with commands that only write down how they were called."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.fuzz.targets import RUNS, SLOW_RUNS, TARGETS

STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
*tests.fuzz.targets*) printf '%s\\n' {targets} ;;
*"{fails}"*) exit 1 ;;
esac
"""
LISTED = [f"{SLOW_RUNS if target.slow else RUNS} {name}" for name, target in TARGETS.items()]


def make(folder: Path, target: str, fails: str) -> tuple[int, list[str], str]:
    """The exit status, the commands that ran, and what was said."""
    stub = STUB.format(targets=shlex.join(LISTED), fails=fails)
    for name in ("python", "sentry-trainer"):
        program = folder / "venv" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(stub)
        program.chmod(0o755)
    (folder / "venv" / "dev.stamp").touch()
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    (folder / "venv" / "dev.stamp").touch()
    done = subprocess.run(
        ["make", "-f", REPOSITORY / "Makefile", target, f"VENV={folder}/venv", "PYTHON=python3"],
        cwd=folder, env={"CALLS": str(folder / "calls"), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, (folder / "calls").read_text().splitlines(), done.stderr


@pytest.mark.parametrize("fails", ["nothing", "benchmarks.faults"])
def test_one_miss_does_not_keep_the_others_of_a_soak_from_running(tmp_path: Path, fails: str) -> None:
    status, calls, said = make(tmp_path, "soak", fails)
    parts = ["benchmarks.soak", "faults", "pytest", "fleet-sim"]
    assert [next(part for part in parts if part in call) for call in calls] == parts
    assert (status == 0) == (fails == "nothing")
    assert ("missed a limit: faults" in said) == (fails != "nothing")


def test_every_parser_is_fuzzed(tmp_path: Path) -> None:
    status, calls, _ = make(tmp_path, "fuzz", "nothing")
    assert status == 0
    fuzzed = [call.partition("run_atheris ")[2].rsplit(" ", 1) for call in calls if "run_atheris" in call]
    assert fuzzed == [[one.partition(" ")[2], f"-runs={one.partition(' ')[0]}"] for one in LISTED]


def test_a_failure_under_the_fuzzer_ends_it(tmp_path: Path) -> None:
    status, calls, _ = make(tmp_path, "fuzz", "run_atheris trainer frame")
    assert status != 0
    assert "trainer frame" in calls[-1]
