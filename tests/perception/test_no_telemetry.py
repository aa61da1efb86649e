"""P3 begins with what is installed: no library that the agent loads knows where to report to (docs/adr/0002)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

COLLECTORS = (b"events.data.microsoft.com", b"play.googleapis.com")


@pytest.mark.parametrize("library", ["onnxruntime", "mediapipe"])
def test_no_native_library_knows_a_collector(library: str) -> None:
    found = find_spec(library)
    assert found is not None
    assert found.origin is not None
    natives = list(Path(found.origin).parent.rglob("*.so*"))
    assert natives
    for native in natives:
        content = native.read_bytes()
        assert not [host for host in COLLECTORS if host in content], native.name
