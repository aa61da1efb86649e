"""A TCP proxy that misbehaves on request: latency, resets, half-open connections and cuts; asyncio in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends RST instead of FIN."""


class FaultProxy:
    """Forwards every connection from a port of its own to `target` on this machine.

    Args:
        target: the port to forward to.

    Attributes:
        port: where it listens, also while the link is cut.
        connections: how many were ever accepted and forwarded.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._latency_s = 0.0
        self._refusing = self._deaf = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    # ---- faults -------------------------------------------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """From now on every byte takes so much longer, each way."""
        self._latency_s = seconds

    def reset(self) -> None:
        """Abort every standing connection with RST; new ones are welcome."""
        self._call(self._abort())

    def cut(self) -> None:
        """Abort every connection, and every new one until `heal`."""
        self._refusing = True
        self.reset()

    def turn(self, target: int) -> None:
        """Lead to another port from now on; what stands is aborted."""
        self._target = target
        self.reset()

    def half_open(self) -> None:
        """Swallow every byte of standing and new connections, but keep them open, until `heal`."""
        self._deaf = True

    def heal(self) -> None:
        """A link without faults; connections that lost bytes are reset, as they can never make sense again."""
        was_deaf, self._deaf, self._refusing, self._latency_s = self._deaf, False, False, 0.0
        if was_deaf:
            self.reset()

    def close(self) -> None:
        """End everything."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---- in the loop's thread -----------------------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _abort(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _abort(writer)
            return
        self.connections += 1
        self._writers |= {writer, back}
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        reading = asyncio.create_task(self._read(source, on_the_way))
        try:
            while (arrival := await on_the_way.get())[1]:
                await asyncio.sleep(arrival[0] - self._loop.time())
                if not self._deaf:
                    sink.write(arrival[1])
                    await sink.drain()
        except OSError:
            pass
        finally:
            reading.cancel()
        while self._deaf:  # nobody is told that the other side has hung up
            await asyncio.sleep(0.05)
        _abort(sink)
        self._writers.discard(sink)

    async def _read(self, source: asyncio.StreamReader, on_the_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Stamp what is sent with when it arrives, so that latency delays and does not throttle; the end is b""."""
        data = b"something"
        while data:
            try:
                data = await source.read(1 << 16)
            except OSError:
                data = b""
            on_the_way.put_nowait((self._loop.time() + self._latency_s, data))

    async def _abort(self) -> None:
        for writer in self._writers:
            _abort(writer)
        self._writers.clear()

    async def _end(self) -> None:
        self._server.close()
        await self._abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    transport = writer.transport
    with contextlib.suppress(OSError, AttributeError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()
