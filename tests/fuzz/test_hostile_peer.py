"""S1 on a real socket: an enrolled key that sends 45 MB at once costs memory for a moment, and its own session."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sentry_proto import limits
from sentry_proto.types import Ack, Welcome
from tests.edge_agent.trainer import eventually
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import Caller, Ingestion, database, home, ingestion, store

__all__ = ["database", "home", "ingestion", "store"]
pytestmark = [pytest.mark.slow, pytest.mark.promise("S1")]

MOST_MB = 64
PARTS = 45

SENDER = """
import sys, time
from pathlib import Path
import zmq
from sentry_proto.curve import client_socket
from sentry_proto.keys import AGENT, KeyFile
key = KeyFile.load(Path(sys.argv[1]), AGENT)
socket = client_socket(zmq.Context(), key.endpoints.ingest, key)
socket.setsockopt(zmq.SNDTIMEO, 20_000)
socket.send(b"are you there")
assert socket.poll(20_000)
socket.recv()
socket.send_multipart([bytes(int(sys.argv[2]))] * int(sys.argv[3]))
print("sent", flush=True)
time.sleep(60)
"""


def memory_mb(name: str) -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields[name].split()[0]) / 1024


@pytest.mark.parametrize(
    ("size", "parts"), [((1 << 20) - 64, PARTS), (PARTS << 20, 1)], ids=["in 45 parts", "in one part"]
)
def test_45_mb_cost_a_moments_memory_and_nobody_elses_session(ingestion: Ingestion, size: int, parts: int) -> None:
    ingestion.enroll("lab-1")
    other = Caller(ingestion.enroll("lab-2"))
    other.hello()
    assert other.hear(Welcome)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory_mb("VmRSS")
    command = [sys.executable, "-c", SENDER, str(ingestion.home.folder / "lab-1.key"), str(size), str(parts)]
    sender = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert sender.stdout is not None
        assert sender.stdout.readline() == b"sent\n"
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            other.item(1, window())
            assert other.hear(Ack) == Ack((1,))
        assert memory_mb("VmHWM") - before < MOST_MB
        eventually(lambda: ingestion.intake.counts["refused frames"] == 1, "only its first frame was answered")
    finally:
        sender.kill()
        sender.communicate()
        other.close()
    assert size <= limits.MAX_FRAME_BYTES or parts == 1
