"""A new version on its way to two agents: real trainer, real links; the trainer is killed in between, or another
expression model is approved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.latency import Agent, agents_of, fill
from tests.e2e.study import Study, eventually
from tests.e2e.study import run as typed
from tests.edge_agent.bundles import other_model
from trainer_service.keyring import Home

pytestmark = pytest.mark.e2e

OPTIONS = ("--labels-per-run", 100, "--canary-seconds", 5)


def decisions(study: Study) -> list[Any]:
    """Trigger, verdict and version of those on stress, newest first."""
    return [
        (d["trigger"], d["verdict"], d["version"]) for d in study.control.call("decisions") if d["task"] == "stress"
    ]


def test_a_trial_survives_the_trainer_and_reaches_all_agents(study: Study) -> None:
    left = fill(Home(study.trainer_dir).database, 100, 200)  # so many more labels are clearly worth a version each
    trainer = study.start_trainer(*OPTIONS)
    with agents_of(study.folder, Home(study.trainer_dir), 2) as agents:
        run(agents, 1)
        study.teach(left[:100])
        first = eventually(lambda: next((a for a in agents if 2 in a.since), None), 60, "a canary runs version 2")
        (other,) = [agent for agent in agents if agent is not first]
        assert study.status()["rollout"]["agents"] == [first.name]
        told = {agent["name"]: (agent["offered_version"], agent["canary"]) for agent in study.control.call("agents")}
        assert told == {first.name: (2, True), other.name: (1, False)}
        study.teach(left[100:])
        waits = f"version 2 to prove itself on {first.name}"
        eventually(lambda: study.status()["learner"]["waits_for"].get("stress") == waits, 30, "the next run waits")
        assert 2 not in other.since
        trainer.kill()
        trainer.wait()
        study.start_trainer(*OPTIONS)
        assert study.status()["rollout"]["version"] == 2
        run(agents, 3)
        assert 2 in other.since
    assert decisions(study)[-4:][::-1] == [
        ("labels", "published", 1), ("labels", "canary", 2), ("canary", "published", 2), ("labels", "canary", 3),
    ]  # fmt: skip


def test_a_trial_ends_when_another_expression_model_is_approved(study: Study, tmp_path: Path) -> None:
    left = fill(Home(study.trainer_dir).database, 100, 100)
    trainer = study.start_trainer("--labels-per-run", 100, "--canary-seconds", 600)
    with agents_of(study.folder, Home(study.trainer_dir), 2) as agents:
        run(agents, 1)
        study.teach(left)
        eventually(lambda: any(2 in agent.since for agent in agents), 60, "a canary runs version 2")
        model = tmp_path / "other.onnx"
        model.write_bytes(other_model())
        study.stop(trainer)
        done = typed("sentry-keys", "approve", model, "--dir", study.trainer_dir)
        assert done.returncode == 0, done.stderr
        study.start_trainer("--labels-per-run", 100, "--canary-seconds", 600)
        run(agents, 3)
    assert study.status()["rollout"] is None
    assert decisions(study)[0] == ("canary", "published", 3)
    aside = f"windows set aside: {study.status()['labels']}, labelled by people, seen by another expression model"
    eventually(lambda: aside in typed("sentry-trainer", "status", "--dir", study.trainer_dir).stdout, 30, "it says so")


def run(agents: list[Agent], version: int) -> None:
    eventually(lambda: all(version in agent.since for agent in agents), 120, f"all agents run version {version}")
