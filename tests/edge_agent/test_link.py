"""The link: its parts are there before one of them speaks."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.link import Link
from edge_agent.outbox import DEFAULT_QUOTA
from edge_agent.slots import Slots
from edge_agent.state import State
from tests.edge_agent.trainer import Lab, Trainer, eventually


def test_a_trainer_that_answers_before_the_link_is_made_hears_a_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path)
    started = threading.Thread.start
    failed = threading.Event()

    def start(thread: threading.Thread) -> None:
        """As on a machine that is so busy that the new thread has the processor first."""
        started(thread)
        if thread.name == "uplink":
            eventually(lambda: trainer.heartbeats or failed.is_set(), "a heartbeat, or the end")

    monkeypatch.setattr(threading.Thread, "start", start)
    slots = Slots(tmp_path / "bundles", load=lambda _: pytest.fail("nothing is offered"))
    with closing(Trainer(lab)) as trainer:
        link = Link(lab.key, tmp_path, DEFAULT_QUOTA, slots, State(participant="P01"), lambda _: None, failed.set)
        with closing(link.outbox), closing(link):
            assert not failed.is_set()
