from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.pool import Pool
from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable
from sentry_proto.keys import CONTROL, KeyFile
from tests.dashboard.fake_trainer import FakeTrainer

PATIENCE_S = 5.0


class Opened:
    """Counts the connections that a pool makes."""

    def __init__(self, trainer: FakeTrainer, patience_s: float) -> None:
        self.number, self._key, self._patience_s = 0, KeyFile.load(trainer.key_path, CONTROL), patience_s

    def __call__(self) -> ControlClient:
        self.number += 1
        return ControlClient(self._key, self._patience_s)


@pytest.fixture
def opened(trainer: FakeTrainer) -> Opened:
    return Opened(trainer, PATIENCE_S)


@pytest.fixture
def pool(opened: Opened) -> Iterator[Pool]:
    made = Pool(opened)
    yield made
    made.close()


def test_a_question_that_stalls_keeps_nobody_else_waiting(trainer: FakeTrainer, pool: Pool) -> None:
    trainer.silent_on = "system"
    with ThreadPoolExecutor(1) as threads:
        stalled = threads.submit(pool.call, "system")
        assert trainer.kept_waiting.wait(PATIENCE_S)
        assert pool.call("status")["model_version"] == 2
        assert not stalled.done(), "the answer came while another was waited for"
        with pytest.raises(PeerUnreachable):
            stalled.result()


def test_one_after_another_they_take_one_connection(opened: Opened, pool: Pool) -> None:
    for _ in range(5):
        pool.call("status")
    assert opened.number == 1


def test_no_more_connections_than_were_allowed_and_none_is_lost_by_a_failure(trainer: FakeTrainer) -> None:
    opened = Opened(trainer, 0.5)
    pool = Pool(opened, size=2)
    trainer.silent_on = "system"
    for _ in range(3):
        with pytest.raises(PeerUnreachable):
            pool.call("system")
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(lambda _: pool.call("status"), range(12)))
    assert opened.number <= 2
    pool.close()
