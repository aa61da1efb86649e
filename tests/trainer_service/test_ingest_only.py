"""`sentry-trainer ingest`: two processes take in records for one PostgreSQL; killed, moved between, and told alike."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sentry_proto.errors import InputError
from sentry_proto.keys import AGENT, KeyFile
from tests.e2e.study import Study, command, eventually, free_port, run
from tests.faults.conftest import WiredAgent
from tests.faults.proxy import FaultProxy
from tests.trainer_service.postgres import Cluster
from trainer_service import schema
from trainer_service.ingest_only import Offers
from trainer_service.store import Store


def test_what_the_trainer_offers_is_passed_on() -> None:
    offset = {"used": True, "logits": [0.5, -0.5], "words": "helps"}
    answers: dict[str, Any] = {
        "status": {"learner": {"stream": {"audit_probability": 0.1}, "personal": {"P01": {"stress": offset}}}},
        "agents": [{"name": "lab-1", "offered_version": 3}],
    }
    offers = Offers()
    assert (offers.version("lab-1"), offers.audit_probability(0.0), offers.offsets("P01")) == (0, 0.0, ())
    assert offers.ask(answers.__getitem__), "a version is new, and agents are told at once"
    assert not offers.ask(answers.__getitem__)
    assert (offers.version("lab-1"), offers.version("lab-2"), offers.audit_probability(0.0)) == (3, 0, 0.1)
    assert [(found.task, found.logits) for found in offers.offsets("P01")] == [("stress", (0.5, -0.5))]
    offset["used"] = False
    offers.ask(answers.__getitem__)
    assert offers.offsets("P01") == ()


@pytest.mark.slow
def test_without_postgresql_it_says_what_it_needs(tmp_path: Path) -> None:
    done = run("sentry-trainer", "ingest", "--dir", tmp_path, "--listen", 9)
    assert done.returncode == InputError.exit_code
    assert "--database postgresql://" in done.stderr
    assert done.stderr.count("\n") == 1


@dataclasses.dataclass
class Pair:
    """A trainer, its second ingest process, and a way to either for each agent."""

    study: Study
    database: str
    port: int
    helper: subprocess.Popen[str] | None = None

    def start_helper(self) -> None:
        """Start the second process and wait until it listens."""
        self.helper = self.study.start(
            "sentry-trainer", "ingest", "--dir", self.study.trainer_dir, "--database", self.database,
            "--listen", self.port, log="ingest.log",
        )  # fmt: skip
        assert self.helper.stdout is not None
        assert self.helper.stdout.readline() == f"ready: agents at tcp://127.0.0.1:{self.port}\n"

    def agent(self, name: str, port: int) -> WiredAgent:
        """An agent that calls at this port."""
        key = KeyFile.load(self.study.enroll(name), AGENT)
        ends = dataclasses.replace(key.endpoints, ingest=f"tcp://127.0.0.1:{port}")
        return WiredAgent(dataclasses.replace(key, endpoints=ends), self.study.folder / name)


@pytest.fixture
def pair(tmp_path: Path, cluster: Cluster) -> Iterator[Pair]:
    study, database = Study(tmp_path), cluster.new_database()
    try:
        study.start_trainer("--database", database)
        pair = Pair(study, database, free_port(1))
        pair.start_helper()
        yield pair
    finally:
        study.close()


def seen(pair: Pair, *names: str) -> bool:
    return all(pair.study.agent(name)["alive"] for name in names)


@pytest.mark.e2e
@pytest.mark.promise("R1", form="two ingest processes, one of them killed")
def test_two_processes_share_the_agents_and_lose_and_double_nothing(pair: Pair) -> None:
    main_port = int(KeyFile.load(pair.study.enroll("nobody"), AGENT).endpoints.ingest.rpartition(":")[2])
    ways = FaultProxy(pair.port)
    agents = [pair.agent("lab-1", main_port), pair.agent("lab-2", pair.port), pair.agent("lab-3", ways.port)]
    try:
        for agent in agents:
            agent.record(40)
        eventually(lambda: seen(pair, "lab-1", "lab-2", "lab-3"), 20, "the trainer sees those who call next door")
        assert pair.helper is not None
        for target in (main_port, pair.port):
            for agent in agents:
                agent.record(40)
            ways.turn(target)
            pair.helper.send_signal(signal.SIGKILL)
            pair.helper.wait()
            eventually(lambda: not seen(pair, "lab-2"), 15, "and sees when they are silent")
            pair.start_helper()
        eventually(lambda: all(agent.drained for agent in agents), 30, "all is acked")
        eventually(lambda: seen(pair, "lab-1", "lab-2", "lab-3"), 20, "all are back")
    finally:
        for agent in agents:
            agent.close()
        ways.close()
    store, table = Store(pair.database), schema.windows.c
    with store.read() as connection:
        found = Counter((row.stream, row.sequence) for row in connection.execute(select(table.stream, table.sequence)))
    store.close()
    assert found == Counter((agent.outbox.stream, n) for agent in agents for n in range(1, agent.spooled + 1))


@pytest.mark.e2e
def test_it_takes_records_while_the_trainer_is_away(pair: Pair) -> None:
    agent = pair.agent("lab-1", pair.port)
    agent.record(10)
    eventually(lambda: agent.drained, 20, "records flow")
    trainer = pair.study.processes[0]
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    agent.record(30)
    eventually(lambda: agent.drained, 20, "and go on to")
    pair.study.start_trainer("--database", pair.database)
    eventually(lambda: seen(pair, "lab-1"), 20, "a trainer that comes back sees who calls next door")
    agent.close()


@pytest.mark.e2e
def test_a_taken_address_is_named(pair: Pair) -> None:
    second = subprocess.run(
        command(
            "sentry-trainer", "ingest", "--dir", pair.study.trainer_dir, "--database", pair.database,
            "--listen", pair.port,
        ),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = second.stderr.splitlines()[-1]
    assert said.startswith(f"sentry-trainer: cannot listen on tcp://127.0.0.1:{pair.port}: Address already in use")
