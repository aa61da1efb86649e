"""Two trainers' ingest on one PostgreSQL: whatever both are sent at once is stored once, and nothing is lost."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

import pytest
from sqlalchemy import func, select

from sentry_proto.types import ScoredCount
from tests.sentry_proto.records import alert, heartbeat, window
from tests.trainer_service.conftest import arrival, hex_id
from tests.trainer_service.postgres import Cluster
from trainer_service import schema
from trainer_service.store import Store

WINDOWS, BATCH = 300, 10


def ingest(database: str, side: int, pipe: Connection) -> None:
    """What one process does: all windows, the other way round than its twin, and heartbeats between them."""
    store = Store(database)
    numbers = list(range(1, WINDOWS + 1))[:: 1 if side == 0 else -1]
    pipe.send("ready")
    pipe.recv()
    refused = 0
    for begin in range(0, WINDOWS, BATCH):
        batch = [arrival(window(hex_id(number)), number) for number in numbers[begin : begin + BATCH]]
        own = arrival(alert(alert_id=hex_id(10_000 * (1 + side) + begin)), WINDOWS + begin + 1, agent=f"lab-{side}")
        refused += sum(reason is not None for reason in store.ingest([*batch, own], 5.0))
        beat = heartbeat(counts=(ScoredCount(1, "P01", "stress", False, begin + BATCH),))
        store.keep_heartbeats([("lab-1", beat, 1.0)])
    store.close()
    pipe.send(refused)


@pytest.mark.slow
@pytest.mark.promise("R1", form="two ingest processes on one database")
def test_two_processes_lose_and_double_nothing(cluster: Cluster) -> None:
    database = cluster.new_database()
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for side in (0, 1):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=ingest, args=(database, side, theirs), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        assert pipe.recv() == "ready"
    for pipe in pipes:
        pipe.send("go")
    assert [pipe.recv() for pipe in pipes] == [0, 0]
    for process in processes:
        process.join()
    store = Store(database)
    with store.read() as connection:
        count = select(func.count())
        assert connection.scalar(count.select_from(schema.windows)) == WINDOWS
        assert connection.scalar(count.select_from(schema.alerts)) == 2 * WINDOWS // BATCH
        assert connection.scalar(select(schema.scored_counts.c.windows)) == WINDOWS
        assert connection.scalar(select(func.sum(schema.weekly_counts.c.windows))) == WINDOWS
    store.close()
