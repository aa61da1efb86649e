"""A trainer's folder, store and sockets, all real, on ports of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zmq

from sentry_proto import codec, limits
from sentry_proto.curve import Gatekeeper, client_socket
from sentry_proto.keys import AGENT, CONTROL, KeyFile
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import AgentFrame, Hello, Item, Label, Record, TrainerFrame, Window
from tests.e2e.study import free_port
from tests.trainer_service import postgres
from trainer_service import keyring, labels
from trainer_service.database import Database
from trainer_service.enrolment import Enrolment
from trainer_service.fleet import Fleet
from trainer_service.ingest import Intake
from trainer_service.keyring import Home
from trainer_service.sockets import Context, IngestThread
from trainer_service.store import Arrival, Store

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TASKS = {task.name: task for task in DEFAULT_TASKS}
STREAM = "5" * 32


def hex_id(number: int) -> str:
    """A window, alert or label id."""
    return f"{number:032x}"


def label(number: int, window_id: str, value: str = "calm", **changes: object) -> Label:
    """A valid label of the stress task."""
    fields: dict[str, object] = {"task": "stress", "source": "observer", "rater": "ann"}
    return Label(hex_id(number), window_id, value=value, **{**fields, **changes})  # type: ignore[arg-type]


def arrival(record: Record, sequence: int, agent: str = "lab-1") -> Arrival:
    """A record as ingest hands it to the store."""
    return Arrival(agent, STREAM, sequence, record, codec.encode_record(record))


def put_windows(store: Store, windows: list[Window]) -> None:
    """Store windows as agent lab-1 sends them."""
    assert store.ingest([arrival(window, i) for i, window in enumerate(windows, 1)], 0.0) == [None] * len(windows)


def put_labels(store: Store, *given: Label) -> list[bool]:
    """Store checked labels, each in a transaction of its own; returns which were new."""
    fresh = []
    for one in given:
        labels.check(one, TASKS)
        with store.write() as connection:
            fresh.append(labels.put(connection, one, 0.0))
    return fresh


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The folder of a trainer that has never run."""
    return keyring.init(tmp_path / "trainer", "127.0.0.1", free_port(), NOW)


BOTH = {
    f"test_{name}"
    for name in (
        "accounts",
        "backup",
        "control_api",
        "erasure",
        "expression",
        "first_store",
        "forms",
        "housekeeping",
        "judged_feed",
        "labels",
        "links",
        "metrics",
        "migrations",
        "model_card",
        "neighbours",
        "registry",
        "retention",
        "self_reports",
        "store",
        "study",
    )
}
"""Modules whose tests run on both databases: those of the code that speaks SQL."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give what uses the store a SQLite file, and the modules of `BOTH` PostgreSQL, too."""
    if "database" in metafunc.fixturenames:
        kinds = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
        both = metafunc.module.__name__.rpartition(".")[2] in BOTH
        metafunc.parametrize("database", kinds if both else kinds[:1], indirect=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server."""
    with postgres.running() as cluster:
        yield cluster


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Where no store is yet: a SQLite file, where the module asks for nothing else."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return tmp_path / "store.sqlite"
    address: str = request.getfixturevalue("cluster").new_database()
    return address


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    store = Store(database, tmp_path / "copies")
    yield store
    store.close()


@dataclass
class Ingestion:
    """A running ingest socket and what stands behind it."""

    home: Home
    store: Store
    fleet: Fleet
    intake: Intake
    thread: IngestThread
    context: Context
    allowed: Enrolment
    gatekeeper: Gatekeeper
    model_version: int = 0
    audit: float = 0.0

    def enroll(self, name: str) -> KeyFile:
        """Enrol an agent."""
        return keyring.enroll(self.home, name, self.home.folder / f"{name}.key", AGENT, NOW)


@pytest.fixture
def ingestion(home: Home, store: Store) -> Iterator[Ingestion]:
    """The ingest socket under CURVE, on a real store."""
    context: Context = zmq.Context()
    allowed = Enrolment(home.enrolled)
    gatekeeper = Gatekeeper(context, allowed, (AGENT, CONTROL))
    server = keyring.load_server_key(home)
    fleet = Fleet({})
    intake = Intake(store, fleet, allowed, DEFAULT_TASKS, lambda _: running.model_version, lambda _: running.audit)
    thread = IngestThread(context, server.endpoints.ingest, server.secret, intake, allowed)
    running = Ingestion(home, store, fleet, intake, thread, context, allowed, gatekeeper)
    thread.start()
    yield running
    thread.stop()
    gatekeeper.close()
    context.term()


class Caller:
    """One agent's connection, frame by frame."""

    def __init__(self, key: KeyFile) -> None:
        self._context: Context = zmq.Context()
        self._socket = client_socket(self._context, key.endpoints.ingest, key)

    def send(self, frame: AgentFrame | bytes) -> None:
        """Send a frame, or bytes that may be none."""
        self._socket.send(frame if isinstance(frame, bytes) else codec.encode_agent_frame(frame))

    def hello(self, layout_id: str = LAYOUT_ID, protocol: int = limits.PROTOCOL) -> None:
        """Greet."""
        self.send(Hello(protocol, STREAM, layout_id, "test"))

    def item(self, sequence: int, record: Record | bytes) -> None:
        """Send a record."""
        data = record if isinstance(record, bytes) else codec.encode_record(record)
        self.send(Item(STREAM, sequence, data))

    def hear(self, kind: type[TrainerFrame], timeout_s: float = 5.0) -> TrainerFrame | None:
        """The next frame of this kind; None if none comes in time."""
        while self._socket.poll(int(1000 * timeout_s)):
            frame = codec.decode_trainer_frame(self._socket.recv())
            if isinstance(frame, kind):
                return frame
        return None

    def close(self) -> None:
        """Hang up."""
        self._socket.close(0)
        self._context.term()


@pytest.fixture
def call() -> Iterator[Callable[[KeyFile], Caller]]:
    """Opens connections that end with the test."""
    callers: list[Caller] = []

    def open_one(key: KeyFile) -> Caller:
        callers.append(Caller(key))
        return callers[-1]

    yield open_one
    for caller in callers:
        caller.close()
