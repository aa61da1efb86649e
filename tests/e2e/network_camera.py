"""A network camera on this machine that can be unplugged: MJPEG over HTTP, as the simplest of them speak."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

FPS = 10


class Handler(BaseHTTPRequestHandler):
    """Sends noise until the camera is unplugged."""

    server: Server

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        random = np.random.default_rng()
        with suppress(OSError):
            while not self.server.unplugged.wait(1 / FPS):
                image = random.integers(0, 255, (120, 160, 3), np.uint8)
                picture = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = True

    def __init__(self, port: int) -> None:
        self.unplugged = threading.Event()
        super().__init__(("127.0.0.1", port), Handler)


class NetworkCamera:
    """At first it is not there, and nobody else gets its port meanwhile."""

    def __init__(self) -> None:
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._place.bind(("127.0.0.1", 0))
        self._port = self._place.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}/video.mjpeg"
        self._server: Server | None = None

    def plug_in(self) -> None:
        self._server = Server(self._port)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def unplug(self) -> None:
        if self._server is not None:
            self._server.unplugged.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            time.sleep(1 / FPS)

    def close(self) -> None:
        self.unplug()
        self._place.close()
