"""The command as a user meets it: what goes wrong, in one sentence and with its exit code; consent; a short run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent import cli
from edge_agent.consent import ConsentBook
from edge_agent.outbox import Outbox
from edge_agent.shelf import Shelf
from tests.edge_agent.trainer import Lab, Trainer
from tests.sentry_proto.records import window

GREY = np.full((48, 64, 3), 128, np.uint8)


@pytest.fixture(autouse=True)
def no_signals(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The handlers of the test process stay as they are."""
    stop = threading.Event()
    monkeypatch.setattr(cli, "stop_on_signal", lambda: stop)
    return stop


def video(path: Path, frames: int = 20) -> Path:
    """Noise at 10 frames a second, in which nobody is seen."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    random = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(random.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    return path


def text_file(name: str, text: str, mode: int = 0o600) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    return make


def key_file(folder: Path) -> Path:
    path = folder / "lab-1.sentrykey"
    Lab(folder).key.save(path)
    return path


def control_key_file(folder: Path) -> Path:
    path = folder / "control.sentrykey"
    Lab(folder).key.save(path)
    path.write_text(path.read_text().replace('"agent"', '"control"'))
    path.chmod(0o600)
    return path


def readable_key_file(folder: Path) -> Path:
    path = key_file(folder)
    path.chmod(0o644)
    return path


def cut_off_video(folder: Path) -> Path:
    path = video(folder / "cut.avi", 200)
    path.write_bytes(path.read_bytes()[:60_000])
    return path


def good_video(folder: Path) -> Path:
    return video(folder / "noise.avi")


def missing(folder: Path) -> Path:
    return folder / "missing"


SCORES = '[stress]\nkind = "scores"\nclasses = ["a", "b"]'

# name -> (arguments, in which a function makes a file; exit code; words of the sentence)
ERRORS: dict[str, tuple[tuple[str | Callable[[Path], Path], ...], int, str]] = {
    "no such file": (("--source", missing), 3, "There is no video file"),
    "an empty file": (("--source", text_file("empty.mp4", "")), 3, "is empty"),
    "no video": (("--source", text_file("text.mp4", "hello" * 100)), 3, "not a video"),
    "a recording that breaks off": (("--source", cut_off_video), 3, "cut off or corrupt"),
    "no such camera": (("--source", "99", "--participant", "P09"), 3, "There is no camera 99"),
    "no such stream": (("--source", "rtsp://me:word@127.0.0.1:1/x", "--participant", "P09"), 3, "rtsp://127.0.0.1:1/x"),
    "no consent before a camera": (("--source", "0"), 2, "no live consent record"),
    "no consent to send": (("--source", good_video, "--key", key_file), 2, "no live consent record"),
    "no such key": (("--source", good_video, "--key", missing), 3, "cannot read the key file"),
    "a key that is none": (("--source", good_video, "--key", text_file("a", "{}")), 3, "not a Sentry key file"),
    "a key for another role": (("--source", good_video, "--key", control_key_file), 3, "needs one for 'agent'"),
    "a key that others can read": (("--source", good_video, "--key", readable_key_file), 3, "chmod 600"),
    "no such task file": (("--source", good_video, "--tasks", missing), 2, "cannot read the task file"),
    "a task file that is none": (("--source", good_video, "--tasks", text_file("t", "=")), 2, "is not TOML"),
    "an unknown kind of task": (("--source", good_video, "--tasks", text_file("t", SCORES)), 2, "kind must be one of"),
    "a probability that is none": (("--source", good_video, "--audit", "2"), 2, "audit probability"),
    "a nameless participant": (("--source", good_video, "--participant", ""), 2, "printable characters"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments, code, words = ERRORS[name]
    folder = tmp_path / "data"
    cli.main(["consent", "grant", "--participant", "P09", "--data-dir", str(folder)])
    capfd.readouterr()
    found = [str(a(tmp_path)) if callable(a) else a for a in arguments]
    assert cli.main(["run", *found, "--speed", "max", "--data-dir", str(folder)]) == code
    error = capfd.readouterr().err
    sentence = error.strip().splitlines()[-1]
    assert sentence.startswith("sentry-agent: ")
    assert words in sentence
    assert "Traceback" not in error
    assert "word" not in error.replace("words", ""), "credentials are never shown"


@pytest.mark.parametrize(
    "arguments",
    [[], ["run"], ["run", "--source", "x", "--speed", "0"], ["run", "--source", "x", "--fps", "-1"], ["consent"]],
)
def test_wrong_usage_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2
    assert "usage: sentry-agent" in capsys.readouterr().err


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object], str]:
    """Exit code, report and standard error of a run."""
    code = cli.main(["run", "--json", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["record", "--participant", "P07", "--minutes", "ten"], "must be a number above 0, not 'ten'"),
        (["run", "--source", "x", "--speed", "fast"], "must be a number above 0, not 'fast'"),
        (["run", "--source", "x", "--quota", "much"], "must be a whole number from 1 on, not 'much'"),
    ],
)
def test_a_wrong_number_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert words in capsys.readouterr().err


def test_a_recording_without_a_key_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    code, report, error = run(capsys, "--source", good_video(tmp_path), "--speed", "max", "--data-dir", folder)
    assert code == 0
    assert not folder.exists()
    assert (report["frames_read"], report["frames_scored"], report["frames_dropped"]) == (20, 20, 0)
    assert (report["seconds"], report["face_seconds"]) == (2, 0)
    assert report["camera_states"] == {"no face": 2}
    assert report["first_expression_at"] is None
    assert "RECORDING participant P01" in error
    assert "expressions on CPUExecutionProvider" in error
    assert "nothing leaves this process" in error


def test_a_recording_that_breaks_off_is_reported_up_to_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = cut_off_video(tmp_path)
    code, report, _ = run(capsys, "--source", source, "--speed", "max", "--data-dir", tmp_path / "data")
    assert code == 3
    assert "cut off" in str(report["error"])
    assert isinstance(report["frames_scored"], int)
    assert 0 < report["frames_scored"] < 200


def test_consent_from_grant_to_withdrawal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def consent(*arguments: str) -> str:
        assert cli.main(["consent", *arguments, "--data-dir", str(tmp_path)]) == 0
        return capsys.readouterr().out

    assert consent("list") == ""
    assert "P07  live" in consent("grant", "--participant", "P07", "--until", "2099-12-31")
    assert "until 2099-12-31" in consent("list")
    (given,) = ConsentBook(tmp_path / "consent.json").records
    shelf = Shelf(tmp_path / "shelf.sqlite")
    shelf.put(window(participant="P07", consent_id=given.consent_id))
    shelf.close()
    assert "withdrawn" in consent("withdraw", "--participant", "P07")
    assert b"P07" not in (tmp_path / "shelf.sqlite").read_bytes()
    assert "P07  withdrawn" in consent("list")
    assert cli.main(["consent", "withdraw", "--participant", "P07", "--data-dir", str(tmp_path)]) == 2


def test_a_withdrawal_stops_a_running_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, key = tmp_path / "data", key_file(tmp_path)
    cli.main(["consent", "grant", "--participant", "P01", "--data-dir", str(folder)])
    capsys.readouterr()
    book = ConsentBook(folder / "consent.json")
    threading.Timer(2.0, lambda: book.withdraw("P01", time.time())).start()
    begin = time.monotonic()
    code, report, _ = run(capsys, "--source", good_video(tmp_path), "--loop", "--key", key, "--data-dir", folder)
    assert code == 2
    assert time.monotonic() - begin < 8
    assert "withdrawn" in str(report["error"])


def test_two_agents_never_share_a_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edge_agent.folder import lock_folder, make_folder

    folder = tmp_path / "data"
    make_folder(folder)
    ConsentBook(folder / "consent.json").grant("P01", None, time.time())
    with lock_folder(folder):
        code = cli.main(
            ["run", "--source", str(good_video(tmp_path)), "--key", str(key_file(tmp_path)), "--data-dir", str(folder)]
        )
    assert code == 3
    assert "another agent is running" in capsys.readouterr().err


def test_what_was_spooled_under_a_withdrawn_consent_never_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.sentry_proto.records import window

    folder, lab = tmp_path / "data", Lab(tmp_path)
    lab.key.save(tmp_path / "key")
    folder.mkdir()
    book = ConsentBook(folder / "consent.json")
    old = book.grant("P01", None, time.time())
    outbox = Outbox(folder / "outbox.sqlite")
    outbox.put([window(consent_id=old.consent_id) for _ in range(3)])
    outbox.close()
    book.withdraw("P01", time.time())
    book.grant("P01", None, time.time())
    trainer = Trainer(lab)
    source = good_video(tmp_path)
    code, report, _ = run(capsys, "--source", source, "--speed", "max", "--key", tmp_path / "key", "--data-dir", folder)
    trainer.close()
    assert code == 0
    assert (report["sent"], report["acked"], report["dropped"]) == (3, 0, 3)
    assert trainer.items == []


def test_extract_writes_a_table_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "features.parquet"
    assert cli.main(["extract", str(good_video(tmp_path)), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] == 2
    assert out.exists()
    assert cli.main(["extract", str(tmp_path / "missing.mp4"), "--out", str(out)]) == 3


def test_a_missing_system_library_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def without_gl(name: str) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr("edge_agent.cli.importlib.import_module", without_gl)
    assert cli.main(["run", "--source", "0"]) == 3
    assert "apt-get install libgl1 libegl1 libgles2 libglib2.0-0" in capsys.readouterr().err


def test_the_data_folder_follows_the_convention(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert cli.default_data_dir() == tmp_path / "sentry" / "agent"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert cli.default_data_dir() == Path.home() / ".local/share/sentry/agent"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_its_report(tmp_path: Path, number: signal.Signals) -> None:
    code = "import sys; from edge_agent.cli import main; sys.exit(main())"
    arguments = ["run", "--source", str(good_video(tmp_path)), "--loop", "--json", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert any("RECORDING" in line for line in process.stderr)
    time.sleep(1)
    process.send_signal(number)
    output, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert json.loads(output)["frames_scored"] > 0
