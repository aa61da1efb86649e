"""R2: a whole agent is killed while it works, and is back: camera seen, session open, nothing that was spooled lost."""

from __future__ import annotations

import signal
import time

import pytest

from tests.conftest import Reached
from tests.e2e.study import Study, eventually

KILLS = 2
BACK_S = 10.0
"""From the start to the trainer's seeing it alive and with a picture; asserted where the machine has nothing else to
do."""


@pytest.mark.promise("R2")
@pytest.mark.e2e
@pytest.mark.parametrize("kills", [KILLS, pytest.param(20, marks=pytest.mark.soak)])
def test_a_killed_agent_is_back_within_10_s(study: Study, kills: int, reached: Reached) -> None:
    study.start_trainer()
    key = study.enroll("lab-1")
    study.consent("lab-1", "P01")
    what = ("--participant", "P01", "--audit", 1, "--fps", 5)

    def working() -> bool:
        agent = study.agent("lab-1")
        return bool(agent["alive"] and agent["frames"] > 0)

    agent = study.start_agent("lab-1", key, "puppet", *what)
    eventually(working, 60, "the agent works")
    slowest, sent = 0.0, 0
    for _ in range(kills):
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        eventually(lambda: not study.agent("lab-1")["alive"], 10, "it is shown as gone")
        begun = time.monotonic()
        agent = study.start_agent("lab-1", key, "puppet", *what)
        eventually(working, 60, "it is back")
        slowest = max(slowest, time.monotonic() - begun)
        told = study.agent("lab-1")
        assert told["sent"] == told["acked"] + told["spooled"] + told["dropped"] >= sent
        sent = told["sent"]
    reached(f"slowest of {kills} returns", slowest, f"{BACK_S:g} s")
    assert kills == KILLS or slowest < BACK_S
