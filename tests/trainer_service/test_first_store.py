"""A store of the first released schema, step by step through every revision since, on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, select

from sentry_proto import codec
from sentry_proto.types import Window
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import arrival, hex_id, label, put_labels
from tests.trainer_service.first_store import FILE, Rows, contents, put_first
from trainer_service import migrations, schema
from trainer_service.database import Database, engine_of, reading, writing
from trainer_service.store import Store

STEPS = sorted(path.name[:4] for path in (migrations.HERE / "versions").glob("[0-9]*.py"))[1:]
MOVED = {"0003": {"audit_draws"}}
"""Tables that a revision puts into others; `ADDED` says where their rows are found."""

SHARED = {"agent": "lab-1", "participant": "P01", "session": "s0001", "model_version": 2, "entropy": 1.0}


def _score(number: int, task: str, stratum: str, **more: Any) -> dict[str, Any]:
    said = {"task": task, "stratum": stratum, "draw": None, "probabilities": [0.5, 0.25, 0.25], "alerting": False}
    start = {"window_id": hex_id(number), "start": 1_750_000_000.0 + 5 * number, "generic_alerting": None}
    return {**SHARED, **start, **said, **more}


SCORES = [
    _score(1, "stress", "audit", draw=0.0625),
    _score(2, "stress", "alert", alerting=True),
    _score(2, "focus", "alert"),
    _score(
        3, "stress", "uncertain", probabilities=[0.125, 0.375, 0.5], alerting=True, generic_alerting=False,
        agent="lab-2", participant="Łucja-07",
    ),
    _score(5, "stress", "audit"),
]  # fmt: skip
ADDED: dict[str, Callable[[dict[str, Rows]], object]] = {
    "0003": lambda now: (
        [{k: v for k, v in row.items() if k != "row"} for row in sorted(now["scores"], key=lambda row: row["row"])],
        [row["participant"] for row in sorted(now["labels"], key=lambda row: row["row"])],
    ),
    "0005": lambda now: {row["expression"] for row in now["windows"]},
}
EXPECTED: dict[str, object] = {"0003": (SCORES, ["P01", "P01", "Łucja-07"]), "0005": {""}}
"""What a revision makes of what was there; those that are missing only add what is empty."""


@pytest.fixture
def first(database: Database, tmp_path: Path) -> Database:
    """The committed store, or its rows in PostgreSQL."""
    if isinstance(database, Path):
        shutil.copy(FILE, database)
        return database
    shutil.copy(FILE, tmp_path / "first.db")
    with create_engine(f"sqlite:///{tmp_path}/first.db").connect() as connection:
        put_first(database, contents(connection))
    return database


def keeps(before: dict[str, Rows], after: dict[str, Rows], moved: set[str]) -> None:
    """Every table, row and column from before is there, unchanged."""
    for name in before.keys() - moved:
        columns = before[name][0] if before[name] else {}
        kept = [{column: row[column] for column in columns} for row in after[name]]
        assert sorted(kept, key=repr) == before[name], name


def missing(connection: Connection) -> list[Any]:
    """What the tables lack of those of `schema`."""
    found: list[Any] = compare_metadata(
        MigrationContext.configure(connection, opts={"compare_type": True}), schema.metadata
    )
    return found


def test_every_revision_keeps_what_the_first_one_stored(first: Database) -> None:
    engine = engine_of(first, foreign_keys=False)
    with reading(engine) as connection:
        now = contents(connection)
        assert migrations.revision_of(connection) == "0001"
        assert all(now.values()), "there is something in every table"
    for step in STEPS:
        with writing(engine) as connection:
            migrations.upgrade(connection, step)
        with reading(engine) as connection:
            before, now = now, contents(connection)
            assert migrations.revision_of(connection) == step
        keeps(before, now, MOVED.get(step, set()))
        assert (ADDED[step](now) if step in ADDED else None) == EXPECTED.get(step), step
    with reading(engine) as connection:
        assert missing(connection) == []
    engine.dispose()


def test_a_store_of_the_first_release_is_read_and_written_on(first: Database, tmp_path: Path) -> None:
    store = Store(first, tmp_path / "copies")
    with store.read() as connection:
        records = list(connection.execute(select(schema.windows.c.window_id, schema.windows.c.record)))
    read = {row.window_id: codec.decode_record(row.record) for row in records}
    assert [one.window_id for one in read.values() if isinstance(one, Window)] == list(read)
    assert len(read) == 5
    assert store.scored_with(2) == {"lab-1": 81}
    assert store.last_heartbeats()["lab-2"] == (
        {"stream": "5" * 32, "camera_state": "ok", "sent": 10, "acked": 7, "spooled": 2, "dropped": 1},
        1_750_000_099.5,
    )
    assert store.ingest([arrival(window(hex_id(6)), 6)], 0.0) == [None]
    assert put_labels(store, label(1000, hex_id(6)), label(203, hex_id(3), "stressed")) == [True, False], (
        "the second is known"
    )
    with store.read() as connection:
        rows = list(connection.scalars(select(schema.labels.c.row).order_by(schema.labels.c.row)))
    assert rows == [1, 2, 3, 4, 5], "the old self-report labels the new window, too"
    store.close()
    (copy,) = (tmp_path / "copies").glob("before-migration-from-0001.*.copy")
    assert copy.stat().st_size > 0
