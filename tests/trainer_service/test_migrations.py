"""The migrations make the tables of `schema`, keep what is stored, and refuse what a newer version wrote."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, inspect, select, text

from sentry_proto.errors import StorageError
from sentry_proto.types import Stratum
from tests.sentry_proto.records import prediction, window
from tests.trainer_service.conftest import arrival, hex_id, label, put_labels, put_windows
from trainer_service import migrations, schema
from trainer_service.store import Store

SINCE_0006 = ("DROP TABLE links", "ALTER TABLE self_reports DROP COLUMN words")
NEWER = (
    *SINCE_0006,
    "ALTER TABLE windows DROP COLUMN expression",
    *(f"DROP TABLE {name}" for name in ("sign_ins", "accounts", "audit", "withdrawals", "erasures")),
    *(f"DROP INDEX ix_{name}_participant" for name in ("remarks", "alerts")),
    "DROP TABLE scores",
    "CREATE TABLE audit_draws (window_id VARCHAR, probability FLOAT)",
    "DROP INDEX ix_labels_participant",
    "ALTER TABLE labels DROP COLUMN participant",
)
"""What takes a store back to revision 0002."""


def set_revision(store: Store, revision: str) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_the_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    with store.read() as connection:
        found = MigrationContext.configure(connection, opts={"compare_type": True})
        missing = compare_metadata(found, schema.metadata)
        assert migrations.revision_of(connection) == schema.REVISION
    assert missing == [], 'write the missing migration with: make migration WORDS="what changes"'


def test_a_newer_database_is_refused_untouched(store: Store) -> None:
    set_revision(store, "9999")
    with pytest.raises(StorageError, match=r"written by a newer version of Sentry \(schema 9999; this one knows up to"):
        Store(store.database)
    with store.read() as connection:
        assert migrations.revision_of(connection) == "9999"


def test_an_unnumbered_store_is_copied_and_migrated(tmp_path: Path) -> None:
    """As development versions before the first release made them: with a table `meta`, and without later tables."""
    path = tmp_path / "store.sqlite"
    old = Store(path)
    old.ingest([arrival(window(hex_id(1)), 1)], 0.0)
    old.close()
    with closing(sqlite3.connect(path)) as connection:
        first = ("DROP TABLE alembic_version", "DROP TABLE self_reports", "CREATE TABLE meta (key, value)")
        for change in (*NEWER, *first):
            connection.execute(change)
    store = Store(path)
    with store.read() as connection:
        assert migrations.revision_of(connection) == schema.REVISION
        assert connection.scalars(select(schema.windows.c.expression)).all() == [""], "it does not say"
        assert connection.scalar(select(func.count()).select_from(schema.self_reports)) == 0
    store.close()
    (copy,) = tmp_path.glob("before-migration-from-unnumbered.*.copy")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM windows").fetchone() == (1,)
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'self_reports'").fetchone() is None


def test_a_failed_migration_leaves_the_database_as_it_was(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ingest([arrival(window(hex_id(1)), 1)], 0.0)
    with store.write() as connection:
        for change in (*NEWER, "DROP TABLE alembic_version", "DROP TABLE self_reports"):
            connection.execute(text(change))
    whole = migrations.upgrade

    def broken(connection: object) -> None:
        whole(connection)  # type: ignore[arg-type]
        raise StorageError("the power fails")

    monkeypatch.setattr(migrations, "upgrade", broken)
    with pytest.raises(StorageError, match="power"):
        Store(store.database, tmp_path)
    with store.read() as connection:
        assert migrations.revision_of(connection) is None
        assert connection.scalar(select(func.count()).select_from(schema.windows)) == 1


def test_scores_and_whom_a_label_is_about_are_made_from_what_was_stored(store: Store, tmp_path: Path) -> None:
    personal = dataclasses.replace(prediction(), personal=(0.5, 0.25, 0.25), generic_alerting=True)
    put_windows(
        store,
        [
            window(hex_id(1), stratum=Stratum.AUDIT, predictions=(prediction(),), audit_probability=0.2),
            window(hex_id(2), predictions=(prediction(alerting=True), prediction("focus"))),
            window(hex_id(3), predictions=(personal,)),
            window(hex_id(4), predictions=()),
        ],
    )
    put_labels(store, label(1, hex_id(2)))
    with store.write() as connection:
        before = connection.execute(select(schema.scores)).all()
        for change in NEWER:
            connection.execute(text(change))
        connection.execute(text(f"INSERT INTO audit_draws VALUES ('{hex_id(1)}', 0.2)"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    migrated = Store(store.database, tmp_path)
    with migrated.read() as connection:
        assert connection.execute(select(schema.scores)).all() == before
        assert connection.scalars(select(schema.labels.c.participant)).all() == ["P01"]
        assert not inspect(connection).has_table("audit_draws")
    migrated.close()
    assert [(row.window_id, row.draw, row.generic_alerting) for row in before] == [
        (hex_id(1), 0.2, None), (hex_id(2), None, None), (hex_id(2), None, None), (hex_id(3), None, True),
    ]  # fmt: skip


def test_a_row_of_an_erased_label_is_not_used_again(store: Store, tmp_path: Path) -> None:
    put_windows(store, [window(hex_id(1), predictions=(prediction(),))])

    def newest(where: Store, number: int) -> int:
        put_labels(where, label(number, hex_id(1), rater=f"R{number}"))
        with where.write() as connection:
            row = connection.scalar(select(func.max(schema.labels.c.row)))
            connection.execute(schema.labels.delete().where(schema.labels.c.row == row))
        assert isinstance(row, int)
        return row

    put_labels(store, label(1, hex_id(1)))
    rows = [newest(store, number) for number in (2, 3)]
    assert rows == [2, 3]
    with store.write() as connection:
        for change in (*SINCE_0006, "UPDATE alembic_version SET version_num = '0005'"):
            connection.execute(text(change))
    migrated = Store(store.database, tmp_path)
    rows = [newest(migrated, number) for number in (4, 5)]
    migrated.close()
    assert rows[1] > rows[0]
