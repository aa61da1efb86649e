"""The live preview's page, for browsers on this machine only, and for whoever knows its address.

/TOKEN/           the page, with its style and script
/TOKEN/mesh       which face points are joined by lines, as JSON
/TOKEN/events     what is seen and estimated, as server-sent events
/TOKEN/picture    the camera's pictures as MJPEG; answered only where the preview may show them

Every user of a machine can reach its loopback address. The token is drawn at each start, and told to who started it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import BaseServer
from typing import Any

from edge_agent.preview import Preview
from perception.runtime import vision
from sentry_proto.errors import PeerUnreachable

HOST = "127.0.0.1"
MOST_FPS = 15.0
"""Of events and pictures; more than that costs the run what nobody sees."""

IDLE_S = 1.0
PAGE = {
    "": ("index.html", "text/html"),
    "style.css": ("style.css", "text/css"),
    "preview.js": ("preview.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
BOUNDARY = "picture"
PARTS = ("FACE_OVAL", "LIPS", "LEFT_EYE", "RIGHT_EYE", "LEFT_EYEBROW", "RIGHT_EYEBROW", "LEFT_IRIS", "RIGHT_IRIS")


@contextmanager
def serving(preview: Preview, port: int) -> Iterator[str]:
    """Serve a preview on this machine's loopback address, at `port` or, for 0, any free one; yields its address.

    Raises:
        PeerUnreachable: the port is taken.
    """
    try:
        server = Pages((HOST, port), partial(Handler, preview))
    except OSError as error:
        raise PeerUnreachable(f"the preview cannot listen on port {port}: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="preview", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/{server.token}/"
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Pages(ThreadingHTTPServer):
    """The listening socket; `closing` ends streams, and who knows `token` is answered."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self.closing, self.token = threading.Event(), secrets.token_urlsafe(16)
        super().__init__(*arguments)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Pages

    def __init__(self, preview: Preview, request: Any, client: Any, server: BaseServer) -> None:
        self._preview = preview
        super().__init__(request, client, server)

    def do_GET(self) -> None:
        """Answer."""
        with suppress(BrokenPipeError, ConnectionResetError):
            if self.headers.get("Host") not in (
                f"{HOST}:{self.server.server_port}",
                f"localhost:{self.server.server_port}",
            ):
                self.send_error(HTTPStatus.FORBIDDEN, "this page is for browsers on this machine")
            elif (place := self._place()) is None:
                self.send_error(HTTPStatus.NOT_FOUND)
            elif place in PAGE:
                name, kind = PAGE[place]
                self._whole(kind, (files("edge_agent") / "preview_page" / name).read_bytes())
            elif place == "mesh":
                self._whole("application/json", mesh())
            elif place == "events":
                self._events()
            elif place == "picture" and self._preview.pictures:
                self._pictures()
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

    def _place(self) -> str | None:
        """What comes after the token; None without the right one."""
        _, _, path = self.path.partition("/")
        token, slash, place = path.partition("/")
        known = secrets.compare_digest(token.encode(), self.server.token.encode())
        return place if known and slash else None

    def _whole(self, kind: str, body: bytes) -> None:
        self._head(f"{kind}; charset=utf-8")
        self.wfile.write(body)

    def _head(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in {**HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.end_headers()

    def _beats(self) -> Iterator[None]:
        """At every new frame, not too often, and now and then without one."""
        count = 0
        while not self.server.closing.is_set():
            began = time.monotonic()
            count = self._preview.wait(count, IDLE_S)
            yield
            time.sleep(max(0.0, began + 1 / MOST_FPS - time.monotonic()))

    def _events(self) -> None:
        self._head("text/event-stream")
        for _ in self._beats():
            told = {**self._preview.snapshot(time.monotonic()), "pictures": self._preview.pictures}
            self.wfile.write(b"data: " + json.dumps(told).encode() + b"\n\n")

    def _pictures(self) -> None:
        self._head(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        for _ in self._beats():
            if (picture := self._preview.jpeg()) is not None:
                self.wfile.write(f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode() + picture + b"\r\n")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: requests are no news."""


@cache
def mesh() -> bytes:
    """Pairs of joined face points as JSON: the fine net, and the lines of eyes, brows, lips and outline."""
    lines = vision.FaceLandmarksConnections

    def pairs(name: str) -> set[tuple[int, int]]:
        edges = getattr(lines, f"FACE_LANDMARKS_{name}")
        return {(min(edge.start, edge.end), max(edge.start, edge.end)) for edge in edges}

    strong = set().union(*(pairs(name) for name in PARTS))
    return json.dumps({"net": sorted(pairs("TESSELATION") - strong), "lines": sorted(strong)}).encode()
