"""torchvision and timm import, whatever the pairing of torch and torchvision."""

from __future__ import annotations

import importlib
import sys
import types

import pytest

from training.torchvision_compat import ensure_torchvision


def test_timm_can_be_imported_after_it() -> None:
    ensure_torchvision()
    ensure_torchvision()  # harmless when repeated
    assert importlib.import_module("timm").list_models("tf_mobilenetv3_small_100")


def test_other_failures_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> types.ModuleType:
        raise RuntimeError(f"{name} is broken otherwise")

    monkeypatch.setattr(importlib, "import_module", fail)
    loaded = sys.modules.get("torchvision")
    with pytest.raises(RuntimeError, match="broken otherwise"):
        ensure_torchvision()
    assert sys.modules.get("torchvision") is loaded
