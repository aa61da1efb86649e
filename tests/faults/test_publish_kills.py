"""R1: a publication is killed at each of its steps that force something to the disk; what is offered stays whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.edge_agent.bundles import bundle
from tests.edge_agent.test_updater import NOW, Agent, Repository
from trainer_service import keyring
from trainer_service.publisher import Publisher

pytestmark = [pytest.mark.slow, pytest.mark.promise("R1")]

KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from trainer_service import keyring
from trainer_service.keyring import Home
from trainer_service.publisher import Publisher

home, left = Home(Path(sys.argv[1])), int(sys.argv[2])
fsync = os.fsync

def fsync_or_die(handle):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)

os.fsync = fsync_or_die
publisher = Publisher(home.repository, keyring.load_online_signers(home))
publisher.publish(2, Path(sys.argv[3]).read_bytes(), datetime.now(UTC))
"""


def test_a_publication_that_is_killed_anywhere_leaves_a_whole_version(tmp_path: Path) -> None:
    seen, offered = set(), tmp_path / "2.onnx"
    offered.write_bytes(bundle(2))
    for step in range(1, 100):
        folder = tmp_path / str(step)
        repository = Repository(folder / "trainer")
        repository.publish(1)
        agent = Agent(repository, folder / "agent")
        assert (agent.check(), agent.version) == ("current", 1)
        command = [sys.executable, "-c", KILLED, str(repository.home.folder), str(step), str(offered)]
        died = subprocess.run(command, check=False)
        assert (agent.check(), agent.version) in (("current", 1), ("current", 2))
        seen.add(agent.version)
        again = Publisher(repository.folder, keyring.load_online_signers(repository.home))
        assert again.current_version() == agent.version
        repository.publisher = again
        repository.publish(3, now=NOW)
        assert (agent.check(), agent.version) == ("current", 3)
        if died.returncode == 0:
            break
        assert died.returncode == -signal.SIGKILL
    assert step > 4, "each of the files is written and forced to the disk"
    assert seen == {1, 2}
