"""R11 for the trainer: whichever of its stages hangs or dies, the process ends within 30 s, to be started anew."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from sentry_proto.curve import client_socket
from sentry_proto.errors import PeerUnreachable
from sentry_proto.keys import AGENT, KeyFile
from tests.e2e.study import Study, eventually
from trainer_service.sockets import Context

pytestmark = [pytest.mark.e2e, pytest.mark.promise("R11")]

WITHIN_S = 30.0

SERVE = """
import signal, sys, threading
from pathlib import Path
from trainer_service import app, control_api, enrolment, ingest, learner, personal, sockets, update_server
from trainer_service.app import Settings

sockets.CONTROL_PATIENCE_S = learner.PATIENCE_S = 10.0  # two minutes, for what may rightly take long
learner.LOOK_EVERY_S = 1.0
begun = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: begun.set())
kind, name = {
    "ingest": (ingest.Intake, "round"),
    "updates": (update_server.Updates, "answer"),
    "control": (control_api.ControlApi, "answer"),
    "learner": (personal.PersonalOffsets, "refresh"),
    "gatekeeper": (enrolment.Enrolment, "name_of"),
    "watch": (app.Trainer, "check"),
}[sys.argv[2]]
whole = getattr(kind, name)

def work(self, *arguments):
    if begun.is_set():
        if sys.argv[3] == "dies":
            raise SystemExit
        threading.Event().wait()
    return whole(self, *arguments)

setattr(kind, name, work)
app.serve(Settings.of(Path(sys.argv[1]), None, 100), threading.Event(), lambda ends: None)
"""


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    study = Study(tmp_path)
    yield study
    study.close()


@pytest.mark.parametrize(
    ("stage", "end"),
    [
        ("ingest", "hangs"), ("updates", "hangs"), ("control", "hangs"), ("learner", "hangs"), ("gatekeeper", "hangs"),
        ("gatekeeper", "dies"),
    ],
)  # fmt: skip
def test_a_trainer_of_which_one_stage_no_longer_works_ends(study: Study, stage: str, end: str) -> None:
    key = KeyFile.load(study.enroll("lab-1"), AGENT)
    command = [sys.executable, "-c", SERVE, str(study.trainer_dir), stage, end]
    trainer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    study.processes.append(trainer)
    eventually(study.status, 60, "the trainer answers")
    trainer.send_signal(signal.SIGUSR1)
    began = time.monotonic()
    context: Context = zmq.Context()
    lines = [client_socket(context, endpoint, key) for endpoint in (key.endpoints.ingest, key.endpoints.updates)]
    for line in lines:
        with contextlib.suppress(zmq.Again):  # nobody is let in any more
            line.send(b"anything")
    if stage == "control":
        with contextlib.suppress(PeerUnreachable):
            study.status()
    _, words = trainer.communicate(timeout=60)
    took = time.monotonic() - began
    for line in lines:
        line.close(0)
    context.term()
    assert took < WITHIN_S
    assert trainer.returncode not in (0, None)
    assert ("no longer goes on" if end == "hangs" else "has died") in words
    assert stage in words


def test_a_trainer_that_no_longer_looks_at_its_stages_feeds_no_watchdog(study: Study, tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    limit_s = 4.0
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(int(limit_s * 1e6))}
    environment = {**os.environ, **told}
    environment.pop("WATCHDOG_PID", None)
    command = [sys.executable, "-c", SERVE, str(study.trainer_dir), "watch", "hangs"]
    trainer = subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)
    study.processes.append(trainer)

    def fed(within_s: float) -> bool:
        manager.settimeout(within_s)
        try:
            while "WATCHDOG=1" not in manager.recv(1_000).decode():
                pass
        except TimeoutError:
            return False
        return True

    assert fed(60)
    assert fed(limit_s)
    trainer.send_signal(signal.SIGUSR1)
    time.sleep(1.5)  # the round that is under way
    while fed(0.05):
        pass
    assert not fed(limit_s)
    manager.close()
