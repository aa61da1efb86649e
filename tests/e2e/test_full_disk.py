"""R3: a whole agent with heads and alerts, on a disk that others fill to the last byte and free again."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conftest import Reached
from tests.e2e.study import Study, eventually, free_port
from tests.edge_agent.bundles import bundle
from trainer_service import keyring
from trainer_service.keyring import Home
from trainer_service.publisher import Publisher

pytestmark = [pytest.mark.e2e, pytest.mark.promise("R3")]

HEALED_S = 30.0


class SmallDisk(Study):
    """A study whose agent keeps its data on a file system of 6 MB."""

    def data_dir(self, name: str) -> Path:
        return self.folder / "disk" / name

    def fill(self) -> Path:
        filler = self.folder / "disk" / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))
        return filler


@pytest.fixture
def study(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount a small file system here")
    study = SmallDisk(tmp_path)
    yield study
    study.close()
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_alerts_go_on_while_the_disk_is_full_and_records_when_it_is_not(study: SmallDisk, reached: Reached) -> None:
    home = Home(study.trainer_dir)
    alarming = bundle(1, bias=20.0, created=time.time())
    Publisher(home.repository, keyring.load_online_signers(home)).publish(1, alarming, datetime.now(UTC))
    trainer = study.start_trainer()
    key, port = study.enroll("lab-1"), free_port(1)
    options = ("--audit", 1, "--fps", 2, "--speed", 30, "--metrics", port, "--quota", 4)
    agent = study.start_agent("lab-1", key, "puppet", *options)

    def figures() -> dict[str, float]:
        """The agent's own: what it judged, raised and dropped."""
        page = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        lines = (line.rpartition(" ") for line in page.splitlines() if line.startswith("sentry_agent_"))
        return {name.removeprefix("sentry_agent_").removesuffix("_total"): float(value) for name, _, value in lines}

    def told() -> bool:
        with contextlib.suppress(OSError):
            return figures()["alerts"] > 0 and len(study.control.call("alerts")) > 0
        return False

    eventually(told, 120, "the heads run, and an alert is raised and stored")
    filler = study.fill()
    trainer.kill()  # while it takes records, the outbox gets along with the room that it holds already
    trainer.wait()
    eventually(lambda: figures()["records_dropped"] > 0, 120, "records that cannot be spooled are counted")
    windows = figures()["windows"]
    eventually(lambda: figures()["windows"] > windows + 10, 60, "windows are judged all the same")
    agent.kill()
    agent.wait()
    agent = study.start_agent("lab-1", key, "puppet", *options)

    def raised() -> bool:
        with contextlib.suppress(OSError):
            return figures()["alerts"] > 0
        return False

    eventually(raised, 120, "an agent even starts on it, with its heads, and raises its next alert")
    full = figures()
    assert full["records_sent"] == full["records_acked"] + full["records_waiting"] + full["records_dropped"]

    filler.unlink()
    study.start_trainer()
    begun, stored = time.monotonic(), study.status()["windows"]
    eventually(lambda: study.status()["windows"] > stored, HEALED_S, "windows are sent again")
    healed = time.monotonic() - begun
    reached("windows are stored again after", healed, f"{HEALED_S:g} s")
    assert healed < HEALED_S
    dropped = figures()["records_dropped"]
    windows = study.status()["windows"]
    eventually(lambda: study.status()["windows"] > windows + 10, HEALED_S, "and go on to be")
    assert figures()["records_dropped"] == dropped, "nothing more is lost"
    study.stop(agent)
    agents = study.agent("lab-1")
    assert agents["sent"] == agents["acked"] + agents["spooled"] + agents["dropped"]
    assert agents["dropped"] > 0
