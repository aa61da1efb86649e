from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zmq
from sqlalchemy import select

from sentry_proto import sentry_pb2 as pb
from sentry_proto.curve import ConnectionWatch, Gatekeeper, client_socket, server_socket, watched_client_socket
from sentry_proto.keys import AGENT, CONTROL, KeyFile
from sentry_proto.types import Ack, Pulse, Refusal, Welcome
from tests.e2e.study import free_port
from tests.sentry_proto.records import heartbeat, window
from tests.trainer_service.conftest import NOW, Caller, Ingestion, hex_id
from trainer_service import keyring, schema
from trainer_service.enrolment import Enrolment
from trainer_service.fleet import Moment
from trainer_service.sockets import RequestThread, bind_address
from trainer_service.update_server import Updates

Call = Callable[[KeyFile], Caller]


def test_a_session(ingestion: Ingestion, call: Call) -> None:
    caller = call(ingestion.enroll("lab-1"))
    caller.hello()
    assert isinstance(caller.hear(Welcome), Welcome)
    caller.item(1, window())
    assert caller.hear(Ack) == Ack((1,))
    caller.item(2, b"nonsense")
    refusal = caller.hear(Refusal)
    assert isinstance(refusal, Refusal)
    assert refusal.sequence == 2


def test_publication_is_told_at_once(ingestion: Ingestion, call: Call) -> None:
    caller = call(ingestion.enroll("lab-1"))
    caller.hello()
    caller.hear(Pulse)
    ingestion.model_version = 3
    started = time.monotonic()
    ingestion.thread.pulse_now()
    heard = caller.hear(Pulse)
    assert isinstance(heard, Pulse)
    assert heard.model_version == 3
    assert time.monotonic() - started < 0.5


FETCH = pb.FetchRequest(path="metadata/1.root.json").SerializeToString()
ASK = pb.ControlRequest(request_id="r", method="status", params="{}").SerializeToString()


@pytest.fixture
def all_three(ingestion: Ingestion) -> Iterator[dict[str, list[bytes]]]:
    """The updates and the control socket beside that of ingest; yields what each has answered to."""
    heard: dict[str, list[bytes]] = {"updates": [], "control": []}
    server = keyring.load_server_key(ingestion.home)
    threads = []
    for name, role in (("updates", AGENT), ("control", CONTROL)):

        def answer(data: bytes, _who: str, name: str = name) -> bytes:
            heard[name].append(data)
            return data

        endpoint = getattr(server.endpoints, name)
        threads.append(RequestThread(name, ingestion.context, endpoint, server.secret, role, ingestion.allowed, answer))
        threads[-1].start()
    yield heard
    for thread in threads:
        thread.stop()


