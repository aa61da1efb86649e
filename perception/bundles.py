"""Where the model files are that ship inside this package, and what they must be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sentry_proto.errors import MissingDependency

MODELS = Path(__file__).parent / "models"
EXPRESSION_MODEL = "expression.onnx"
"""Named here, so that a service can tell its digest without ONNX Runtime."""


@dataclass(frozen=True)
class Bundle:
    """A vendored file; `size` and `sha256` are those of the release that the features were defined with."""

    size: int
    sha256: str


BUNDLES: dict[str, Bundle] = {
    "face_landmarker.task": Bundle(3_758_596, "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"),
    "pose_landmarker_lite.task": Bundle(5_777_082, "fa9b05b026d9116d9a9f105aa3f883c421aed148fe8e17e8437dc4fc8b06b65e"),
}


def model_path(name: str) -> Path:
    """The path of a model file, such as `face_landmarker.task` or `expression.onnx`.

    Of a vendored bundle only the size is compared, which costs nothing at each start; `verify` reads it whole.

    Raises:
        MissingDependency: the file is absent, or is not the one that this version was made for.
    """
    path = MODELS / name
    if not path.is_file():
        raise MissingDependency(f"The model file {name} is missing from {MODELS}; please reinstall Sentry.")
    bundle = BUNDLES.get(name)
    if bundle is not None and path.stat().st_size != bundle.size:
        raise MissingDependency(f"The model file {path} is damaged or of another version; please reinstall Sentry.")
    return path


def sha256(name: str) -> str:
    """Hex digest of a model file."""
    return hashlib.sha256(model_path(name).read_bytes()).hexdigest()


def verify(name: str) -> None:
    """Compare a vendored bundle with its recorded digest.

    Raises:
        MissingDependency: the content differs, or the file is absent.
    """
    if sha256(name) != BUNDLES[name].sha256:
        raise MissingDependency(f"The model file {name} is not the released one; please reinstall Sentry.")
