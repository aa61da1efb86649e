"""S4 while an agent works: how long scoring pauses when heads are exchanged, and a kill amid an exchange."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_agent.heads import Heads
from edge_agent.slots import Slots
from edge_agent.updater import UpdateService
from sentry_proto.tasks import DEFAULT_TASKS
from tests.conftest import Reached
from tests.edge_agent.bundles import bundle
from tests.edge_agent.test_updater import Agent, Repository
from tests.edge_agent.trainer import eventually
from tests.sentry_proto.records import window

LONGEST_PAUSE_S = 1.0
SWAPS = 5


@pytest.mark.promise("S4")
@pytest.mark.slow
def test_scoring_pauses_for_less_than_a_second_when_heads_are_exchanged(tmp_path: Path, reached: Reached) -> None:
    repository = Repository(tmp_path / "trainer")
    repository.publish(1)
    agent, ended = Agent(repository, tmp_path / "agent"), threading.Event()
    assert agent.check() == "current"
    features, scored = window().features, list[tuple[float, int]]()

    def score() -> None:
        while not ended.wait(0.005):
            heads = agent.heads  # as the loop does: one look, one window
            assert heads is not None
            assert heads.score(features), "each window is scored by the old heads or by the new"
            scored.append((time.monotonic(), heads.version))

    scorer = threading.Thread(target=score)
    service = UpdateService(agent._client, lambda: agent.heads, agent._swap)
    scorer.start()
    eventually(lambda: scored, "version 1 scores")
    for version in range(2, SWAPS + 2):
        repository.publish(version)
        service.announced(version)
        eventually(lambda: scored[-1][1] == version, f"version {version} scores")  # noqa: B023
    service.close()
    ended.set()
    scorer.join()
    times, versions = zip(*scored, strict=True)
    pause = max(later - earlier for earlier, later in itertools.pairwise(times))
    reached(f"longest pause over {SWAPS} exchanges", pause, f"{LONGEST_PAUSE_S:g} s")
    assert pause <= LONGEST_PAUSE_S
    assert list(dict.fromkeys(versions)) == list(range(1, SWAPS + 2))


ACCEPT = """
import sys
from functools import partial
from pathlib import Path
from edge_agent.heads import Heads
from edge_agent.slots import Slots
from sentry_proto.tasks import DEFAULT_TASKS
folder = Path(sys.argv[1])
slots = Slots(folder / "bundles", partial(Heads, tasks=DEFAULT_TASKS))
slots.start()
for version in range(int(sys.argv[2]) + 1, 1_000):
    slots.accept((folder / f"{version}.onnx").read_bytes())
    slots.confirm(version)
    print(version, flush=True)
"""


@pytest.mark.promise("S4")
@pytest.mark.slow
@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_a_process_that_is_killed_while_it_exchanges_heads_starts_with_the_old_or_the_new(
    tmp_path: Path, kills: int
) -> None:
    most = 30
    for version in range(1, most + 1):
        (tmp_path / f"{version}.onnx").write_bytes(bundle(version))
    moments, running = random.Random(7), 0
    for _ in range(kills):
        command = [sys.executable, "-c", ACCEPT, str(tmp_path), str(running)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            told = int(process.stdout.readline())
            time.sleep(moments.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            told = max([told, *map(int, process.stdout.read().split())])
        heads = Slots(tmp_path / "bundles", lambda data: Heads(data, DEFAULT_TASKS), read_only=True).start()
        assert heads is not None
        assert heads.version in (told, told + 1), "what was accepted, or what was being accepted"
        running = heads.version
        if running > most - 10:
            running = 0
            for path in (tmp_path / "bundles").iterdir():
                path.unlink()
