"""The whole trainer as a process: what survives SIGKILL, and how it ends."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from sentry_proto import codec, limits
from sentry_proto.curve import client_socket
from sentry_proto.errors import EnvironmentFault
from sentry_proto.keys import AGENT, KeyFile
from sentry_proto.types import Ack, Item
from tests.conftest import Reached
from tests.e2e.study import Study, eventually, run
from tests.sentry_proto.records import window
from trainer_service.app import Settings, running
from trainer_service.store import Store

KILLS = 5
BACK_S = 5.0
"""From the start to the first answer; asserted where the machine has nothing else to do."""


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    study = Study(tmp_path)
    yield study
    study.close()


def hammer(database: Path, key: KeyFile, trainer: subprocess.Popen[str], seconds: float) -> set[int]:
    """Keep as many windows in flight as the protocol allows, kill the trainer after so long; returns what was acked."""
    acked: set[int] = set()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = client_socket(context, key.endpoints.ingest, key)
    stream, sent, deadline = uuid.uuid4().hex, 0, time.monotonic() + seconds

    def hear(timeout_ms: int) -> None:
        while socket.poll(timeout_ms):
            frame = codec.decode_trainer_frame(socket.recv())
            acked.update(frame.sequences if isinstance(frame, Ack) else ())

    while time.monotonic() < deadline:
        hear(0)
        if sent - len(acked) < limits.CREDIT:
            sent += 1
            record = codec.encode_record(window(f"{stream[:16]}{sent:016x}"))
            socket.send(codec.encode_agent_frame(Item(stream, sent, record)))
    trainer.send_signal(signal.SIGKILL)
    hear(200)
    socket.close(0)
    context.term()
    store = Store(database)
    with store.read() as connection:
        query = "SELECT sequence FROM windows WHERE stream = ?"
        stored = [row[0] for row in connection.exec_driver_sql(query, (stream,))]
    store.close()
    assert len(stored) == len(set(stored))
    assert acked <= set(stored)
    return acked


@pytest.mark.promise("R1")
@pytest.mark.e2e
@pytest.mark.parametrize("kills", [KILLS, pytest.param(200, marks=pytest.mark.soak)])
def test_what_was_acked_survives_sigkill(study: Study, kills: int, reached: Reached) -> None:
    key = KeyFile.load(study.enroll("lab-1"), AGENT)
    moments = random.Random(3)
    total, slowest = 0, 0.0
    for _ in range(kills):
        begun = time.monotonic()
        process = study.start_trainer()
        slowest = max(slowest, time.monotonic() - begun)
        total += len(hammer(study.trainer_dir / "store.sqlite", key, process, moments.uniform(0.3, 1.0)))
        process.wait(5)
    reached(f"slowest of {kills} starts after a kill", slowest, f"{BACK_S:g} s")
    assert total > 100
    assert kills == KILLS or slowest < BACK_S


@pytest.mark.e2e
def test_it_ends_politely_within_two_seconds(study: Study) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process = study.start_trainer()
        asked = time.monotonic()
        process.send_signal(number)
        output, _ = process.communicate(timeout=10)
        assert time.monotonic() - asked < 2
        assert process.returncode == 0
        assert output.startswith("ready: agents at tcp://127.0.0.1:")
        assert output.count("\n") == 1


@pytest.mark.e2e
def test_its_worker_ends_with_it(study: Study) -> None:
    process = study.start_trainer()
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    process.kill()
    process.wait()
    assert children
    eventually(lambda: not any(map(runs, children.split())), 15, "the trainer's children have ended")


def runs(pid: str) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.e2e
def test_a_second_trainer_on_the_same_folder_is_refused(study: Study) -> None:
    study.start_trainer()
    second = run("sentry-trainer", "serve", "--dir", study.trainer_dir)
    assert second.returncode == EnvironmentFault.exit_code
    assert second.stderr == f"sentry-trainer: a trainer already runs on {study.trainer_dir}\n"


@pytest.mark.e2e
def test_the_commands_speak_with_it(study: Study, tmp_path: Path) -> None:
    where = ("--dir", study.trainer_dir)
    nobody = run("sentry-trainer", "models", "--dir", tmp_path / "nowhere")
    assert (nobody.returncode, nobody.stderr.count("\n")) == (3, 1)
    study.start_trainer()
    assert "no model is published yet" in run("sentry-trainer", "status", *where).stdout
    stream = json.loads(run("sentry-trainer", "status", *where, "--json").stdout)["learner"]["stream"]
    assert stream == {"tasks": {}, "drifts": [], "audit_probability": 0.0}
    assert run("sentry-trainer", "agents", *where, "--json").stdout == "[]\n"
    assert run("sentry-trainer", "retrain", *where).returncode == 0
    rollback = run("sentry-trainer", "rollback", *where)
    assert (rollback.returncode, rollback.stderr) == (
        2, "sentry-trainer: the current model has no parent to go back to\n",
    )  # fmt: skip
    (tmp_path / "labels.csv").write_text(f"window_id,task,value,rater\n{'0' * 32},stress,calm,ann\n")
    imported = run("sentry-trainer", "labels", "import", tmp_path / "labels.csv", *where)
    assert (imported.returncode, imported.stderr) == (2, f"sentry-trainer: row 2: there is no window '{'0' * 32}'\n")


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["ingest", "updates", "control"])
def test_a_taken_address_is_named(study: Study, taken: str) -> None:
    settings = Settings.of(study.trainer_dir, None, 10)
    address = getattr(KeyFile.load(study.trainer_dir / "control.key", "control").endpoints, taken)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.bind(address)
    with pytest.raises(EnvironmentFault, match=f"cannot listen on {address}"), running(settings):
        pytest.fail("it runs")
    socket.close(0)
    context.term()
