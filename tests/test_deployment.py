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
import yaml

import dashboard.cli
import edge_agent.cli
import trainer_service.cli
import trainer_service.keys_cli
from edge_agent.metrics import AgentCollector
from edge_agent.outbox import Totals
from edge_agent.state import State
from sentry_proto.types import CameraState
from tests.sentry_proto.records import heartbeat
from trainer_service.fleet import Fleet, Moment
from trainer_service.metrics import TrainerCollector
from trainer_service.store import Store

DOCKER = Path(__file__).resolve().parents[1] / "docker"
OPERATIONS = DOCKER.parent / "docs" / "operations.md"
UNITS = {path.stem.removeprefix("sentry-"): path for path in sorted(DOCKER.glob("systemd/*.service"))}

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


SCORES = {"trainer": "1.4", "dashboard": "1.4", "backup": "1.4", "agent": "1.8"}
"""As docs/operations.md says."""


@pytest.mark.parametrize("kind", SCORES)
def test_a_unit_is_exposed_as_little_as_the_page_says(kind: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze, which is not on this machine")
    command = ["systemd-analyze", "security", "--offline=true", str(UNITS[kind])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"Overall exposure level for sentry-{kind}.service: {SCORES[kind]} " in done.stdout


def test_the_page_says_how_little_the_units_are_exposed() -> None:
    said = " ".join((DOCKER.parent / "docs" / "operations.md").read_text().split())
    assert set(SCORES) == set(UNITS)
    assert "scores the units 1.4 (trainer, dashboard, backup) and 1.8 (agent)" in said


@pytest.mark.parametrize("kind", SCORES)
def test_a_unit_may_not_take_all_memory(kind: str) -> None:
    assert re.search(r"^MemoryMax=\d+[MG]$", UNITS[kind].read_text(), re.MULTILINE)


def test_a_timer_starts_what_there_is() -> None:
    timers = {path.stem for path in (DOCKER / "systemd").glob("*.timer")}
    assert timers == {"sentry-backup"} <= {path.stem for path in UNITS.values()}


# ---- what they start -----------------------------------------------------------------------------------------------


def settings(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.+)$", unit.read_text(), re.MULTILINE)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command of units, images and the compose file, with where it stands."""
    for unit in UNITS.values():
        (line,) = settings(unit, "ExecStart")
        line = re.sub(r"^/bin/sh -c 'exec (.*)'$", r"\1", line)
        yield unit.name, shlex.split(re.sub(r"\$\{\w+\}", "0", line))
    for image in sorted(DOCKER.glob("*.Dockerfile")):
        entry, command = (json.loads(exec_form(image, word)) for word in ("ENTRYPOINT", "CMD"))
        yield image.name, [*entry, *command]
        for check in re.findall(r"^HEALTHCHECK (?:.*\\\n)?.*CMD (\[.*\])", image.read_text(), re.MULTILINE):
            yield f"{image.name}, health", json.loads(check)
    compose = (DOCKER / "compose.yaml").read_text()
    for line in re.findall(r"^ +(?:exec )?(sentry-.*)$", re.sub(r" \\\n +", " ", compose), re.MULTILINE):
        yield "compose.yaml", shlex.split(line)
    for line in re.findall(r"^    command: (\[.+\])$", compose, re.MULTILINE):
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
    units = {unit.name for unit in UNITS.values()}
    assert units | {"edge.Dockerfile", "trainer.Dockerfile", "dashboard.Dockerfile"} <= set(places)
    assert places.count("compose.yaml") == 3


def test_what_a_unit_takes_from_a_file_is_written_down() -> None:
    wanted = set(re.findall(r"\$\{(\w+)\}", "".join(unit.read_text() for unit in UNITS.values())))
    assert wanted == {"PARTICIPANT", "SOURCE"}
    told = OPERATIONS.read_text()
    assert all(f"{name}=" in told for name in wanted)
    (command,) = settings(DOCKER / "systemd" / "sentry-agent.service", "ExecStart")
    folder = shlex.split(command)[shlex.split(command).index("--data-dir") + 1]
    assert f"consent grant --participant P01 --data-dir {folder}" in told, "or the service refuses to watch anybody"


@pytest.mark.parametrize("kind", ["trainer", "agent"])
def test_a_hang_is_over_within_30_s(kind: str) -> None:
    waits = [float(seconds) for name in ("WatchdogSec", "RestartSec") for seconds in settings(UNITS[kind], name)]
    assert len(waits) == 2
    assert sum(waits) < 30


# ---- alerts ---------------------------------------------------------------------------------------------------------

STATE = State(participant="P01", camera=CameraState.OK)
FIGURES = {
    **dict.fromkeys(("frames_scored", "frames_dropped", "load_level", "windows", "no_data_windows", "alerts"), 0),
    "stages": {},
}


def exported(store: Store) -> set[tuple[str, str, str]]:
    """Every metric that trainer and agent offer: its name, and each label with its value."""
    fleet = Fleet({})
    fleet.heard("lab-1", heartbeat(), Moment(0.0, 0.0))
    ours = TrainerCollector(store, {}, lambda: fleet.describe(["lab-1"], Moment(0.0, 0.0)), lambda: 1)
    theirs = AgentCollector(lambda: FIGURES, STATE, lambda: Totals(0, 0, 0, 0), lambda: 0.0)
    samples = [sample for one in (ours, theirs) for family in one.collect() for sample in family.samples]
    return {(s.name, label, value) for s in samples for label, value in (s.labels.items() or [("", "")])}


def test_every_alert_asks_for_what_is_offered(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    offered = exported(store)
    store.close()
    rules = yaml.safe_load((DOCKER / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        asked = re.findall(r"\b(sentry_\w+|node_\w+|up\b)(?:\{([^}]*)\})?", rule["expr"])
        assert asked, rule
        for name, labels in asked:
            if not name.startswith("sentry_"):
                continue
            assert name in {found for found, _, _ in offered}, rule["alert"]
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', labels):
                assert {(name, label, value) for value in values.split("|")} <= offered, rule["alert"]
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            known = {found for name, found, _ in offered if name == asked[0][0]} | {"instance"}
            assert label in known, f"{rule['alert']} names {label}, which is not known there"
