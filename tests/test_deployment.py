"""The files in docker/ as far as they can be checked without an engine."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dashboard.cli
import edge_agent.cli
import trainer_service.cli
import trainer_service.keys_cli

DOCKER = Path(__file__).resolve().parents[1] / "docker"
OPERATIONS = DOCKER.parent / "docs" / "operations.md"
UNITS = sorted(DOCKER.glob("systemd/*.service"))

PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "sentry-agent": edge_agent.cli._parser,
    "sentry-trainer": trainer_service.cli._parser,
    "sentry-keys": trainer_service.keys_cli._parser,
    "sentry-dashboard": dashboard.cli.parser,
}


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


# ---- what they start


def settings(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.+)$", unit.read_text(), re.MULTILINE)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command of units, images and the compose file, with where it stands."""
    for unit in UNITS:
        (line,) = settings(unit, "ExecStart")
        yield unit.name, shlex.split(re.sub(r"\$\{\w+\}", "0", line))
    for image in sorted(DOCKER.glob("*.Dockerfile")):
        entry, command = (json.loads(exec_form(image, word)) for word in ("ENTRYPOINT", "CMD"))
        yield image.name, [*entry, *command]
        for check in re.findall(r"^HEALTHCHECK (?:.*\\\n)?.*CMD (\[.*\])", image.read_text(), re.MULTILINE):
            yield f"{image.name}, health", json.loads(check)
    compose = (DOCKER / "compose.yaml").read_text()
    for line in re.findall(r"^ +(?:exec )?(sentry-.*)$", re.sub(r" \\\n +", " ", compose), re.MULTILINE):
        yield "compose.yaml", shlex.split(line)
    for line in re.findall(r"^    command: (\[.*\])$", compose, re.MULTILINE):
        yield "compose.yaml", ["sentry-dashboard", *json.loads(line)]


def exec_form(image: Path, word: str) -> str:
    (found,) = re.findall(rf"^{word} (\[.*\])$", image.read_text(), re.MULTILINE)
    return str(found)


OURS = [(where, words) for where, words in commands() if Path(words[0]).name in PARSERS]


@pytest.mark.parametrize(("where", "words"), OURS, ids=[f"{where}: {' '.join(words[:3])}" for where, words in OURS])
def test_what_is_started_is_understood(where: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        PARSERS[Path(words[0]).name]().parse_args(words[1:])
    except SystemExit as end:
        assert end.code == 0, f"{where}: {capsys.readouterr().err}"  # noqa: PT017 - --help ends so, too


def test_all_that_is_started_was_looked_at() -> None:
    places = [where for where, _ in OURS]
    assert {*(unit.name for unit in UNITS), "edge.Dockerfile", "trainer.Dockerfile", "dashboard.Dockerfile"} <= {
        *places
    }
    assert places.count("compose.yaml") == 5


def test_what_a_unit_takes_from_a_file_is_written_down() -> None:
    wanted = set(re.findall(r"\$\{(\w+)\}", "".join(unit.read_text() for unit in UNITS)))
    assert wanted == {"PARTICIPANT", "SOURCE"}
    told = OPERATIONS.read_text()
    assert all(f"{name}=" in told for name in wanted)
    (command,) = settings(DOCKER / "systemd" / "sentry-agent.service", "ExecStart")
    folder = shlex.split(command)[shlex.split(command).index("--data-dir") + 1]
    assert f"consent grant --participant P01 --data-dir {folder}" in told, "or the service refuses to watch anybody"


@pytest.mark.parametrize("unit", UNITS, ids=[unit.stem for unit in UNITS])
def test_a_hang_is_over_within_30_s(unit: Path) -> None:
    waits = [float(seconds) for name in ("WatchdogSec", "RestartSec") for seconds in settings(unit, name)]
    assert len(waits) == 2
    assert sum(waits) < 30