@contextmanager
def connected(key: KeyFile, endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = client_socket(context, endpoint, key)
    yield socket
    socket.close(0)
    context.term()


@pytest.mark.promise("S2")
@pytest.mark.parametrize("place", ["ingest", "updates", "control"])
def test_an_unknown_key_is_let_in_nowhere(ingestion: Ingestion, all_three: dict[str, list[bytes]], place: str) -> None:
    enrolled = ingestion.enroll("lab-1")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    stranger = dataclasses.replace(enrolled, public=public, secret=secret)
    with connected(stranger, getattr(enrolled.endpoints, place)) as socket, pytest.raises(zmq.Again):
        socket.send(b"anything")
    assert ingestion.intake.counts.total() == 0
    assert all_three == {"updates": [], "control": []}


@pytest.mark.promise("S2")
@pytest.mark.parametrize(("place", "request_"), [("updates", FETCH), ("control", ASK)], ids=["updates", "control"])
def test_a_revoked_key_gets_no_answer_on_a_standing_connection_nor_a_new_one(
    ingestion: Ingestion, all_three: dict[str, list[bytes]], place: str, request_: bytes
) -> None:
    agent = ingestion.enroll("lab-1")
    key = agent if place == "updates" else keyring.load_control_key(ingestion.home)
    endpoint = getattr(key.endpoints, place)
    with connected(key, endpoint) as socket:
        socket.send(request_)
        assert socket.poll(5_000)
        socket.recv()
        keyring.revoke(ingestion.home, key.name, NOW)
        revoked = time.monotonic()
        while socket.poll(0) or time.monotonic() - revoked < 5:
            socket.send(request_)
            if not socket.poll(300):
                break
            socket.recv()
        assert time.monotonic() - revoked < 5
        known = len(all_three[place])
        socket.send(request_)
        assert not socket.poll(300)
        assert len(all_three[place]) == known
    with connected(key, endpoint) as socket, pytest.raises(zmq.Again):
        socket.send(request_)


@pytest.mark.promise("S2")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_gatekeeper_that_dies_while_it_runs_lets_nobody_in(
    ingestion: Ingestion, all_three: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, control = ingestion.enroll("lab-1"), keyring.load_control_key(ingestion.home)
    places = [(agent, agent.endpoints.ingest), (agent, agent.endpoints.updates), (control, control.endpoints.control)]
    for key, endpoint in places:
        with connected(key, endpoint) as socket:
            socket.send(FETCH)  # enrolled: it is let in

    def die(_domain: str, _key: bytes) -> bool:
        raise SystemExit

    monkeypatch.setattr(ingestion.gatekeeper, "callback", die)
    assert ingestion.gatekeeper.is_alive()
    for key, endpoint in places:
        with connected(key, endpoint) as socket, pytest.raises(zmq.Again):
            socket.send(FETCH)
    assert not ingestion.gatekeeper.is_alive()


def test_a_control_key_is_no_agent(ingestion: Ingestion, call: Call) -> None:
    control = keyring.load_control_key(ingestion.home)
    with pytest.raises(zmq.Again):
        call(control).hello()


@pytest.mark.promise("S2")
def test_a_revoked_key_is_cut_within_five_seconds(ingestion: Ingestion, call: Call) -> None:
    caller = call(ingestion.enroll("lab-1"))
    caller.hello()
    assert caller.hear(Welcome) is not None
    keyring.revoke(ingestion.home, "lab-1", NOW)
    revoked = time.monotonic()
    refusal, sequence = None, 0
    while refusal is None and time.monotonic() - revoked < 5:
        sequence += 1
        caller.item(sequence, window(hex_id(sequence)))
        refusal = caller.hear(Refusal, 0.2)
    assert isinstance(refusal, Refusal)
    assert "revoked" in refusal.reason
    caller.item(sequence + 1, window(hex_id(sequence + 1)))
    assert caller.hear(Ack, 0.3) != Ack((sequence + 1,))
    with ingestion.store.read() as connection:
        stored = connection.scalars(select(schema.windows.c.window_id)).all()
    assert hex_id(sequence + 1) not in stored


@pytest.mark.promise("S2")
def test_no_agent_can_speak_as_another(ingestion: Ingestion, call: Call) -> None:
    a, b = call(ingestion.enroll("lab-a")), call(ingestion.enroll("lab-b"))
    for sequence, caller in ((1, a), (2, b)):
        caller.hello()
        caller.item(sequence, window(hex_id(sequence)))
        assert caller.hear(Ack) == Ack((sequence,))
    a.send(heartbeat(participant="lab-b", session="lab-b"))
    a.item(9, window(hex_id(9)))
    assert a.hear(Ack) == Ack((9,))
    with ingestion.store.read() as connection:
        table = schema.windows.c
        stored = connection.execute(select(table.agent, table.sequence).order_by(table.sequence)).all()
    assert stored == [("lab-a", 1), ("lab-b", 2), ("lab-a", 9)]
    told = {
        entry["name"]: entry["seen"]
        for entry in ingestion.fleet.describe(["lab-a", "lab-b"], Moment(time.time(), time.monotonic()))
    }
    assert told == {"lab-a": True, "lab-b": False}


@pytest.mark.promise("S2")
def test_without_a_gatekeeper_nobody_is_let_in(ingestion: Ingestion, call: Call) -> None:
    key = ingestion.enroll("lab-1")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    server = keyring.load_server_key(ingestion.home)
    socket = server_socket(context, endpoint, server.secret, AGENT)
    closed = dataclasses.replace(key, endpoints=dataclasses.replace(key.endpoints, ingest=endpoint))
    with pytest.raises(zmq.Again):
        call(closed).hello()
    socket.close(0)
    context.term()


def test_files_are_fetched_under_curve(ingestion: Ingestion) -> None:
    home, key = ingestion.home, ingestion.enroll("lab-1")
    server = keyring.load_server_key(home)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    allowed = Enrolment(home.enrolled)
    gatekeeper = Gatekeeper(context, allowed, (AGENT,))
    updates = Updates(home.repository)
    thread = RequestThread("updates", context, server.endpoints.updates, server.secret, AGENT, allowed, updates.answer)
    thread.start()
    theirs: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    client = client_socket(theirs, server.endpoints.updates, key)
    client.send(pb.FetchRequest(path="metadata/1.root.json").SerializeToString())
    assert client.poll(5000)
    assert pb.FetchReply.FromString(client.recv()).data == home.root_metadata.read_bytes()
    client.close()
    theirs.term()
    thread.stop()
    gatekeeper.close()
    context.term()


def test_a_watch_that_is_slow_to_begin_still_sees_the_connection(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ingestion.enroll("lab-1")
    begin = ConnectionWatch.__init__

    def slow(self: ConnectionWatch, socket: zmq.Socket[bytes]) -> None:
        time.sleep(0.3)  # long enough for a handshake on this machine
        begin(self, socket)

    monkeypatch.setattr(ConnectionWatch, "__init__", slow)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    client, watch = watched_client_socket(context, key.endpoints.ingest, key)
    deadline = time.monotonic() + 5
    while not watch.poll() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert watch.connected
    watch.close()
    client.close()
    context.term()


@pytest.mark.parametrize(
    ("endpoint", "bound"),
    [
        ("tcp://127.0.0.1:7710", "tcp://127.0.0.1:7710"),
        ("tcp://localhost:7710", "tcp://127.0.0.1:7710"),
        ("tcp://trainer.lab.example:7710", "tcp://*:7710"),
        ("tcp://192.0.2.7:7710", "tcp://*:7710"),
    ],
)
def test_where_it_listens(endpoint: str, bound: str) -> None:
    assert bind_address(endpoint) == bound
