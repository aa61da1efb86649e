"""P1 and P3: an agent on real video writes no pixel and speaks with its trainer only, seen from the kernel's side."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.chain import Perception
from perception.video import VideoFile
from sentry_proto.errors import ConsentMissing
from sentry_proto.keys import CONTROL, KeyFile
from sentry_proto.types import CameraState
from tests.e2e.study import Study, command, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.shared]

SENDING = ("connect", "sendto", "sendmsg", "sendmmsg")
WRITING = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg")
UNSEEN = ("sendfile", "splice", "tee", "vmsplice", "copy_file_range", "io_uring_setup", "process_vm_writev")
"""Calls that move bytes which strace does not show: none may be used."""

WATCHED = f"trace=%network,openat,{','.join({*SENDING, *WRITING, *UNSEEN})}"


HOW = ("-f", "-qq", "-s", "65536", "-xx", "-e", WATCHED)


@pytest.fixture
def strace() -> str:
    found = shutil.which("strace")
    if not found:
        pytest.skip("needs strace to watch the agent's system calls")
    return found


def traced_run(strace: str, study: Study, video: Path) -> str:
    """The system calls of an agent that sends every window of `video` to its trainer."""
    study.start_trainer()
    key = study.enroll("lab-1")
    study.consent("lab-1", "P01")
    trace = study.folder / "trace.txt"
    agent = command(
        "sentry-agent", "run", "--source", video, "--participant", "P01", "--key", key, "--data-dir",
        study.data_dir("lab-1"), "--speed", "max", "--fps", 5, "--duration", 50, "--loop", "--audit", 1, "--json",
    )  # fmt: skip
    done = subprocess.run(
        [strace, *HOW, "-o", str(trace), *agent],
        env={
            name: value for name, value in os.environ.items() if name != "CI"
        },  # some libraries phone home only outside it
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    eventually(lambda: study.status()["windows"] >= 1, 10, "windows arrive, so there was something to leak")
    return whole(trace.read_text())


def whole(trace: str) -> str:
    """The trace with calls that another thread interrupted put together again."""
    begun: dict[tuple[str, str], str] = {}
    lines = []
    for line in trace.splitlines():
        if found := re.match(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$", line):
            begun[found[1], found[2]] = found[3]
        elif found := re.match(r"(\d+) +<\.\.\. (\w+) resumed>(.*)$", line):
            lines.append(f"{found[1]} {found[2]}({begun.pop((found[1], found[2]), '')}{found[3]}")
        else:
            lines.append(line)
    return "\n".join(lines)


def addressed(trace: str) -> set[tuple[str, int]]:
    """Where anything was sent or connected to, on the internet or on this machine by a name: family, and port or 0."""
    calls = re.findall(rf"^\d+ +(?:{'|'.join(SENDING)})\((.*)$", trace, re.M)
    places = (re.findall(r"sa_family=(AF_\w+)(?:, sin6?_port=htons\((\d+)\))?", call) for call in calls)
    return {(family, int(port or 0)) for found in places for family, port in found if family != "AF_NETLINK"}


def written(trace: str) -> bytes:
    """Everything the agent wrote to files and sockets, one line a call."""
    calls = re.findall(rf"^\d+ +(?:{'|'.join(WRITING)})\((.*)\) += \d+$", trace, re.M)
    chunks = (re.findall(r'"((?:\\x[0-9a-f]{2})+)"', call) for call in calls)
    return b"\n".join(bytes.fromhex("".join(parts).replace("\\x", "")) for parts in chunks)


def pixel_runs(video: Path, every: int = 20, pixels: int = 24) -> Iterator[bytes]:
    """Runs of neighbouring pixels from recognisable places of the video, in colour and in grey."""
    for index, (image, _) in enumerate(VideoFile(video)):
        if index % every:
            continue
        for picture in (image, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)):
            for row in picture[:: max(1, len(picture) // 24)]:
                run = row[len(row) // 2 :][:pixels]
                if run.std() > 8:
                    yield run.tobytes()


LOOK_UPS = {
    "sendto": "s.sendto(b'who is there', ('127.0.0.1', 53))",
    "sendmsg": "s.sendmsg([b'who is there'], [], 0, ('127.0.0.1', 53))",
}


@pytest.mark.parametrize("call", LOOK_UPS)
def test_the_watch_sees_a_look_up_without_a_connection(strace: str, tmp_path: Path, call: str) -> None:
    """Otherwise its silence would show nothing."""
    code = f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); {LOOK_UPS[call]}"
    trace = tmp_path / "trace.txt"
    subprocess.run([strace, *HOW, "-o", str(trace), sys.executable, "-c", code], check=True, timeout=60)
    seen = whole(trace.read_text())
    assert ("AF_INET", 53) in addressed(seen)
    assert b"who is there" in written(seen)


@pytest.mark.promise("P1", "P3")
def test_no_pixel_leaves_and_nobody_else_is_called(strace: str, study: Study, shared_dir: Path) -> None:
    video = shared_dir / "videos" / "pyfeat_single_face.mp4"
    trace = traced_run(strace, study, video)

    endpoints = KeyFile.load(study.trainer_dir / "control.key", CONTROL).endpoints
    ours = {int(address.rsplit(":", 1)[1]) for address in (endpoints.ingest, endpoints.updates)}
    assert addressed(trace) == {("AF_INET", port) for port in ours}
    assert not re.findall(rf"^\d+ +(?:{'|'.join(UNSEEN)})\(.*$", trace, re.M)

    output = written(trace)
    assert len(output) > 20_000, "the windows that arrived were written, so the trace did see the writing"
    assert not [run for run in pixel_runs(video) if run in output]
    for name, signature in {"JPEG": b"\xff\xd8\xff\xe0", "PNG": b"\x89PNG", "MP4": b"ftypisom"}.items():
        assert signature not in output, name


def test_stills_go_with_windows_under_a_consent_and_nobody_can_be_found_in_them(study: Study, shared_dir: Path) -> None:
    study.start_trainer()
    key = study.enroll("lab-1")
    options = (
        "--participant",
        "P01",
        "--loop",
        "--speed",
        "max",
        "--fps",
        5,
        "--duration",
        60,
        "--audit",
        1,
        "--stills",
    )
    video = shared_dir / "videos" / "pyfeat_single_face.mp4"
    study.consent("lab-1", "P01")
    assert study.start_agent("lab-1", key, video, *options).wait(60) == ConsentMissing.exit_code
    assert "does not cover stills" in (study.folder / "lab-1.log").read_text()

    study.consent("lab-1", "P01", "--stills")
    assert study.start_agent("lab-1", key, video, *options).wait(200) == 0
    assert "small PICTURES" in (study.folder / "lab-1.log").read_text()
    windows = study.control.call("windows")
    stills = [study.control.call("window", window_id=window["window_id"])["stills"] for window in windows]
    assert len(stills) >= 5
    assert {len(some) for some in stills} == {3}
    shown = [cv2.imdecode(np.frombuffer(base64.b64decode(one["jpeg"]), np.uint8), 1) for some in stills for one in some]
    with Perception() as perception:
        for number, picture in enumerate(shown):
            assert picture is not None
            larger = cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
            assert perception.process(larger, 60.0 * number).camera_state is CameraState.NO_FACE
