from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dashboard import cli
from tests.dashboard.fake_trainer import FakeTrainer


def test_missing_key_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--key", str(tmp_path / "none.key")]) == 3
    assert capsys.readouterr().err.startswith("sentry-dashboard: cannot read the key file")


def test_starts_streamlit_without_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []

    def stop_here(command: list[str]) -> None:
        started.append(command)
        raise SystemExit

    monkeypatch.setattr(cli, "become", stop_here)
    monkeypatch.setenv(cli.KEY_VARIABLE, "")
    key = FakeTrainer(tmp_path).key_path
    with pytest.raises(SystemExit):
        cli.main(["--key", str(key), "--port", "9123"])
    assert "--browser.gatherUsageStats=false" in started[0]
    assert "--server.address=127.0.0.1" in started[0]
    assert os.environ[cli.KEY_VARIABLE] == str(key)
    assert "http://127.0.0.1:9123" in capsys.readouterr().out


def test_no_module_hides_a_library() -> None:
    ours = {path.stem for path in Path(cli.__file__).parent.glob("*.py")} - {"__init__"}
    assert not ours & (set(importlib.metadata.packages_distributions()) | sys.stdlib_module_names)
