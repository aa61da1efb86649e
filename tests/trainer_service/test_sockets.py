from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest
import zmq
from sqlalchemy import select

from sentry_proto import sentry_pb2 as pb
from sentry_proto.curve import ConnectionWatch, Gatekeeper, client_socket, server_socket, watched_client_socket
from sentry_proto.keys import AGENT, KeyFile
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


@pytest.mark.promise("S2")
def test_an_unknown_key_is_let_in_nowhere(ingestion: Ingestion, call: Call) -> None:
    enrolled = ingestion.enroll("lab-1")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    stranger = call(dataclasses.replace(enrolled, public=public, secret=secret))
    with pytest.raises(zmq.Again):
        stranger.hello()
    assert ingestion.intake.counts.total() == 0


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
