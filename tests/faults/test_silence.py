"""R10: an agent that stopped, one that never called and a trainer that is gone are all shown, within 90 s at most."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sentry_proto import limits
from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable
from tests.edge_agent.trainer import eventually
from tests.faults.conftest import WiredAgent
from tests.trainer_service.conftest import Ingestion
from trainer_service import keyring
from trainer_service.fleet import Moment

pytestmark = [pytest.mark.slow, pytest.mark.promise("R10")]

SHOWN_S = 90.0

AGENT = """
import sys, time
from pathlib import Path
from sentry_proto.keys import AGENT, KeyFile
from tests.faults.conftest import WiredAgent
agent = WiredAgent(KeyFile.load(Path(sys.argv[1]), AGENT), Path(sys.argv[2]))
agent.record(5)
while True:
    time.sleep(1)
"""


def shown(ingestion: Ingestion, name: str) -> dict[str, object]:
    (entry,) = ingestion.fleet.describe([name], Moment(time.time(), time.monotonic()))
    return entry


@pytest.mark.promise("R8")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_stops_is_shown_and_harms_nobody_else(
    ingestion: Ingestion, tmp_path: Path, how: signal.Signals
) -> None:
    ingestion.enroll("lab-1")
    other = WiredAgent(ingestion.enroll("lab-2"), tmp_path / "other")
    command = [sys.executable, "-c", AGENT, str(ingestion.home.folder / "lab-1.key"), str(tmp_path / "agent")]
    process = subprocess.Popen(command)
    try:
        eventually(lambda: shown(ingestion, "lab-1")["alive"], "it calls", 30)
        eventually(lambda: other.uplink.open, "the other calls", 30)
        process.send_signal(how)
        stopped = time.monotonic()
        while shown(ingestion, "lab-1")["alive"]:
            assert time.monotonic() - stopped < SHOWN_S
            other.record()
            eventually(lambda: other.drained, "the other's record is acked", 2.0)
        assert time.monotonic() - stopped < limits.PEER_DEAD_S + 1.0
        assert shown(ingestion, "lab-2")["alive"]
        if how is signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            eventually(lambda: shown(ingestion, "lab-1")["alive"], "it is back once it goes on", 60)
    finally:
        process.kill()
        process.wait()
        other.close()


def test_one_that_never_called_is_on_the_list(ingestion: Ingestion) -> None:
    ingestion.enroll("lab-9")
    entry = shown(ingestion, "lab-9")
    assert (entry["seen"], entry["alive"], entry["last_seen"]) == (False, False, None)


def test_a_trainer_that_is_gone_is_said_to_agents_and_to_the_dashboard(ingestion: Ingestion, tmp_path: Path) -> None:
    agent = WiredAgent(ingestion.enroll("lab-1"), tmp_path / "agent")
    eventually(lambda: agent.uplink.open, "the session opens")
    ingestion.thread.stop()
    gone = time.monotonic()
    eventually(lambda: not agent.uplink.open, "the agent knows", 4.0)
    eventually(lambda: agent.uplink.words not in ("connected", ""), "and says so", 4.0)
    control = ControlClient(keyring.load_control_key(ingestion.home), timeout_s=2.0)
    with pytest.raises(PeerUnreachable, match=r"the trainer at .* is not there"):
        control.call("status")
    control.close()
    assert time.monotonic() - gone < SHOWN_S
    agent.close()
