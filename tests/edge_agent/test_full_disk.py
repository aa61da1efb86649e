"""R3: a file system of 2 MB fills up under a running outbox and is freed again; alerts go on, losses are counted."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.outbox import Outbox, Scored
from sentry_proto.types import Stratum
from tests.sentry_proto.records import alert, window

pytestmark = [pytest.mark.slow, pytest.mark.promise("R3")]

SCORED = Scored(1, "P01", "stress", alerting=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a small file system here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def adds_up(outbox: Outbox, sent: int) -> None:
    totals = outbox.totals()
    assert totals.sent == sent == totals.acked + totals.spooled + totals.dropped
    assert totals.spooled == len(outbox.pending((), 10_000))


def test_a_full_disk_degrades_and_heals(disk: Path) -> None:
    outbox, sent = Outbox(disk / "outbox.sqlite"), 0
    while not outbox.trouble:
        outbox.put([window(f"{sent:032x}", stratum=Stratum.UNCERTAIN)], [SCORED])
        sent += 1
        assert sent < 1000, "2 MB cannot hold a thousand windows"
    assert "full" in outbox.trouble
    spooled = outbox.totals().spooled
    for _ in range(50):
        outbox.put([alert()], [SCORED])
        sent += 1
        adds_up(outbox, sent)
    assert sum(count.windows for count in outbox.counts()) == sent

    outbox.ack([sequence for sequence, _ in outbox.pending((), 20)])
    assert outbox.totals().spooled <= spooled, "acks get through on a full disk"
    begin = time.monotonic()
    while True:
        outbox.put([alert()], [SCORED])
        sent += 1
        if not outbox.trouble:
            break
        assert time.monotonic() - begin < 30, "heals within 30 s of room"
        time.sleep(0.1)
    adds_up(outbox, sent)
    outbox.close()

    again = Outbox(disk / "outbox.sqlite")
    adds_up(again, sent)
    assert sum(count.windows for count in again.counts()) == sent
    again.close()


def test_others_fill_the_disk_and_an_agent_starts_on_it(disk: Path) -> None:
    outbox = Outbox(disk / "outbox.sqlite")
    outbox.put([window()])
    outbox.close()
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    again = Outbox(disk / "outbox.sqlite")
    adds_up(again, 1)
    again.ack([1])
    assert again.totals().acked == 1
    filler.unlink()
    again.put([window(), alert()])
    assert again.trouble == ""
    adds_up(again, 3)
    again.close()
