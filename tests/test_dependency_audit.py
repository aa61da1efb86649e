from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests import dependency_audit
from tests.e2e.study import free_port


class Advisories(BaseHTTPRequestHandler):
    """Knows one weakness: of numpy, in whatever version."""

    answer = ""

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        names = [query["package"]["name"] for query in queries]
        results = [{"vulns": [{"id": "GHSA-1"}]} if name == "numpy" else {} for name in names]
        self.send_response(200)
        self.end_headers()
        self.wfile.write((self.answer or json.dumps({"results": results})).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Advisories)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_known_weakness_is_a_finding(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dependency_audit.main(service) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("numpy ")
    assert "GHSA-1" in line


def test_an_accepted_one_is_none(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dependency_audit, "ACCEPTED", {"GHSA-1": "only when built with Fortran"})
    assert dependency_audit.main(service) == 0
    assert "no known weakness" in capsys.readouterr().out


def test_without_an_answer_it_is_skipped_aloud(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dependency_audit.main(f"http://127.0.0.1:{free_port()}/") == 0
    assert "dependency audit skipped" in capsys.readouterr().out
    monkeypatch.setattr(Advisories, "answer", "<html>")
    assert dependency_audit.main(service) == 0
    assert "dependency audit skipped" in capsys.readouterr().out


def test_pins_are_read() -> None:
    assert dependency_audit.pinned("# a\nnumpy==2.1\ntuf==7.0.1 ; x\n-e .\n") == [("numpy", "2.1"), ("tuf", "7.0.1")]
    assert len(dependency_audit.pinned(dependency_audit.CONSTRAINTS.read_text())) > 100
