"""The sockets: what strangers get, what the page is allowed, and who may open the WebSocket."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from edge_agent.webrtc.app import tls_context
from edge_agent.webrtc.server import PAGE, Server
from sentry_proto.errors import PeerUnreachable
from tests.e2e.study import eventually, free_port
from tests.edge_agent.webrtc.test_visit import Place


class Running:
    """A server in a thread, on a place of its own."""

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        self.place = Place(folder)
        self.port = free_port(1)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.trusted: ssl.SSLContext | None = None
        self.stop = threading.Event()
        server = Server(self.place.lobby, lambda: None)
        self.thread = threading.Thread(target=lambda: asyncio.run(server.run("127.0.0.1", self.port, tls, self.stop)))
        self.thread.start()

    def get(self, path: str) -> Any:
        return urllib.request.urlopen(self.url + path, timeout=5, context=self.trusted)

    def answers(self) -> bool | None:
        try:
            return bool(self.get("/").status == 200)
        except OSError:
            return None

    def close(self) -> None:
        self.stop.set()
        self.thread.join(10)

    def socket(self, origin: str | None = None) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}/socket", origin=Origin(origin or self.url))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("agent"))
    eventually(made.answers, 10, "the server answers")
    yield made
    made.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine's loopback address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def test_with_a_certificate_the_page_is_served_by_https(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    made = Running(tmp_path, tls_context(cert, key))
    made.trusted = ssl.create_default_context(cafile=str(cert))
    try:
        eventually(made.answers, 10, "the server answers")
    finally:
        made.close()


@pytest.mark.parametrize("path", PAGE)
def test_the_page_comes_whole_and_may_load_from_nowhere_else(running: Running, path: str) -> None:
    answer = running.get(path)
    body = answer.read().decode()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "microphone=()" in answer.headers["Permissions-Policy"]
    assert "http://" not in body.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in body


@pytest.mark.parametrize("path", ["/invites.json", "/../consent.json", "/page.js/", "/socket2"])
def test_there_is_nothing_else(running: Running, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        running.get(path)


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_no_other_page_speaks_to_the_agent(running: Running, origin: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        running.socket(origin)


def test_a_link_is_shown_what_it_would_agree_to(running: Running) -> None:
    with running.socket() as socket:
        socket.send(json.dumps({"type": "hello", "token": running.place.link()}))
        assert json.loads(socket.recv(5))["text"] == "Please read."


def test_a_guess_is_refused_in_words_and_disconnected(running: Running) -> None:
    with running.socket() as socket:
        socket.send(json.dumps({"type": "hello", "token": "guess"}))
        assert json.loads(socket.recv(5)) == {"type": "refused", "reason": "unknown"}
        assert list(socket) == []


@pytest.mark.parametrize("text", ["nonsense", '{"type": "stop"}', b"\x00\xff", "x" * 70_000])
def test_what_makes_no_sense_ends_that_connection_only(running: Running, text: str | bytes) -> None:
    with running.socket() as socket:
        socket.send(text)
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
    assert running.get("/").status == 200


def test_consent_before_the_text_was_asked_for_is_no_consent(running: Running) -> None:
    before = len(running.place.consents.records)
    with running.socket() as socket:
        socket.send(json.dumps({"type": "consent", "version": "page 1"}))
        assert list(socket) == []
    assert len(running.place.consents.records) == before


def test_a_taken_port_is_reported_in_words(running: Running) -> None:
    server = Server(running.place.lobby, lambda: None)
    with pytest.raises(PeerUnreachable, match=f"port {running.port}"):
        asyncio.run(server.run("127.0.0.1", running.port, None, threading.Event()))
