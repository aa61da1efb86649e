from __future__ import annotations

import dataclasses
import logging
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sentry_proto.metrics import LOCAL, offered
from tests.sentry_proto.records import heartbeat, window
from tests.trainer_service.conftest import arrival, hex_id
from trainer_service import registry
from trainer_service.fleet import Fleet, Moment
from trainer_service.metrics import TrainerCollector
from trainer_service.registry import Decision
from trainer_service.store import Store

REFUSED = Decision(1.0, "labels", "stress", "refused", "not better", 1, 0, None, 10, 2, {}, 10)


def decide(store: Store) -> None:
    with store.write() as connection:
        registry.record(connection, [REFUSED, dataclasses.replace(REFUSED, task="focus")])


def test_prometheus_reads_what_the_trainer_knows(store: Store) -> None:
    store.ingest([arrival(window(hex_id(1)), 1)], 0.0)
    decide(store)
    fleet = Fleet({})
    now = time.time()
    fleet.heard("lab-1", heartbeat(time=now + 90, update_state="frozen: signatures"), Moment(now, time.monotonic()))
    fleet.heard("lab-3", heartbeat(time=now, error="the disk is full"), Moment(now, time.monotonic()))

    def agents() -> list[dict[str, Any]]:
        return fleet.describe(["lab-1", "lab-2", "lab-3"], Moment(time.time(), time.monotonic()))

    collector = TrainerCollector(store, {"acked items": 7}, agents, lambda: 3)
    with offered(collector, LOCAL, 0) as port, urllib.request.urlopen(f"http://{LOCAL}:{port}/metrics") as reply:
        page = reply.read().decode()
    for line in (
        'sentry_trainer_items_total{fate="acked items"} 7.0',
        'sentry_trainer_items_total{fate="refused frames"} 0.0',
        'sentry_trainer_stored{kind="windows"} 1.0',
        'sentry_trainer_decisions_total{verdict="refused"} 2.0',
        "sentry_trainer_model_version 3.0",
        'sentry_trainer_agent_alive{agent="lab-1"} 1.0',
        'sentry_trainer_agent_alive{agent="lab-2"} 0.0',
        'sentry_trainer_agent_updates{agent="lab-1",trouble="frozen"} 1.0',
        'sentry_trainer_agent_updates{agent="lab-3",trouble="frozen"} 0.0',
        'sentry_trainer_agent_clock_off_seconds{agent="lab-1"} 90.0',
        'sentry_trainer_agent_error{agent="lab-1"} 0.0',
        'sentry_trainer_agent_error{agent="lab-3"} 1.0',
    ):
        assert f"{line}\n" in page
    assert ("sentry_trainer_disk_free_bytes" in page) == isinstance(store.database, Path)
    assert "P01" not in page


def test_every_decision_is_one_line_of_the_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        decide(store)
    assert [record.getMessage() for record in caplog.records] == [
        f"decision on {task}: refused (labels): not better" for task in ("stress", "focus")
    ]
