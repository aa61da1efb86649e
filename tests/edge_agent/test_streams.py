"""Network cameras: real servers on the loopback interface, whose pictures show when they were made."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edge_agent.sources import SourceOptions, open_source
from tests.edge_agent.clock_pictures import HEIGHT, WIDTH, grey_clock, time_shown

LOOK_S = 9.0


@contextmanager
def mjpeg(fps: float) -> Iterator[str]:
    """Serves motion JPEG over HTTP, as cheap cameras and phones do; yields its address."""
    over = threading.Event()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            begin, count = time.monotonic(), 0
            while not over.wait(max(0.0, begin + count / fps - time.monotonic())):
                picture = np.frombuffer(grey_clock(time.time()), np.uint8).reshape(HEIGHT, WIDTH)
                data = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data + b"\r\n")
                except OSError:  # the reader is gone
                    return
                count += 1

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def looked_at(address: str, seconds: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """For each picture of a stream the time that is told, the time that it shows, and when it came here."""
    stop = threading.Event()
    with closing(open_source(SourceOptions(address, "P01", stop=stop))) as source:
        end, seen = time.time() + seconds, []
        for frame in source.frames():
            if frame is not None:
                seen.append((frame.time, time_shown(frame.image, frame.time), time.time()))
            if time.time() > end:
                break
        stop.set()
    return np.array(seen).T


@pytest.mark.slow
@pytest.mark.parametrize("fps", [12, 30])
def test_pictures_of_motion_jpeg_are_told_to_be_as_old_as_they_are(fps: float) -> None:
    with mjpeg(fps) as address:
        told, shown, came = looked_at(address, LOOK_S)
    at_rest = came > came[0] + 1  # what queued up while the stream was opened has been read
    assert at_rest.sum() > 0.8 * fps * (LOOK_S - 1)
    assert np.abs(told - shown)[at_rest].max() < 0.2
    assert np.diff(told)[at_rest[1:]].mean() == pytest.approx(1 / fps, rel=0.05)
    assert np.median(np.abs(np.diff(told) - np.diff(shown))[at_rest[1:]]) < 0.02
