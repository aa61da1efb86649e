"""ONNX Runtime reports to its maker unless it is told not to before it is loaded; every way in must have told it."""

from __future__ import annotations

import subprocess
import sys

import pytest

WATCH = """
import os, sys, importlib.abc
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print("loaded with", os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
import {module}
"""


@pytest.mark.parametrize(
    "module", ["edge_agent.heads", "perception.emotion", "training.export.state_heads", "trainer_service.fitting"]
)
def test_it_is_off_before_the_library_is_loaded(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", WATCH.format(module=module)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[:1] == ["loaded with 1"]
