"""The files in docker/ as far as they can be checked without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCKER = Path(__file__).resolve().parents[1] / "docker"


@pytest.mark.parametrize("kind", ["edge", "trainer", "dashboard"])
def test_an_image_is_pinned_small_and_without_root(kind: str) -> None:
    text = (DOCKER / f"{kind}.Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base in bases)
    assert "-c constraints.txt" in text
    assert "\nUSER 10001\n" in text
    assert "\nHEALTHCHECK " in text


@pytest.mark.parametrize("kind", ["trainer", "agent"])
def test_a_unit_is_exposed_little(kind: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze, which is not on this machine")
    unit = DOCKER / "systemd" / f"sentry-{kind}.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()[-300:]
