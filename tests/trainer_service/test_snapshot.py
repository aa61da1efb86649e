"""A lab machine is put back from a snapshot: its outbox gives numbers for the second time, and nothing may be lost."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from edge_agent.outbox import Outbox, Scored
from edge_agent.state import State, heartbeat
from edge_agent.uplink import Uplink
from sentry_proto import limits
from sentry_proto.keys import KeyFile
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.types import Hello
from tests.e2e.study import eventually
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import Ingestion, hex_id
from trainer_service import schema

pytestmark = pytest.mark.promise("R1")


@contextmanager
def running(key: KeyFile, path: Path) -> Iterator[Outbox]:
    """An agent's outbox with its uplink."""
    outbox, state = Outbox(path), State(participant="P01", session="s1")
    hello = Hello(limits.PROTOCOL, outbox.stream, LAYOUT_ID, "test")
    failed = threading.Event()
    uplink = Uplink(
        key,
        outbox,
        hello,
        lambda _: heartbeat(state, outbox),
        lambda _: None,
        lambda _: None,
        lambda _: None,
        failed.set,
    )
    yield outbox
    uplink.close(drain_s=0)
    outbox.close()
    assert not failed.is_set()


def drained(outbox: Outbox) -> bool:
    totals = outbox.totals()
    assert totals.sent == totals.acked + totals.spooled + totals.dropped
    return totals.spooled == 0


def stored(ingestion: Ingestion) -> set[str]:
    with ingestion.store.read() as connection:
        return set(connection.scalars(select(schema.windows.c.window_id)))


def counted(ingestion: Ingestion) -> int:
    with ingestion.store.read() as connection:
        return sum(connection.scalars(select(schema.weekly_counts.c.windows)))


def test_what_a_machine_sends_after_it_was_put_back_is_stored(ingestion: Ingestion, tmp_path: Path) -> None:
    key, path = ingestion.enroll("lab-1"), tmp_path / "outbox.sqlite"
    calm = Scored(0, "P01", "stress", False)
    outbox = Outbox(path)
    outbox.put([window(hex_id(n), seed=n) for n in range(1, 4)], [calm] * 3)
    outbox.close()
    shutil.copy(path, tmp_path / "snapshot")
    with running(key, path) as outbox:
        outbox.put([window(hex_id(n), seed=n) for n in range(4, 100)], [calm] * 96)
        eventually(lambda: drained(outbox), 10, "all is sent")
        eventually(lambda: counted(ingestion) == 99, 10, "all is counted")
        old = outbox.stream
    for file in (path, tmp_path / "outbox.sqlite-wal", tmp_path / "outbox.sqlite-shm"):
        file.unlink(missing_ok=True)
    shutil.copy(tmp_path / "snapshot", path)
    with running(key, path) as outbox:
        outbox.put([window(hex_id(n), seed=n) for n in range(100, 180)])
        eventually(lambda: drained(outbox), 10, "all is sent once more")
        assert outbox.totals().dropped == 0
        assert outbox.stream != old
        outbox.put([], [calm] * 7)
        eventually(
            lambda: counted(ingestion) == 99 + 7, 10, "what is scored from now on is counted, and no window twice"
        )
    assert stored(ingestion) == {hex_id(n) for n in range(1, 180)}


def test_another_agent_gets_no_ack_for_a_window_id_that_is_taken(ingestion: Ingestion, tmp_path: Path) -> None:
    for name in ("lab-1", "lab-2"):
        with running(ingestion.enroll(name), tmp_path / f"{name}.sqlite") as outbox:
            outbox.put([window(hex_id(1))])
            eventually(lambda: drained(outbox), 10, "it is answered")
            assert outbox.totals().dropped == (name == "lab-2")
