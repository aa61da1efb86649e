"""R6: latency, resets, half-open connections and cuts between a real agent's uplink and a real ingest socket."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.conftest import Reached
from tests.edge_agent.trainer import eventually
from tests.faults.conftest import WiredAgent, stored_once
from tests.faults.proxy import FaultProxy
from tests.trainer_service.conftest import Ingestion
from trainer_service.fleet import Moment

pytestmark = [pytest.mark.slow, pytest.mark.promise("R6")]

Wire = Callable[[str], WiredAgent]
KNOWN_S = 4.0
DRAINED_S = 60.0


def alive(ingestion: Ingestion, name: str) -> bool:
    (entry,) = ingestion.fleet.describe([name], Moment(time.time(), time.monotonic()))
    return bool(entry["alive"])


def both_know(ingestion: Ingestion, agent: WiredAgent) -> bool:
    return not agent.uplink.open and not alive(ingestion, "lab-1")


def test_latency_alone_is_no_fault(ingestion: Ingestion, proxy: FaultProxy, wire: Wire) -> None:
    proxy.delay(0.3)
    agent = wire("lab-1")
    eventually(lambda: agent.uplink.open, "the session opens")
    agent.record(100)
    opened = time.monotonic()
    while time.monotonic() - opened < 5:
        assert agent.uplink.open
        time.sleep(0.05)
    assert alive(ingestion, "lab-1")
    eventually(lambda: agent.drained, "all is acked", DRAINED_S)
    assert stored_once(ingestion.store, agent)
    assert proxy.connections == 1


@pytest.mark.parametrize("fault", ["cut", "half_open"])
@pytest.mark.parametrize("seconds", [6, pytest.param(600, marks=pytest.mark.soak)])
def test_a_partition_is_known_within_4_s_and_drained_within_60_s_of_its_end(
    ingestion: Ingestion, proxy: FaultProxy, wire: Wire, fault: str, seconds: float, reached: Reached
) -> None:
    agent = wire("lab-1")
    agent.record(20)
    eventually(lambda: agent.drained and alive(ingestion, "lab-1"), "records flow")
    getattr(proxy, fault)()
    began = time.monotonic()
    eventually(lambda: both_know(ingestion, agent), "both sides know", KNOWN_S)
    reached("both sides know after", time.monotonic() - began, f"{KNOWN_S:g} s")
    while time.monotonic() - began < seconds:
        agent.record(10)
        time.sleep(seconds / 20)
    assert agent.outbox.totals().spooled >= 30, "what is recorded meanwhile waits"
    assert agent.uplink.words != "connected"
    proxy.heal()
    healed = time.monotonic()
    eventually(lambda: agent.drained, "the spool drains", DRAINED_S)
    reached("drained after", time.monotonic() - healed, f"{DRAINED_S:g} s")
    eventually(lambda: alive(ingestion, "lab-1"), "the trainer sees it again", DRAINED_S)
    assert stored_once(ingestion.store, agent)


def test_resets_in_the_middle_of_everything_lose_and_double_nothing(
    ingestion: Ingestion, proxy: FaultProxy, wire: Wire
) -> None:
    agent = wire("lab-1")
    for _ in range(20):
        agent.record(15)
        time.sleep(0.15)
        proxy.reset()
    eventually(lambda: agent.drained, "the spool drains", DRAINED_S)
    assert stored_once(ingestion.store, agent)
    assert proxy.connections > 5


def test_a_fault_of_one_link_is_nobody_elses(ingestion: Ingestion, proxy: FaultProxy, wire: Wire) -> None:
    cut_off = wire("lab-1")
    direct = WiredAgent(ingestion.enroll("lab-2"), ingestion.home.folder / "lab-2")
    eventually(lambda: cut_off.uplink.open and direct.uplink.open, "both are connected")
    proxy.half_open()
    for _ in range(50):
        direct.record()
        eventually(lambda: direct.drained, "its record is acked", 2.0)
    assert alive(ingestion, "lab-2")
    direct.close()
