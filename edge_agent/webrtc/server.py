"""The sockets of `sentry-agent webrtc`: four files over HTTP, and one WebSocket for each page that is open."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from edge_agent.webrtc.invites import LinkRefused
from edge_agent.webrtc.lobby import Lobby
from edge_agent.webrtc.messages import MOST_BYTES, Said, read, write
from edge_agent.webrtc.visit import Visit
from sentry_proto.errors import MalformedMessage, PeerUnreachable

log = logging.getLogger(__name__)
logging.getLogger("websockets").setLevel(logging.CRITICAL)  # strangers' broken handshakes are no news
logging.getLogger("aioice").setLevel(logging.WARNING)

SOCKET_PATH = "/socket"
PAGE = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

GREETING_S = 10.0
PING_S = 5.0
UNSENT = 64
"""Messages that may wait for a page; one that does not read them is about to be found dead."""


class Server:
    """Serves the participants' page until it is told to stop.

    Args:
        lobby: who may come in.
        on_tick: called once a second.
    """

    def __init__(self, lobby: Lobby, on_tick: Callable[[], None]) -> None:
        self._lobby, self._on_tick = lobby, on_tick
        folder = files("edge_agent.webrtc") / "page"
        self._page = {path: (kind, (folder / name).read_bytes()) for path, (name, kind) in PAGE.items()}

    async def run(self, host: str, port: int, tls: ssl.SSLContext | None, stop: threading.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            PeerUnreachable: the address cannot be listened on.
        """
        try:
            server = await serve(
                self._converse, host, port, ssl=tls, process_request=self._request, max_size=MOST_BYTES,
                compression=None, ping_interval=PING_S, ping_timeout=PING_S, server_header=None,
            )  # fmt: skip
        except OSError as error:
            raise PeerUnreachable(f"cannot listen on {host} port {port}: {error.strerror}") from error
        async with server:
            await self._tick_until(stop)
            await self._lobby.close()

    async def _tick_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            await self._lobby.tick(time.monotonic())
            self._on_tick()
            for _ in range(5):
                await asyncio.sleep(0 if stop.is_set() else 0.2)

    # ---- HTTP -----------------------------------------------------------------------------------------------------

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path).path
        if path == SOCKET_PATH:
            own = urlsplit(request.headers.get("Origin", "")).netloc == request.headers.get("Host")
            return None if own else connection.respond(HTTPStatus.FORBIDDEN, "only this agent's own page may connect\n")
        if path not in self._page:
            return connection.respond(HTTPStatus.NOT_FOUND, "there is nothing here\n")
        kind, body = self._page[path]
        headers = Headers({**HEADERS, "Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))})
        headers["Connection"] = "close"
        return Response(HTTPStatus.OK, "OK", headers, body)

    # ---- one page -------------------------------------------------------------------------------------------------

    async def _converse(self, connection: ServerConnection) -> None:
        waiting: asyncio.Queue[str] = asyncio.Queue(UNSENT)

        def send(message: str) -> None:
            with suppress(asyncio.QueueFull):
                waiting.put_nowait(message)

        writer = asyncio.create_task(_write(connection, waiting))
        try:
            await self._talk(connection, send)
        except LinkRefused as error:
            send(write("refused", reason=error.reason))
        except MalformedMessage as error:
            log.warning("a page was disconnected: %s", error)
        except (ConnectionClosed, TimeoutError):
            pass
        finally:
            await _drain(waiting, writer)
            await connection.close()

    async def _talk(self, connection: ServerConnection, send: Callable[[str], None]) -> None:
        visit, words = await self._enter(connection, send)
        visit.attach(send)
        send(words)
        try:
            async for text in connection:
                await visit.hear(read(text))
                self._lobby.sweep()
        finally:
            visit.detach(send)

    async def _enter(self, connection: ServerConnection, send: Callable[[str], None]) -> tuple[Visit, str]:
        said = await self._next(connection, GREETING_S)
        if said.kind != "hello":
            raise MalformedMessage("a page did not begin with a greeting")
        if said.secret:
            return self._lobby.come_back(said.secret)
        send(self._lobby.look(said.token))
        agreed = await self._next(connection, None)
        if agreed.kind != "consent":
            raise MalformedMessage("a page did not go on with a consent")
        return self._lobby.agree(said.token, agreed)

    async def _next(self, connection: ServerConnection, patience_s: float | None) -> Said:
        async with asyncio.timeout(patience_s):
            return read(await connection.recv())


async def _write(connection: ServerConnection, waiting: asyncio.Queue[str]) -> None:
    with suppress(ConnectionClosed):
        while True:
            await connection.send(await waiting.get())
            waiting.task_done()


async def _drain(waiting: asyncio.Queue[str], writer: asyncio.Task[None]) -> None:
    """Let what was said last still leave."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            if not writer.done():
                await waiting.join()
    writer.cancel()
