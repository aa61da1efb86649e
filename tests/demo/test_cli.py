from __future__ import annotations

import builtins
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import cli

DEMO = [sys.executable, "-c", "from demo.cli import main; raise SystemExit(main())"]


def test_camera_without_consent_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builtins, "input", lambda _: "no")
    assert cli.main(["--source", "0", "--dir", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert "from camera 0" in printed.out
    assert "nothing was captured" in printed.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
@pytest.mark.timeout(180)
def test_headless_demo_tells_its_story_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [*DEMO, "--headless-seconds", "60", "--json", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    assert "No psychological state is measured" in done.stderr
    told = json.loads(done.stdout)
    assert told["first_seen_s"]["window"] is not None
    assert told["first_seen_s"]["label"] is not None
    assert not processes_in(tmp_path)


@pytest.mark.e2e
@pytest.mark.timeout(180)
def test_one_url_then_the_signal_ends_everything(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--dir", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as demo:
        assert demo.stdout
        assert demo.stdout.readline().startswith("Open http://127.0.0.1:")
        assert processes_in(tmp_path)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 0
    assert not processes_in(tmp_path)


def processes_in(folder: Path) -> list[int]:
    """Processes of this machine whose command line names the folder, but for the demo itself."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(str(folder) in word for word in words) and "from demo.cli" not in " ".join(words):
                found.append(int(entry.name))
    return found
