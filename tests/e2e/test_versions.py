"""Agents and trainers of different versions, in either order; the older side is this project's tree of an earlier day.

It comes out of the history, so a clone without one (`git clone --depth 1`) skips.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.study import Study, command, eventually
from tests.e2e.wire_agent import WireAgent, windows_of_states
from trainer_service.keyring import Home

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

OLDER = "e284d24776e5514d141d1be5cd1c35fa56058ce4"
"""Has the first schema of the store; knows of no canary, no expression model, no neighbours, no stills, no accounts."""

MAIN = {
    "sentry-agent": "edge_agent.cli",
    "sentry-trainer": "trainer_service.cli",
    "sentry-keys": "trainer_service.keys_cli",
}
AGENT, TRAINER = {"sentry-agent"}, {"sentry-trainer", "sentry-keys"}


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The older tree."""
    done = subprocess.run(["git", "archive", OLDER], cwd=REPOSITORY, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the history with commit {OLDER[:7]}, which this copy lacks: {done.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    look = "import edge_agent, trainer_service; print(edge_agent.__file__, trainer_service.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", f"{ahead(folder)}; {look}"], capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(folder)) for path in found.stdout.split())
    return folder


def ahead(tree: Path) -> str:
    """Python that imports from this tree before any other."""
    return f"import sys; sys.path[:0] = {[str(tree), str(tree / 'proto')]}"


class Mixed(Study):
    """A study in which some commands are those of the older tree."""

    def __init__(self, folder: Path, tree: Path, old: set[str]) -> None:
        self.tree, self.old = tree, old
        super().__init__(folder)

    def command(self, name: str, *arguments: object) -> list[str]:
        if name not in self.old:
            return command(name, *arguments)
        start = f"{ahead(self.tree)}; import {MAIN[name]} as it; sys.exit(it.main())"
        return [sys.executable, "-c", start, *map(str, arguments)]

    def windows(self, agent: str) -> list[dict[str, Any]]:
        """What the trainer has stored of an agent."""
        return [window for window in self.control.call("windows", limit=1000) if window["agent"] == agent]


@pytest.fixture
def mixed(tmp_path: Path, older: Path, request: pytest.FixtureRequest) -> Iterator[Mixed]:
    """A study whose older commands the test names."""
    study = Mixed(tmp_path, older, getattr(request, "param", TRAINER))
    yield study
    study.close()


def teach(study: Study) -> None:
    """Labelled windows from which heads for stress are published as version 1."""
    known = list(windows_of_states(6, 30))
    far = WireAgent(study.enroll("lab-2"))
    assert far.send([window for window, _ in known]) == []
    far.close()
    rows = [f"{window.window_id},stress,{state},ann" for window, state in known]
    stored = study.control.call("import_labels", text="\n".join(["window_id,task,value,rater", *rows]))
    assert stored["stored"] == len(rows)
    study.control.call("retrain")
    eventually(lambda: study.status()["model_version"] == 1, 120, "version 1 is published")


def start_agent(study: Study, key: Path) -> subprocess.Popen[str]:
    what = ("--participant", "P01", "--audit", 1, "--fps", 4, "--speed", 10)
    return study.start_agent("lab-1", key, "puppet", *what)


@pytest.mark.parametrize("mixed", [AGENT, TRAINER], ids=["older agent", "older trainer"], indirect=True)
def test_windows_heads_and_totals_pass_between_versions(mixed: Mixed) -> None:
    trainer = mixed.start_trainer("--labels-per-run", 1000)
    key = mixed.enroll("lab-1")
    mixed.consent("lab-1", "P01")
    agent = start_agent(mixed, key)
    eventually(lambda: mixed.windows("lab-1"), 120, "windows without heads")
    teach(mixed)
    eventually(lambda: mixed.agent("lab-1")["model_version"] == 1, 60, "the agent runs version 1")

    def scored() -> list[dict[str, Any]]:
        found = [w for w in mixed.windows("lab-1") if w["model_version"] == 1 and w["predictions"]]
        return [p for p in found[0]["predictions"] if p["task"] == "stress"] if found else []

    said = eventually(scored, 120, "windows that version 1 has scored")
    assert sum(said[0]["probabilities"]) == pytest.approx(1, abs=1e-4)
    trainer.kill()
    trainer.wait()
    mixed.start_trainer("--labels-per-run", 1000)
    before = len(mixed.windows("lab-1"))
    eventually(lambda: len(mixed.windows("lab-1")) > before, 120, "it sends to a trainer that was killed")
    agent.kill()
    agent.wait()
    agent = start_agent(mixed, key)
    eventually(lambda: mixed.agent("lab-1")["alive"] and mixed.agent("lab-1")["model_version"] == 1, 60, "it is back")
    mixed.stop(agent)
    told = mixed.agent("lab-1")
    assert told["sent"] == told["acked"] + told["spooled"] + told["dropped"]
    assert told["dropped"] == 0
    stored = [window["window_id"] for window in mixed.windows("lab-1")]
    alerts = mixed.status()["alerts"]  # each takes a record when it begins, and one when it ends
    assert len(stored) == len(set(stored)) > 0
    assert told["acked"] <= len(stored) + 2 * alerts


def test_a_trainer_goes_up_and_down_again_as_the_page_says(mixed: Mixed) -> None:
    """docs/operations.md, Upgrade: the copy that is made before a migration takes the store back."""
    home = Home(mixed.trainer_dir)
    older = mixed.start_trainer("--labels-per-run", 1000)
    teach(mixed)
    key = mixed.enroll("lab-1")
    before = mixed.windows("lab-2")
    mixed.stop(older)

    mixed.old = set()  # the new version is installed
    newer = mixed.start_trainer("--labels-per-run", 1000)
    assert [window["window_id"] for window in mixed.windows("lab-2")] == [window["window_id"] for window in before]
    assert mixed.status()["model_version"] == 1
    mixed.consent("lab-1", "P01")
    agent = start_agent(mixed, key)
    eventually(lambda: mixed.agent("lab-1")["alive"] and mixed.agent("lab-1")["model_version"] == 1, 60, "it runs")
    mixed.stop(agent)
    mixed.stop(newer)

    mixed.old = TRAINER  # and the old one again
    refused = mixed.run("sentry-trainer", "serve", "--dir", home.folder)
    assert refused.returncode != 0
    assert "was written by a newer version of Sentry" in refused.stderr
    assert "Traceback" not in refused.stderr
    (copy,) = (home.folder / "copies").glob("before-migration-from-*.copy")
    for name in ("store.sqlite-wal", "store.sqlite-shm"):
        (home.folder / name).unlink(missing_ok=True)
    shutil.copy(copy, home.folder / "store.sqlite")
    mixed.start_trainer("--labels-per-run", 1000)
    assert mixed.windows("lab-2") == before
    assert mixed.status()["model_version"] == 1
    agent = start_agent(mixed, key)
    eventually(lambda: mixed.windows("lab-1"), 120, "the newer agent sends to the older trainer")
    mixed.stop(agent)
