"""The database behind the store: one SQLite file, or PostgreSQL.

Both promise the same:

                                           SQLite                    PostgreSQL
    what is written is on the disk         synchronous=FULL          its default
    writers wait (5 s) for one another     BEGIN IMMEDIATE           an advisory lock until the transaction ends
    a reader has one consistent view       WAL                       REPEATABLE READ

One writer at a time is no loss: a commit takes in whatever has arrived. It keeps the numbers of rows in the order in
which they become visible, and the learner remembers by these numbers how far it has read.

`sqlalchemy.dialects.postgresql.insert` serves both: SQLite writes ON CONFLICT alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from sentry_proto.errors import InputError, MissingDependency

Database = Path | str
"""A SQLite file, or `postgresql://user@host/name`."""

BUSY_TIMEOUT_MS = 5_000
WRITERS_LOCK = 0x5E47
"""The number of the advisory lock; any would do that no other program uses in the same database."""

_VIEWS = {"postgresql": {"isolation_level": "REPEATABLE READ"}}
_WRITES = {"sqlite": {"writes": True}}


def engine_of(database: Database, *, foreign_keys: bool = True) -> Engine:
    """A pool of connections; nothing is opened yet.

    Raises:
        InputError: if it is neither a file nor an address of PostgreSQL.
        MissingDependency: if the driver of PostgreSQL is not installed.
    """
    if isinstance(database, str):
        return _postgresql(database)
    engine = create_engine(URL.create("sqlite", database=str(database)))

    def set_up(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own transactions begin too late; see `begin`
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
            "secure_delete = ON",  # what is erased is overwritten, not only forgotten
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin)
    return engine


def _postgresql(address: str) -> Engine:
    url = address_of(address)
    try:
        return create_engine(url, pool_pre_ping=True, execution_options={"preserve_rowcount": True})
    except ImportError as error:
        raise MissingDependency("PostgreSQL needs its driver: pip install 'sentry-lab[trainer,postgresql]'") from error


def address_of(address: str) -> URL:
    """A PostgreSQL address, with the driver that is used here.

    Raises:
        InputError: if it is none.
    """
    try:
        url = make_url(address)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise InputError("a database is given as postgresql://user:password@host/name; without one, a file is used")
    return url.set(drivername="postgresql+psycopg")


def name_of(database: Database) -> str:
    """For messages: without a password."""
    return str(database) if isinstance(database, Path) else address_of(database).set(password=None).render_as_string()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view."""
    with engine.execution_options(**_VIEWS.get(engine.dialect.name, {})).begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that no other writer overlaps, durable when the block ends and undone if it raises."""
    with engine.execution_options(**_WRITES.get(engine.dialect.name, {})).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
        yield connection
