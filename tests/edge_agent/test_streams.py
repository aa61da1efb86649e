"""Network cameras: real servers on the loopback interface, whose pictures show when they were made."""

from __future__ import annotations

import math
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edge_agent.sources import SourceOptions, open_source
from edge_agent.sources.camera import answers
from sentry_proto.types import CameraState
from tests.conftest import REPOSITORY
from tests.e2e.study import free_port
from tests.edge_agent.clock_pictures import HEIGHT, WIDTH, grey_clock, time_shown
from tests.edge_agent.room import Room
from tests.edge_agent.trainer import eventually

LOOK_S = 9.0
MOST = 0.95
"""Of the pictures; a busy machine sends one late now and then."""

SERVER = "tests.edge_agent.rtsp_server"
DEBIAN_PYTHON = "/usr/bin/python3"
GSTREAMER = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@contextmanager
def mjpeg(fps: float, most: float = math.inf) -> Iterator[str]:
    """Serves motion JPEG over HTTP, as cheap cameras and phones do, and is silent after `most` pictures; yields its
    address.
    """
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
                if count >= most:
                    over.wait()

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
    assert np.quantile(np.abs(told - shown)[at_rest], MOST) < 0.2
    assert np.diff(told)[at_rest[1:]].mean() == pytest.approx(1 / fps, rel=0.05)
    assert np.median(np.abs(np.diff(told) - np.diff(shown))[at_rest[1:]]) < 0.02


class RtspCamera:
    """A network camera in a process of its own, which can be killed, stopped and started again."""

    def __init__(self, codec: str = "h264", fps: int = 15) -> None:
        self._port, self._codec, self._fps = free_port(), codec, fps
        self.address = f"rtsp://127.0.0.1:{self._port}/x"
        self.start()

    def start(self) -> None:
        command = [DEBIAN_PYTHON, "-m", SERVER, str(self._port), str(self._fps), self._codec]
        self.process = subprocess.Popen(command, cwd=REPOSITORY)
        eventually(lambda: answers(self.address), "the camera listens", 20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def gstreamer() -> None:
    try:
        subprocess.run([DEBIAN_PYTHON, "-c", GSTREAMER], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"{DEBIAN_PYTHON} cannot import GstRtspServer: its packages are named in packages.apt")


@pytest.mark.e2e
@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize("codec", ["h264", "jpeg"])
def test_pictures_of_an_rtsp_camera_are_told_to_be_as_old_as_they_are(codec: str) -> None:
    camera = RtspCamera(codec)
    try:
        told, shown, came = looked_at(camera.address, LOOK_S)
    finally:
        camera.kill()
    at_rest = came > came[0] + 2  # what queued up while the stream was opened has been read
    assert at_rest.sum() > 0.8 * 15 * (LOOK_S - 2)
    assert np.quantile(np.abs(told - shown)[at_rest], MOST) < 0.25, "it encodes for a while"
    assert np.median(np.abs(np.diff(told) - 1 / 15)[at_rest[1:]]) < 0.005


@pytest.mark.e2e
@pytest.mark.promise("R4")
@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize(("away_s", "hangs"), [(3.0, False), (25.0, False), (3.0, True)])
def test_an_rtsp_camera_that_is_lost_is_shown_and_comes_back(away_s: float, hangs: bool) -> None:
    camera, stop = RtspCamera(), threading.Event()
    room = Room(open_source(SourceOptions(camera.address, "P01", stop=stop)), stop)
    try:
        eventually(room.shows(CameraState.OK), "the camera is seen", 30)
        time.sleep(3)
        begin = time.monotonic()
        if hangs:
            camera.process.send_signal(signal.SIGSTOP)
        else:
            camera.kill()
        eventually(room.shows(CameraState.UNPLUGGED), "the loss is shown", 10)
        assert time.monotonic() - begin < 5
        time.sleep(away_s)
        begin = time.monotonic()
        if hangs:
            camera.process.send_signal(signal.SIGCONT)
        else:
            camera.start()
        eventually(room.shows(CameraState.OK), "the camera is back", 60)
        assert time.monotonic() - begin < 10
        time.sleep(3)
        wrong = [abs(frame.time - time_shown(frame.image, frame.time)) for frame in room.keeper.newest[-20:]]
        assert np.median(wrong) < 0.25
    finally:
        room.close()
        camera.kill()
