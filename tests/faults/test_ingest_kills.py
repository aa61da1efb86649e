"""R1: the taking in of records is killed at every commit, right before and right after it, and whenever SQLite forces
something to the disk; whatever was acknowledged is stored, once."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from sentry_proto.keys import AGENT
from tests.trainer_service.conftest import NOW, hex_id, home
from trainer_service import keyring, schema
from trainer_service.keyring import Home
from trainer_service.store import Store

__all__ = ["home"]

pytestmark = [pytest.mark.slow, pytest.mark.promise("R1")]

RECORDS = 6
KILLED = """
import json, os, signal, sys
from pathlib import Path
from sqlalchemy.engine.default import DefaultDialect
from sentry_proto import codec
from sentry_proto.keys import AllowList
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Ack, Heartbeat, Hello, Item, ScoredCount, Stratum
from sentry_proto.layout import LAYOUT_ID
from tests.sentry_proto.records import alert, heartbeat, prediction, window
from tests.trainer_service.conftest import STREAM, hex_id
from trainer_service.fleet import Fleet, Moment
from trainer_service.ingest import Intake, Message
from trainer_service.keyring import Home
from trainer_service.store import Store

home, key, when, left = Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3], int(sys.argv[4])
commit = DefaultDialect.do_commit

def commit_or_die(self, connection):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self, connection)
    if left == 0 and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)

DefaultDialect.do_commit = commit_or_die
store = Store(home.database)
intake = Intake(store, Fleet({}), AllowList(home.enrolled), DEFAULT_TASKS, lambda _: 1, lambda _: 0.0)
seen = [window(hex_id(n), stratum=Stratum.AUDIT, predictions=(prediction(),)) for n in range(1, 5)]
rounds = [[(1, seen[0]), (2, seen[1])], [(3, seen[2]), (4, alert())], [(5, alert(end=1_750_000_090.0))], [(6, seen[3])]]
for number, records in enumerate(rounds, 1):
    counts = (ScoredCount(1, "P01", "stress", False, 3 * number),)
    frames = [heartbeat(stream=STREAM, counts=counts), *(Item(STREAM, n, codec.encode_record(r)) for n, r in records)]
    messages = [Message(b"r", key, codec.encode_agent_frame(f)) for f in (Hello(1, STREAM, LAYOUT_ID, "test"), *frames)]
    for _, reply in intake.round(messages, Moment(1_750_000_000.0 + number, float(number))):
        if isinstance(reply, Ack):
            print(json.dumps(reply.sequences), flush=True)
    intake.save_heartbeats()
store.close()
"""
"""Answers as a trainer does and prints what it acknowledges; an agent sends everything again after each start."""


def stored(home: Home) -> tuple[Counter[str], dict[str, float | None], int]:
    """How often each window is stored, the alerts with their ends, and the windows that were counted."""
    store = Store(home.database)
    with store.read() as connection:
        windows = Counter(connection.scalars(select(schema.windows.c.window_id)))
        scored = Counter(connection.scalars(select(schema.scores.c.window_id)))
        alerts = {row.alert_id: row.end for row in connection.execute(select(schema.alerts))}
        counted = sum(connection.scalars(select(schema.weekly_counts.c.windows)))
        assert counted == sum(connection.scalars(select(schema.scored_counts.c.windows)))
    store.close()
    assert scored == windows, "a window and what was said of it are stored together"
    return windows, alerts, counted


def command(home: Home, public: str, when: str, step: int) -> list[str]:
    """A run that dies at this step; 0 for never."""
    run = [sys.executable, "-c", KILLED, str(home.folder), public, when, str(step)]
    if when != "forced" or not step:
        return run
    inject = f"inject=fsync,fdatasync:signal=SIGKILL:when={step}"
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject, *run]


@pytest.mark.parametrize("when", ["before", "after", pytest.param("forced", marks=pytest.mark.soak)])
def test_ingest_that_is_killed_at_any_commit_loses_and_doubles_nothing(home: Home, tmp_path: Path, when: str) -> None:
    if when == "forced" and shutil.which("strace") is None:
        pytest.skip("needs strace to kill in the middle of a commit")
    public = keyring.enroll(home, "lab-1", tmp_path / "lab-1.key", AGENT, NOW).public
    in_between = set()
    for step in range(1, 100):
        folder = Home(tmp_path / str(step))
        shutil.copytree(home.folder, folder.folder)
        died = subprocess.run(command(folder, public, when, step), capture_output=True, text=True, check=False)
        acked = {sequence for line in died.stdout.splitlines() for sequence in json.loads(line)}
        windows, alerts, counted = stored(folder)
        assert set(windows.values()) <= {1}
        names = {1: hex_id(1), 2: hex_id(2), 3: hex_id(3), 6: hex_id(4)}
        assert {names[sequence] for sequence in acked & names.keys()} <= set(windows)
        assert not acked & {4, 5} or alerts
        assert 5 not in acked or set(alerts.values()) == {1_750_000_090.0}
        in_between.add((len(acked), len(windows) + len(alerts), counted))
        if died.returncode == 0:
            break
        assert died.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), died.stderr
        again = subprocess.run(command(folder, public, when, 0), capture_output=True, text=True, check=True)
        assert sorted(n for line in again.stdout.splitlines() for n in json.loads(line)) == list(range(1, RECORDS + 1))
        assert stored(folder) == (Counter(hex_id(n) for n in range(1, 5)), {"a" * 32: 1_750_000_090.0}, 12)
        shutil.rmtree(folder.folder)
    assert died.returncode == 0
    assert step > 8, "four rounds and four heartbeats are committed, each by itself"
    assert len(in_between) >= 8, "each was seen"
