"""An ingest socket on a real store, and agents that reach it over a link that can fail."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from edge_agent.outbox import Outbox
from edge_agent.state import State, heartbeat
from edge_agent.uplink import Uplink
from sentry_proto import limits
from sentry_proto.keys import KeyFile
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.types import Hello
from tests.faults.proxy import FaultProxy
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import Ingestion, database, home, ingestion, store
from trainer_service import schema
from trainer_service.store import Store

__all__ = ["database", "home", "ingestion", "store"]


class WiredAgent:
    """A real outbox and a real uplink, without a camera."""

    def __init__(self, key: KeyFile, folder: Path) -> None:
        folder.mkdir()
        self.outbox = Outbox(folder / "outbox.sqlite")
        self.state = State(participant="P01", session="s0001")
        self.died = threading.Event()
        hello = Hello(limits.PROTOCOL, self.outbox.stream, LAYOUT_ID, "test")
        self.uplink = Uplink(
            key,
            self.outbox,
            hello,
            heartbeat=lambda _: heartbeat(self.state, self.outbox),
            on_model=lambda version: None,
            on_audit=lambda audit: None,
            on_offsets=lambda offsets: None,
            on_failure=self.died.set,
        )
        self.spooled = 0

    def record(self, count: int = 1) -> None:
        """Spool so many windows."""
        for _ in range(count):
            self.spooled += 1
            self.outbox.put([window(f"{self.outbox.stream[:16]}{self.spooled:016x}")])

    @property
    def drained(self) -> bool:
        """Whether everything that was spooled is acked."""
        totals = self.outbox.totals()
        assert totals.sent == totals.acked + totals.spooled + totals.dropped == self.spooled
        return totals.acked == self.spooled

    def close(self) -> None:
        """End it, as a process would be ended."""
        self.uplink.close(drain_s=0)
        self.outbox.close()


def stored_once(store: Store, agent: WiredAgent) -> bool:
    """Whether all that the agent spooled lies in the store, each record once."""
    with store.read() as connection:
        query = select(schema.windows.c.sequence).where(schema.windows.c.stream == agent.outbox.stream)
        found = Counter(connection.scalars(query))
    return found == Counter(range(1, agent.spooled + 1))


@pytest.fixture
def proxy(ingestion: Ingestion) -> Iterator[FaultProxy]:
    """A link to the ingest socket."""
    proxy = FaultProxy(port_of(ingestion))
    yield proxy
    proxy.close()


def port_of(ingestion: Ingestion) -> int:
    """Where the ingest socket listens."""
    key = ingestion.enroll("anybody")
    return int(key.endpoints.ingest.rpartition(":")[2])


@pytest.fixture
def wire(ingestion: Ingestion, proxy: FaultProxy, tmp_path: Path) -> Iterator[Callable[[str], WiredAgent]]:
    """Enrols and starts agents behind the proxy."""
    agents: list[WiredAgent] = []

    def start(name: str) -> WiredAgent:
        key = ingestion.enroll(name)
        ends = dataclasses.replace(key.endpoints, ingest=f"tcp://127.0.0.1:{proxy.port}")
        agents.append(WiredAgent(dataclasses.replace(key, endpoints=ends), tmp_path / name))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()
