"""`sentry-agent record` as a real process on the puppet: finished, killed, stopped by a signal, and out of disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.session_folder import SessionFolder, find_sessions
from perception.video import VideoFile
from tests.e2e.study import command, eventually, run

pytestmark = pytest.mark.e2e

FILES = {"session.json", "features.parquet", "labels.csv", "questionnaires.csv"}
PHQ8 = "1\n" * 8
GAD7 = "s\n"


def arguments(folder: Path, *more: object) -> list[str]:
    return command(
        "sentry-agent", "record", "--participant", "P07", "--source", "puppet", "--speed", "max", "--out",
        folder / "sessions", "--data-dir", folder / "data", "--every", 10, "--json", *more,
    )  # fmt: skip


def finish(folder: Path, answers: str, *more: object) -> tuple[dict[str, Any], str]:
    """Record to the end; the report, and what was said."""
    done = subprocess.run(
        arguments(folder, *more), input=answers, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report, done.stderr


def only_session(folder: Path) -> SessionFolder:
    (path,) = find_sessions(folder / "sessions")
    return SessionFolder.open(path)


def test_a_session_with_answers(tmp_path: Path) -> None:
    report, said = finish(tmp_path, PHQ8 + GAD7 + "2\n4\n3\n1\n", "--minutes", 0.4)
    folder = only_session(tmp_path)
    assert "RECORDING the puppet" in said
    assert "features are kept, no picture is" in said
    assert not folder.interrupted
    assert {path.name for path in folder.path.iterdir()} == FILES, "no file has pixels"
    assert report["seconds_stored"] == len(folder.seconds()) == 24
    assert (folder.seconds().coverage[:, 0] > 0.5).sum() >= 20, "the puppet has a face"
    found = [(label.task, label.value, label.end - label.start) for label in folder.labels()]
    assert found == [
        ("stress", "mildly stressed", 10), ("focus", "4", 10), ("stress", "stressed", 10), ("focus", "1", 10),
        ("depression", "mild", 24),
    ]  # fmt: skip
    (result,) = folder.questionnaires()
    assert (result.instrument, result.score) == ("phq8", 8)


class Growing:
    """A recording without an end that has stored a few seconds and labels."""

    def __init__(self, folder: Path, *more: object) -> None:
        self.process = subprocess.Popen(
            arguments(folder, *more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(PHQ8 + GAD7 + "1\n2\n")
            self.process.stdin.flush()
            self.path = eventually(lambda: self._begun(folder), 90, "two answers are stored")
        except BaseException:
            self.end(signal.SIGKILL)
            raise

    def _begun(self, folder: Path) -> Path | None:
        if self.process.poll() is not None:
            pytest.fail(f"the recording has ended: {self.process.communicate()[1]}")
        found = find_sessions(folder / "sessions")
        return found[0] if found and len(SessionFolder.open(found[0]).labels()) > 2 else None

    def end(self, number: signal.Signals) -> tuple[str, str]:
        """Send a signal and wait for the end; what was written to standard output and said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)


def test_a_killed_recording_is_whole_to_the_last_second(tmp_path: Path) -> None:
    recording = Growing(tmp_path, "--video")
    path = recording.path
    size = (path / "features.arrows").stat().st_size
    before = SessionFolder.open(path)
    stored = len(before.seconds())
    recording.end(signal.SIGKILL)
    assert recording.process.returncode == -signal.SIGKILL

    folder = SessionFolder.open(path)
    assert folder.interrupted
    seconds = folder.seconds()
    assert len(seconds) >= stored >= 9
    np.testing.assert_array_equal(seconds.start, np.arange(folder.metadata.started, seconds.start[-1] + 1))
    assert (path / "features.arrows").stat().st_size >= size
    assert [(label.task, label.value) for label in folder.labels()] == [
        ("stress", "calm"), ("focus", "2"), ("depression", "mild"),
    ]  # fmt: skip
    assert folder.labels()[-1].end == seconds.start[-1] + 1
    assert folder.video is not None
    with VideoFile(folder.video) as video:
        times = [t for _, t in video]
    assert times[-1] > 1, "the video plays up to the last piece that reached the disk"
    np.testing.assert_allclose(np.diff(times), 1 / 6, atol=2e-3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_folder(tmp_path: Path, number: signal.Signals) -> None:
    recording = Growing(tmp_path)
    begin = time.monotonic()
    output, said = recording.end(number)
    assert recording.process.returncode == 0, said
    assert time.monotonic() - begin < 15
    folder = SessionFolder.open(recording.path)
    assert not folder.interrupted
    assert json.loads(output)["seconds_stored"] == len(folder.seconds())


def test_a_recording_in_the_background_of_a_terminal_goes_on(tmp_path: Path) -> None:
    """A background job that reads from its terminal is stopped by the system; this one goes on and asks nobody."""
    ours, theirs = os.openpty()
    shell = 'exec <"$0"; set -m; "$@" & wait $!'  # a leader of a session with the terminal, and its background job
    process = subprocess.Popen(
        ["sh", "-c", shell, os.ttyname(theirs), *arguments(tmp_path, "--minutes", 0.2)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    _, said = process.communicate(timeout=100)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, said
    assert "no more questions are asked" in said
    assert len(only_session(tmp_path).seconds()) == 12


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a small file system here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_ends_a_recording_in_one_sentence(tmp_path: Path, disk: Path) -> None:
    done = subprocess.run(
        arguments(tmp_path, "--minutes", 5, "--out", disk), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].endswith("features.arrows: No space left on device")
    assert "Traceback" not in done.stderr
    (path,) = find_sessions(disk)
    folder = SessionFolder.open(path)
    assert folder.interrupted
    assert len(folder.seconds()) == json.loads(done.stdout)["seconds_stored"] > 5


def test_a_person_needs_a_consent_that_covers_video(tmp_path: Path, shared_dir: Path) -> None:
    source = shared_dir / "videos" / "pyfeat_single_face.mp4"

    def record(*more: object) -> subprocess.CompletedProcess[str]:
        return run(
            "sentry-agent", "record", "--participant", "P08", "--source", source, "--ask", "none", "--questionnaires",
            "none", "--out", tmp_path / "sessions", "--data-dir", tmp_path, "--speed", "max", *more,
        )  # fmt: skip

    def grant(*more: object) -> None:
        run("sentry-agent", "consent", "grant", "--participant", "P08", "--data-dir", tmp_path, *more)

    assert "has no live consent record" in record().stderr
    grant()
    refused = record("--video")
    assert (refused.returncode, "does not cover video" in refused.stderr) == (2, True)
    assert not (tmp_path / "sessions").exists()
    grant("--video")
    done = record("--video")
    assert done.returncode == 0, done.stderr
    assert "features AND VIDEO are kept" in done.stderr
    folder = only_session(tmp_path)
    assert folder.video is not None
    with VideoFile(source) as original, VideoFile(folder.video) as kept:
        pairs = list(zip(original, kept, strict=True))
    for (picture, t), (copy, copied_t) in pairs:
        assert abs(t - copied_t) < 2e-3
        assert np.abs(picture.astype(int) - copy).mean() < 4
