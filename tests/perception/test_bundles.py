from __future__ import annotations

from pathlib import Path

import pytest

from perception import bundles
from sentry_proto.errors import MissingDependency


@pytest.mark.parametrize("name", sorted(bundles.BUNDLES))
def test_shipped_bundle_is_the_released_one(name: str) -> None:
    bundles.verify(name)


def test_missing_model_is_named() -> None:
    with pytest.raises(MissingDependency, match=r"nothing\.onnx is missing"):
        bundles.model_path("nothing.onnx")


@pytest.mark.parametrize("name", sorted(bundles.BUNDLES))
def test_truncated_bundle_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(b"cut off")
    monkeypatch.setattr(bundles, "MODELS", tmp_path)
    with pytest.raises(MissingDependency, match="damaged"):
        bundles.model_path(name)


def test_same_size_but_other_content_is_found_by_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "face_landmarker.task"
    (tmp_path / name).write_bytes(bytes(bundles.BUNDLES[name].size))
    monkeypatch.setattr(bundles, "MODELS", tmp_path)
    assert bundles.model_path(name).is_file()
    with pytest.raises(MissingDependency, match="not the released one"):
        bundles.verify(name)
