"""What is read bit by bit is what plainly reading all windows and labels would find."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select

from sentry_proto.types import Stratum, Window
from tests.sentry_proto.records import prediction, window
from tests.trainer_service.conftest import TASKS, arrival, hex_id, label, put_labels, put_windows
from trainer_service import labels, schema
from trainer_service.judged_feed import JudgedFeed
from trainer_service.scored import UNSAID
from trainer_service.store import Store

STRESS = TASKS["stress"]
TENSE = ("stressed", "calm", "true alarm", "false alarm")


def seen(number: int, dice: random.Random) -> Window:
    """A window of some person under some version; some are of before the first head."""
    said = dataclasses.replace(
        prediction(alerting=dice.random() < 0.5), probabilities=dice.choice([(0.1, 0.2, 0.7), (0.5, 0.3, 0.2)])
    )
    if dice.random() < 0.3:
        said = dataclasses.replace(said, personal=(0.2, 0.2, 0.6), generic_alerting=dice.random() < 0.5)
    return window(
        hex_id(number), start=1_750_000_000.0 + 25 * number, participant=f"P{number % 3}",
        stratum=dice.choice([*Stratum]), model_version=number % 2 + 1,
        predictions=(prediction("focus"), said) if number % 5 else (),
        audit_probability=dice.choice((0.0, 0.2)),
    )  # fmt: skip


def plainly(connection: Connection) -> dict[float, tuple[Any, ...]]:
    """Start of each judged window -> what is known of it, from the windows themselves."""
    found = {}
    for row in connection.execute(select(schema.windows).order_by(schema.windows.c.row)):
        said = next((entry for entry in row.predictions if entry["task"] == "stress"), None)
        table = schema.labels.c
        standing = select(table.value).where(
            table.window_id == row.window_id, table.task == "stress", table.withdrawn.is_(None)
        )
        values = connection.scalars(standing.order_by(table.row)).all()
        if said is not None and values:
            audit = row.stratum == "audit"
            found[row.start] = (
                row.participant, row.model_version, bool(STRESS.is_event(values[-1])), audit, said["alerting"],
                bool(said["personal"]), bool(said["personal"]) and said["generic_alerting"],
                round((said["personal"] or said["probabilities"])[-1], 6),
            )  # fmt: skip
    return found


def read(feed: JudgedFeed, connection: Connection) -> dict[Any, tuple[Any, ...]]:
    judged = feed.read(connection)
    shown = judged.seen
    starts = [
        connection.scalar(select(schema.windows.c.start).where(schema.windows.c.window_id == name))
        for name in feed._places
    ]
    columns = (
        shown.participant, shown.model_version, judged.event.astype(bool), shown.blind, shown.on, shown.offset,
        shown.generic_on, shown.confidence.round(6),
    )  # fmt: skip
    return dict(zip(starts, zip(*(column.tolist() for column in columns), strict=True), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_labels_come_are_corrected_withdrawn_and_erased(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    put_windows(store, [seen(number, dice) for number in range(1, 13)])
    feed = JudgedFeed(STRESS)
    for number in range(1, 60):
        put_labels(store, label(number, hex_id(dice.randint(1, 12)), dice.choice(TENSE), rater=dice.choice("abc")))
        with store.write() as connection:
            if dice.random() < 0.2:
                labels.withdraw(connection, hex_id(dice.randint(1, number)), 1.0)
            if number == 30:
                gone = [hex_id(dice.randint(1, 12)) for _ in range(3)]
                connection.execute(delete(schema.labels).where(schema.labels.c.window_id.in_(gone)))
                connection.execute(delete(schema.windows).where(schema.windows.c.window_id.in_(gone)))
                put_back = [seen(int(name, 16), dice) for name in set(gone)]
        if number == 30:
            store.ingest([arrival(one, 100 + place) for place, one in enumerate(put_back)], 0.0)
        if dice.random() < 0.5:
            with store.read() as connection:
                assert read(feed, connection) == plainly(connection)


def test_the_probability_of_a_draw_is_the_agents_or_their_default(store: Store) -> None:
    drawn = window(hex_id(1), stratum=Stratum.AUDIT, audit_probability=0.2, predictions=(prediction(),))
    unsaid = window(hex_id(2), stratum=Stratum.AUDIT, predictions=(prediction(),))
    put_windows(store, [drawn, unsaid])
    put_labels(store, label(1, hex_id(1)), label(2, hex_id(2)))
    with store.read() as connection:
        assert JudgedFeed(STRESS).read(connection).seen.draw.tolist() == [0.2, UNSAID]
