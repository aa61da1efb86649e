"""R12: the trainer's disk is lost; one command brings it back from one file, and the agent that knew more goes on."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from benchmarks.latency import agents_of, fill
from edge_agent.link import Link
from sentry_proto.keys import AGENT, KeyFile
from tests.e2e.study import Study, eventually, run
from tests.sentry_proto.records import window
from trainer_service.keyring import Home

pytestmark = [pytest.mark.e2e, pytest.mark.promise("R12")]

OPTIONS = ("--labels-per-run", 100, "--canary-seconds", 0)


def test_a_trainer_comes_back_from_a_file_and_its_agent_goes_on(study: Study, tmp_path: Path) -> None:
    left, file, where = fill(Home(study.trainer_dir).database, 100, 200), tmp_path / "backup", study.trainer_dir
    gone = KeyFile.load(study.enroll("gone"), AGENT)
    trainer = study.start_trainer(*OPTIONS)
    with agents_of(study.folder, Home(where), 1) as (agent,):
        eventually(lambda: 1 in agent.since, 120, "version 1 runs")
        done = run("sentry-trainer", "backup", file, "--with-keys", "--dir", where)
        assert done.returncode == 0, done.stderr
        assert run("sentry-keys", "revoke", "gone", "--dir", where).returncode == 0
        for version in (2, 3):
            study.teach(left[100 * version - 200 : 100 * version - 100])
            eventually(lambda: agent.state.version == version, 60, f"version {version} runs")  # noqa: B023
        trainer.kill()
        trainer.wait()
        shutil.rmtree(where)

        asked = run("sentry-trainer", "restore", file, "--dir", where)
        assert asked.returncode == 2
        assert "gone (agent, enrolled 20" in asked.stdout
        assert "--revoke NAME" in asked.stderr
        assert not where.exists()
        done = run("sentry-trainer", "restore", file, "--dir", where, "--yes", "--revoke", "gone")
        assert done.returncode == 0, done.stderr
        study.start_trainer(*OPTIONS)

        eventually(lambda: agent.state.version > 1_000, 60, "the agent runs the restored heads")
        link: Link = agent._link
        link.outbox.put([window(uuid.uuid4().hex)])
        eventually(lambda: link.outbox.totals().spooled == 0, 20, "it is taken in")
        totals = link.outbox.totals()
        assert (totals.acked, totals.dropped) == (1, 0)
        before = agent.state.version
        study.teach(left[:100])
        eventually(lambda: agent.state.version > before, 60, "what is learned from now on runs, too")
    told = study.control.call("decisions")
    assert [one["trigger"] for one in told if one["task"] == "stress"] == ["labels", "restore", "labels"]
    assert [entry["name"] for entry in study.control.call("agents")] == [agent.name]
    assert gone.name not in run("sentry-trainer", "agents", "--dir", where).stdout
    done = run("sentry-trainer", "retention", "--days", 1, "--dry-run", "--dir", where)
    assert done.stdout.startswith("would delete 0 ")
