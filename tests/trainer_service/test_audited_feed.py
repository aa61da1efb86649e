"""What is kept of the newest audit windows is what reading them all would find."""

from __future__ import annotations

import dataclasses
import random

import pytest
from sqlalchemy import Connection, delete

from sentry_proto.types import Stratum
from tests.sentry_proto.records import prediction, window
from tests.trainer_service.conftest import TASKS, arrival, hex_id
from trainer_service import audited_feed, schema
from trainer_service.audited_feed import AuditedFeed
from trainer_service.store import Store

STRESS = TASKS["stress"]
MOST = 8


def put(store: Store, number: int, dice: random.Random) -> None:
    probabilities = dice.choice([(0.1, 0.2, 0.7), (0.5, 0.3, 0.2)])
    one = window(
        hex_id(number), start=1_750_000_000.0 + 25 * number, participant=f"P{number % 3}",
        stratum=dice.choice([*Stratum]), predictions=(dataclasses.replace(prediction(), probabilities=probabilities),),
    )  # fmt: skip
    assert store.ingest([arrival(one, number)], 0.0) == [None]


def plainly(connection: Connection, participant: str = "") -> list[tuple[float, str, float]]:
    """Minute, person and confidence of the newest audit windows, from the table of windows."""
    table = schema.windows.c
    rows = connection.execute(schema.windows.select().order_by(table.row.desc())).all()
    audited = [row for row in rows if row.stratum == "audit" and participant in ("", row.participant)]
    return [
        (row.start // 60, row.participant, round(row.predictions[0]["probabilities"][-1], 6)) for row in audited[:MOST]
    ]


def read(feed: AuditedFeed, connection: Connection, **where: str) -> list[tuple[float, str, float]]:
    seen = feed.read(connection, where)
    minutes = (seen.cluster % 2**32).tolist()
    return list(zip(minutes, seen.participant.tolist(), seen.confidence.round(6).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_windows_come_grow_old_and_are_erased(store: Store, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audited_feed, "MOST_AUDITED", MOST)
    dice, feed = random.Random(seed), AuditedFeed(STRESS)
    for number in range(1, 80):
        put(store, number, dice)
        if dice.random() < 0.1:
            with store.write() as connection:  # often the newest, whose number the next window gets
                connection.execute(delete(schema.windows).where(schema.windows.c.window_id >= hex_id(number - 2)))
        if dice.random() < 0.5:
            with store.read() as connection:
                assert read(feed, connection) == plainly(connection)
                assert read(feed, connection, participant="P1") == plainly(connection, "P1")


def test_windows_of_a_number_that_was_erased_are_read(store: Store) -> None:
    feed = AuditedFeed(STRESS)

    def put_audited(number: int) -> None:
        one = window(hex_id(number), stratum=Stratum.AUDIT, participant=f"P{number}", predictions=(prediction(),))
        assert store.ingest([arrival(one, number)], 0.0) == [None]

    for number in (1, 2):
        put_audited(number)
    with store.read() as connection:
        feed.read(connection, {})
    with store.write() as connection:
        connection.execute(delete(schema.windows).where(schema.windows.c.window_id == hex_id(2)))
    put_audited(3)
    with store.read() as connection:
        assert feed.read(connection, {}).participant.tolist() == ["P3", "P1"]
